"""Acting: seconds for one step of one environment and of several at a time, beside the time of the arithmetic alone."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from harness import plugins
from harness.bench import Options, Row, summarize, time_calls
from harness.bench.train import SPECS, make_agent, random_batch

OPTIONS = ("size", "obs", "dtype", "device", "threads", "profile")
COLUMNS = {
    "size": "size",
    "input": "obs",
    "environments": "envs",
    "s / step": "seconds_per_act",
    "min": "seconds_per_act_min",
    "max": "seconds_per_act_max",
    "operations": "flops_per_act",
    "arithmetic alone, s": "floor_seconds",
    "other work": "other_cores",
}
CASES = ({"size": "1m"}, {"size": "1m", "obs": "vector"}, {"size": "12m"})
ENVS = (1, 4, 16)


def measure(options: Options) -> Iterator[Row]:
    tools = plugins.load("agents", "measure")
    for envs in ENVS:
        agent, rng = make_agent(options, envs), np.random.default_rng(0)
        steps = random_batch(agent, SPECS[options.obs], rng, size=envs, length=1)
        obs = {key: steps[key][:, 0] for key in (*SPECS[options.obs].obs, "is_first")}
        uniforms, carry = rng.random((envs, agent.num_uniforms)), agent.initial(envs)

        act = partial(agent.act, carry, obs, uniforms)
        times = time_calls(act, min_calls=30, min_seconds=1.0, warmup=3)
        flops, rate = tools.count_flops(act), tools.matrix_rate(agent.device, options.dtype)
        row: Row = {"subject": "act", "size": options.size, "obs": options.obs, "dtype": options.dtype, "device": agent.device}
        row |= {"threads": options.threads, "envs": envs} | summarize("seconds_per_act", times)
        row |= {"flops_per_act": flops, "matrix_rate": rate, "floor_seconds": flops / rate}
        if options.profile:
            row["dearest_operators"] = tools.slowest_operators(act, agent.device)
        yield row | tools.versions()
