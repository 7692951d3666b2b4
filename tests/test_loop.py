"""The loop's alignment: what stands beside what in a recorded step, which episodes are played, what a resume continues."""

import numpy as np
import pytest

from agents.protocol import Space
from harness import envs, noise
from harness.evaluate import EVAL_ENVS, Evaluator, missing_episodes
from harness.loop import Interaction, Training
from harness.recorder import Recorder
from harness.replay import Replay
from harness.rng import TRAIN_SEEDS, eval_env_seed, train_env_seed
from harness.rundir import RunDir
from harness.schedule import Ratio
from harness.vector import FLAGS, EnvSlot, Episode, SyncVector

pytestmark = pytest.mark.numeric


class Scripted:
    """Plays 0, 1, 0, 1, ... within each episode and remembers every observation it was given."""

    context, num_uniforms, device = 1, 2, "cpu"
    extra_spaces = {"tag": Space((2,), "float32")}

    def __init__(self):
        self.updates, self.batches = 0, []

    def initial(self, envs):
        return {"time": np.zeros(envs, np.int64)}

    def act(self, carry, obs, uniforms, policy="sample"):
        time = np.where(obs["is_first"], 0, carry["time"])
        return {"time": time + 1}, (time % 2).astype(np.int32), {"tag": uniforms.astype(np.float32)}

    def learn(self, batch):
        self.updates += 1
        self.batches.append(batch)
        return {"loss/total": float(self.updates)}, {"tag": batch["tag"][:, 1:]}


def counter(length=4, task="counter/vector"):
    return envs.make(task, length=length)


def vector(n=2, seed=3, text="clean", length=4, task="counter/vector"):
    environments = [counter(length, task) for _ in range(n)]
    bound = noise.parse(text).bind_task(task)
    slots = [EnvSlot(env, bound, lambda k, i=i: Episode.training(seed, i, k)) for i, env in enumerate(environments)]
    return SyncVector(slots, environments[0].spec)


def ticks(count, **options):
    interaction = Interaction(vector(**options), Scripted())
    return [interaction.tick() for _ in range(count)]


def test_a_step_holds_the_reward_of_the_action_before_and_the_action_after():
    steps = [t.step for t in ticks(12, n=1)]
    targets = [int(s["vector"][0].argmax()) // 2 for s in steps]
    for t, step in enumerate(steps):
        if step["is_first"][0]:
            assert step["reward"][0] == 0
        else:
            previous = steps[t - 1]["action"][0]
            assert step["reward"][0] == float(previous == targets[t - 1])
    assert [bool(s["is_first"][0]) for s in steps] == [True, False, False, False, False] * 2 + [True, False]
    assert [bool(s["is_last"][0]) for s in steps] == [False] * 4 + [True] + [False] * 4 + [True, False, False]


def test_truncation_is_not_termination():
    assert not any(t.step["is_terminal"].any() for t in ticks(12))
    fatal = ticks(30, task="counter/vector_terminal", n=1)
    ends = [t.step for t in fatal if t.step["is_last"][0]]
    assert ends and all(s["is_terminal"][0] for s in ends)  # 0, 1, 0, 1 is wrong within three steps


def test_the_action_on_a_last_step_is_zero():
    steps = [t.step for t in ticks(40, n=1, length=3)]
    assert [int(s["action"][0]) for s in steps if s["is_last"][0]] == [0] * 10
    assert any(int(s["action"][0]) for s in steps)


def test_the_recorded_return_is_the_simulators_sum_of_rewards():
    played = ticks(10, n=1)
    rewards = [float(t.step["reward"][0]) for t in played]
    rows = [row for t in played for row in t.finished_episodes]
    assert [row["return"] for row in rows] == [sum(rewards[0:5]), sum(rewards[5:10])]
    assert [row["length"] for row in rows] == [4, 4]
    assert [(r["terminated"], r["truncated"]) for r in rows] == [(False, True)] * 2


def test_noise_changes_what_is_seen_and_neither_rewards_nor_tasks():
    clean = ticks(30, text="clean")
    noisy = ticks(30, text="state_gaussian:std=0.5,unit=absolute")
    for a, b in zip(clean, noisy, strict=True):
        for key in ("reward", "is_first", "is_last", "is_terminal", "tag"):
            assert np.array_equal(a.step[key], b.step[key])
    assert not any(np.array_equal(a.step["vector"], b.step["vector"]) for a, b in zip(clean, noisy, strict=True))


def test_uniform_numbers_depend_on_environment_episode_and_step_alone():
    wide, narrow = ticks(8, n=3), ticks(8, n=1)
    assert all(np.array_equal(w.step["tag"][:1], n.step["tag"]) for w, n in zip(wide, narrow, strict=True))
    tags = np.array([t.step["tag"] for t in wide])
    assert len(np.unique(tags)) == tags.size


def test_training_and_evaluation_seeds_are_disjoint_and_agree_across_agents():
    train = [train_env_seed(s, i, e) for s in range(5) for i in range(4) for e in range(50)]
    assert max(train) < TRAIN_SEEDS <= min(eval_env_seed(e) for e in range(1000))
    assert len(set(train)) == len(train)
    assert eval_env_seed(0) == 2**30 and eval_env_seed(99) == 2**30 + 99  # published: they never change


def test_models_meet_the_same_task_and_noise_but_draw_their_own_actions():
    one, two = Episode.evaluation(1, 5), Episode.evaluation(2, 5)
    assert (one.env_seed, one.noise_key) == (two.env_seed, two.noise_key) and one.agent_key != two.agent_key
    assert Episode.evaluation(1, 5) == one
    assert Episode.training(1, 0, 5).noise_key != Episode.training(2, 0, 5).noise_key


@pytest.mark.parametrize("stop_at", [0, 3, 4, 5, 11])
def test_an_interaction_continues_where_it_was_saved(stop_at):
    whole = [t.step for t in ticks(20, text="state_gaussian:std=0.5,unit=absolute")]
    first = Interaction(vector(text="state_gaussian:std=0.5,unit=absolute"), Scripted())
    for _ in range(stop_at):
        first.tick()
    second = Interaction(vector(text="state_gaussian:std=0.5,unit=absolute"), Scripted())
    second.load({k: v.copy() for k, v in first.state().items()})
    for expected in whole[stop_at:]:
        actual = second.tick().step
        assert all(np.array_equal(expected[k], actual[k]) for k in expected)


def new_recorder(tmp_path, **options):
    run = RunDir.create(tmp_path, {"version": 1})
    labels = {"task": "counter/vector", "noise": "clean", "policy": "sample"}
    return run, Recorder(run.log("episodes"), run.log("metrics"), labels=labels, repeat=4, every=10, **options)


def training(tmp_path, ratio=8.0, n=2):
    agent = Scripted()
    play = Interaction(vector(n), agent)
    spaces = {**play.vector.spec.obs, **FLAGS, "action": play.vector.spec.action, **agent.extra_spaces}
    replay = Replay(spaces, latents=("tag",), envs=n, capacity=1000, length=5)
    run, recorder = new_recorder(tmp_path)
    parts = dict(interaction=play, agent=agent, replay=replay, ratio=Ratio(ratio, batch=2, length=4), recorder=recorder)
    return run, Training(**parts, seed=0, batch_size=2, start=8)


def test_updates_begin_with_enough_items_and_follow_the_ratio(tmp_path):
    _, whole = training(tmp_path)
    counts = []
    for _ in range(40):
        whole.advance()
        counts.append(whole.agent.updates)
    # 2 environments, windows of 5: tick 5 completes the first 2 items, tick 8 the eighth; then 2 steps x 8 / 8 updates.
    assert counts[:9] == [0] * 7 + [1, 3]
    assert counts[-1] == 1 + 2 * (40 - 8)


def test_batches_hold_consecutive_steps(tmp_path):
    _, whole = training(tmp_path)
    for _ in range(60):
        whole.advance()
    for batch in whole.agent.batches[:50]:
        counts = batch["vector"].argmax(-1)
        inside = ~batch["is_first"][:, 1:]
        assert ((counts[:, 1:] - counts[:, :-1]) % 4 == 1)[inside].all()


def test_rows_count_steps_frames_and_updates(tmp_path):
    run, whole = training(tmp_path, n=2)
    for _ in range(12):
        whole.advance()
        whole.recorder.log_metrics(whole.step, whole.agent.updates, {})
    rows = run.rows("episodes")
    assert [(r["step"], r["frames"], r["split"]) for r in rows] == [(10, 40, "train")] * 2 + [(20, 80, "train")] * 2
    assert [m["step"] for m in run.rows("metrics")] == [10, 20]
    # Updates 1 (tick 8), 2, 3 (tick 9), 4, 5 (tick 10): the second row holds their mean, the scripted losses 1..5.
    assert run.rows("metrics")[1]["loss/total"] == 3.0


class Oracle(Scripted):
    """Reads the counter off the observation and always takes the right action."""

    def act(self, carry, obs, uniforms, policy="sample"):
        return carry, (obs["vector"].argmax(-1) // 2).astype(np.int32), {}


def evaluator(agent, length=20):
    def make_vector(environments, eval_noise, episode_lists):
        bound = eval_noise.bind_task("counter/vector")

        def slot(env, numbers):
            return EnvSlot(env, bound, lambda n: Episode.evaluation(0, numbers[n]) if n < len(numbers) else None)

        pairs = zip(environments, episode_lists, strict=True)
        return SyncVector([slot(env, numbers) for env, numbers in pairs], environments[0].spec)

    return Evaluator(agent, lambda: counter(length), make_vector)


def test_evaluation_plays_each_published_episode_once_in_order():
    rows = list(evaluator(Oracle()).play_episodes(noise.parse("clean"), range(21), "sample", lambda: False))
    assert [r["episode"] for r in rows] == list(range(21))
    assert [r["seed"] for r in rows] == [eval_env_seed(e) for e in range(21)]
    assert {r["return"] for r in rows} == {20.0}


def test_evaluation_rows_do_not_depend_on_what_else_is_played():
    parsed = noise.parse("state_gaussian:std=1.0,unit=absolute")
    whole = {r["episode"]: r for r in evaluator(Oracle()).play_episodes(parsed, range(20), "sample", lambda: False)}
    part = {r["episode"]: r for r in evaluator(Oracle()).play_episodes(parsed, [3, 11, 17], "sample", lambda: False)}
    assert part == {e: whole[e] for e in (3, 11, 17)}
    assert len({r["return"] for r in whole.values()}) > 1


def test_short_episodes_are_not_favoured():
    """With a fatal task the first to finish are the worst; fixed lists play all of them all the same."""
    rows = list(evaluator(Scripted()).play_episodes(noise.parse("clean"), range(2 * EVAL_ENVS), "sample", lambda: False))
    assert [r["episode"] for r in rows] == list(range(2 * EVAL_ENVS))


def test_missing_counts_rows_of_this_model_and_policy_only():
    def row(noise, episode, step=100, policy="sample", split="eval"):
        return {"noise": noise, "episode": episode, "step": step, "policy": policy, "split": split}

    clean, weak, strong = (noise.parse(text) for text in ("clean", "g10", "g20"))
    rows = [row("clean", 0), row("clean", 2, step=50), row(str(weak), 2)]
    rows += [row(str(weak), 0, policy="mode"), row(str(weak), 1, split="train")]
    assert missing_episodes(rows, [clean, weak, strong], 3, "sample", 100) == {clean: [1, 2], weak: [0, 1], strong: [0, 1, 2]}
    assert missing_episodes(rows, [clean], 1, "sample", 100) == {}


def test_a_metric_that_is_not_finite_is_written_as_null(tmp_path):
    run, recorder = new_recorder(tmp_path)
    recorder.add_metrics({"loss/total": float("nan")})
    recorder.log_metrics(10, 1, {})
    assert run.rows("metrics")[0]["loss/total"] is None


@pytest.mark.parametrize(
    ("metrics", "lost"),
    [({"optimizer/skipped_in_a_row": 99.0}, False), ({"optimizer/skipped_in_a_row": 100.0}, True), ({}, False)],
)
def test_divergence_is_a_hundred_lost_updates_in_a_row(tmp_path, metrics, lost):
    _, recorder = new_recorder(tmp_path)
    recorder.add_metrics(metrics)
    assert bool(recorder.divergence()) == lost


def test_divergence_is_an_exploded_mean_loss(tmp_path):
    _, recorder = new_recorder(tmp_path)
    for loss in (1e9, 1e9):
        recorder.add_metrics({"loss/total": loss})
    recorder.log_metrics(10, 2, {})
    assert "1e+09" in recorder.divergence()
