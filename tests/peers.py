"""The same update by public peers and by us, in one sitting: `make peers` writes docs/peers.json and the table made of it.

An update is one optimiser step on 16 x 64 replayed steps (one of context where the peer has it) with 15 imagined steps from
every state, decoder included. Each measurement is a process of its own; implementations take turns, so that a machine whose
speed drifts is not a disadvantage to one of them. Peers' code is cloned by the Makefile and called, never copied.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
PEERS = ROOT / ".peers"
IMAGE, CLASSES, VECTOR, ACTIONS = (64, 64, 3), 18, 17, 6
BATCH, LENGTH = 16, 64
CASES = [("image", "float32"), ("image", "bfloat16"), ("vector", "float32"), ("vector", "bfloat16")]
NETWORKS = ("enc", "dyn", "dec", "rew", "con", "pol", "val")  # of the JAX code
NAMES = {
    "dreamproof": "dreamproof",
    "r2dreamer": "[r2dreamer](https://github.com/NM512/r2dreamer) (reconstruction loss, eager)",
    "dreamerv3": "[danijar/dreamerv3](https://github.com/danijar/dreamerv3) (JAX, jit)",
}


def time_updates(update: Callable[[], None], repetitions: int) -> dict:
    start = time.perf_counter()
    update()
    first = time.perf_counter() - start
    update()
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        update()
        times.append(time.perf_counter() - start)
    status = Path("/proc/self/status").read_text()
    peak = 1024 * int(status.split("VmHWM:")[1].split()[0])
    return {"seconds": times, "first_seconds": first, "peak_memory_bytes": peak}


def dreamproof(obs: str, dtype: str, repetitions: int) -> dict:
    import numpy as np

    from harness.bench import Options, train

    agent = train.make_agent(Options(size="1m", obs=obs, dtype=dtype, device="cpu"))
    batch = train.random_batch(agent, train.SPECS[obs], np.random.default_rng(0), BATCH, LENGTH)
    weights = sum(x.size for name, x in agent.state().items() if name.startswith("weights/") and "slow_critic" not in name)
    return time_updates(lambda: agent.learn(batch), repetitions) | {"parameters": int(weights)}


def r2dreamer(obs: str, dtype: str, repetitions: int) -> dict:
    """Its own update, with the loss scaling of float16 left out: on a CPU it runs in float32 or bfloat16."""
    sys.path.insert(0, str(PEERS / "r2dreamer"))
    import dreamer
    import gymnasium as gym
    import numpy as np
    import torch
    from omegaconf import OmegaConf
    from tensordict import TensorDict

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    folder = PEERS / "r2dreamer" / "configs"
    size = {"deter": 512, "hidden": 64, "discrete": 4, "depth": 4, "units": 64, "act": "SiLU", "norm": True}
    env = OmegaConf.load(folder / "env" / ("atari100k.yaml" if obs == "image" else "dmc_proprio.yaml"))
    model = OmegaConf.merge(OmegaConf.load(folder / "model" / "_base_.yaml"), size)
    config_tree = OmegaConf.create({"device": "cpu", "seed": 0, "env": env, "model": model})
    config = config_tree.model
    config.rep_loss, config.compile = "dreamer", False
    if obs == "image":
        spaces, act = {"image": gym.spaces.Box(0, 255, IMAGE, np.uint8)}, gym.spaces.Box(0, 1, (CLASSES,), np.float32)
        act.discrete = True  # as its one-hot wrapper says it
    else:
        spaces = {"state": gym.spaces.Box(-np.inf, np.inf, (VECTOR,), np.float32)}
        act = gym.spaces.Box(-1, 1, (ACTIONS,), np.float32)
    agent = dreamer.Dreamer(config, gym.spaces.Dict(spaces), act)
    generator = torch.Generator().manual_seed(0)
    shape = (BATCH, LENGTH)
    key, value = "image", torch.randint(0, 256, (*shape, *IMAGE), generator=generator, dtype=torch.uint8)
    if obs == "vector":
        key, value = "state", torch.randn(*shape, VECTOR, generator=generator)
        action = torch.rand(*shape, ACTIONS, generator=generator) * 2 - 1
    else:
        action = torch.nn.functional.one_hot(torch.randint(0, CLASSES, shape, generator=generator), CLASSES).float()
    flags = {name: torch.zeros(*shape, 1, dtype=torch.bool) for name in ("is_first", "is_last", "is_terminal")}
    reward = torch.randn(*shape, 1, generator=generator)
    data = TensorDict({key: value, "action": action, "reward": reward, **flags}, batch_size=shape)
    initial = tuple(agent.rssm.initial(BATCH))
    half = dtype == "bfloat16"

    def update() -> None:
        agent._update_slow_target()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            agent._cal_grad(agent.preprocess(data.clone()), initial)
        agent._agc(agent._named_params.values())
        agent._optimizer.step()
        agent._scheduler.step()
        agent._optimizer.zero_grad(set_to_none=True)

    weights = sum(p.numel() for p in agent._named_params.values())
    return time_updates(update, repetitions) | {"parameters": weights}


def dreamerv3(obs: str, dtype: str, repetitions: int) -> dict:
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    sys.path.insert(0, str(PEERS / "dreamerv3"))
    import elements
    import jax
    import numpy as np
    import ruamel.yaml as yaml
    from dreamerv3.agent import Agent

    configs = yaml.YAML(typ="safe").load((PEERS / "dreamerv3" / "dreamerv3" / "configs.yaml").read_text())
    config = elements.Config(configs["defaults"]).update(configs["size1m"])
    jax_options = {"platform": "cpu", "compute_dtype": dtype, "prealloc": False}
    config = config.update({f"jax.{name}": value for name, value in jax_options.items()})
    scalar = {"reward": np.float32, "is_first": bool, "is_last": bool, "is_terminal": bool}
    obs_spaces = (
        {"image": elements.Space(np.uint8, IMAGE)} if obs == "image" else {"state": elements.Space(np.float32, (VECTOR,))}
    )
    obs_spaces |= {name: elements.Space(kind) for name, kind in scalar.items()}
    action_space = elements.Space(np.int32, (), 0, CLASSES) if obs == "image" else elements.Space(np.float32, (ACTIONS,), -1, 1)
    names = ("batch_size", "batch_length", "replay_context", "report_length", "replica", "replicas", "seed")
    options = {name: config[name] for name in names} | {"logdir": "/tmp", "jax": config.jax}
    agent = Agent(obs_spaces, {"action": action_space}, elements.Config(**config.agent, **options))
    rng = np.random.default_rng(0)
    steps = (BATCH, LENGTH + config.replay_context)

    def random_values(space: elements.Space) -> np.ndarray:
        full = (*steps, *space.shape)
        if space.dtype == np.uint8 or space.discrete:
            return rng.integers(0, 256 if space.dtype == np.uint8 else CLASSES, full).astype(space.dtype)
        return rng.normal(size=full).astype(space.dtype)

    flags = {name: np.zeros(steps, bool) for name in ("is_first", "is_last", "is_terminal")}
    data = {name: flags[name] if name in flags else random_values(space) for name, space in agent.spaces.items()}
    data["stepid"] = np.zeros((*steps, *agent.spaces["stepid"].shape), agent.spaces["stepid"].dtype)
    data["consec"] = np.zeros(steps, np.int32)
    carry = agent.init_train(BATCH)

    def update() -> None:
        nonlocal carry
        seed = agent._seeds(int(agent.n_updates), agent.train_mirrored)
        on_device = {name: jax.device_put(x, agent.train_sharded) for name, x in data.items()}
        carry, _, _ = agent.train(carry, on_device | {"seed": seed})
        jax.block_until_ready(agent.params)

    weights = sum(int(np.prod(x.shape)) for name, x in agent.params.items() if name.split("/")[0] in NETWORKS)
    return time_updates(update, repetitions) | {"parameters": weights}


def measure_all(rounds: int, repetitions: int, pythons: dict[str, str], cases: list[tuple[str, str]]) -> list[dict]:
    measurements: dict[tuple, list[dict]] = {}
    for _ in range(rounds):
        for obs, dtype in cases:
            for name, python in pythons.items():
                command = [python, __file__, "--one", name, "--obs", obs, "--dtype", dtype, "--repetitions", str(repetitions)]
                process = subprocess.run(
                    command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=1800
                )
                if process.returncode:
                    sys.exit(f"{name}, {obs}, {dtype}:\n{process.stdout[-2000:]}{process.stderr[-3000:]}")
                measurements.setdefault((obs, dtype, name), []).append(json.loads(process.stdout.splitlines()[-1]))
                print(
                    f"{obs} {dtype} {name}: {statistics.median(measurements[obs, dtype, name][-1]['seconds']):.3f} s",
                    file=sys.stderr,
                )
    return [_row(*key, rounds) for key, rounds in measurements.items()]


def _row(obs: str, dtype: str, name: str, rounds: list[dict]) -> dict:
    """`seconds_per_update`: the median over rounds of each process's median."""
    medians = [statistics.median(one["seconds"]) for one in rounds]
    return {
        "obs": obs,
        "dtype": dtype,
        "implementation": name,
        "seconds_per_update": round(statistics.median(medians), 4),
        "seconds_of_rounds": [round(x, 4) for x in medians],
        "first_seconds": round(statistics.median(one["first_seconds"] for one in rounds), 1),
        "peak_memory_bytes": max(one["peak_memory_bytes"] for one in rounds),
        "parameters": rounds[0]["parameters"],
    }


def table(rows: list[dict]) -> str:
    by_case = {(row["obs"], row["dtype"], row["implementation"]): row for row in rows}
    lines = [
        "| 1m, batch 16 x 64 | implementation | parameters | s / update | times ours | peak memory |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for (obs, dtype, name), row in by_case.items():
        ours = by_case[obs, dtype, "dreamproof"]["seconds_per_update"]
        ratio = row["seconds_per_update"] / ours
        lines.append(
            f"| {obs}, {dtype} | {NAMES[name]} | {row['parameters']:,} | {row['seconds_per_update']:.2f} | {ratio:.1f} | "
            f"{row['peak_memory_bytes'] / 1e9:.2f} GB |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", choices=list(NAMES))
    parser.add_argument("--obs", default="image")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "peers.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(globals()[options.one](options.obs, options.dtype, options.repetitions)))
        return
    pythons = {"dreamproof": sys.executable, "r2dreamer": f"{PEERS}/torch/bin/python", "dreamerv3": f"{PEERS}/jax/bin/python"}
    rows = measure_all(options.rounds, options.repetitions, pythons, CASES)
    options.out.write_text(json.dumps(rows, indent=1) + "\n")
    begin, end = "<!-- peers: begin -->\n", "<!-- peers: end -->"
    before, _, rest = options.page.read_text().partition(begin)
    options.page.write_text(before + begin + table(rows) + "\n" + end + rest.partition(end)[2])


if __name__ == "__main__":
    main()
