"""Ablations that are put together: `a+b` is both, `a-b` is a without its component b."""

from __future__ import annotations

from itertools import chain, combinations

import pytest

from harness import ablate, catalogue, config, study, verify
from harness.errors import BadInput

FILES = [name for name in ablate.names() if name != "none"]
TRICKS = ["no_obs_symlog", "advantage_norm", "huber", "no_kl_balance_free_bits"]  # of without_all, as the paper lists them


def run(ablation, **options):
    return study.single("counter/vector", size="nano", ablation=ablation, **options)


def agent(ablation):
    return run(ablation).agent


def test_together_is_one_after_the_other():
    both = run("no_unimix+no_free_bits")
    assert (both.agent.latent.unimix, both.agent.actor.unimix, both.agent.kl.free_nats) == (0, 0, 0)
    touched = set(config.diff(run("none"), both))
    assert touched == {"ablation", "agent.latent.unimix", "agent.actor.unimix", "agent.kl.free_nats"}


@pytest.mark.parametrize("trick", TRICKS)
def test_an_arm_with_one_trick_restored_is_the_others_together(trick):
    others = "+".join(other for other in TRICKS if other != trick)
    assert agent(f"without_all-{trick}") == agent(others) != agent("without_all")
    restored = set(config.diff(run("without_all"), run(f"without_all-{trick}"))) - {"ablation"}
    assert restored == set(config.diff(run("none"), run(trick))) - {"ablation"}, "what is taken back is that trick's, all of it"


def test_without_all_is_its_tricks_together_and_what_the_paper_says():
    assert agent("without_all") == agent("+".join(TRICKS))
    kl = agent("without_all").kl
    assert (kl.free_nats, kl.dyn, kl.rep) == (0, 1, 1)
    assert agent("without_all").reward.kind == agent("without_all").value.kind == "huber"
    assert agent("without_all-huber").reward.kind == agent("none").reward.kind == "symexp_twohot"


def test_taking_back_all_but_one_leaves_that_one():
    for trick in TRICKS:
        assert agent("without_all" + "".join(f"-{t}" for t in TRICKS if t != trick)) == agent(trick)


def test_a_part_is_replaced_before_its_settings_are_set_whatever_the_order():
    """Huber without zero initialisation: the new part, with the changed scale of its output weights."""
    for spelled in ("huber+no_zero_init", "no_zero_init+huber"):
        reward = agent(spelled).reward
        assert (reward.kind, reward.outscale) == ("huber", 1.0)


def test_one_ablation_has_one_spelling():
    one, other = run("no_unimix+ no_free_bits"), run("no_free_bits+no_unimix")
    assert one.ablation == other.ablation == "no_free_bits+no_unimix" and one.run_id == other.run_id
    assert run("without_all-no_obs_symlog-huber").ablation == "without_all-huber-no_obs_symlog"
    assert one.run_id.startswith("vector.no_free_bits+no_unimix.clean.s0-")
    assert all(str(ablate.parse(name)) == name for name in ablate.names())


@pytest.mark.parametrize(
    ("name", "words"),
    {
        "no_unimix+no_symlg": ["'no_symlg'", "Did you mean 'no_symlog'"],
        "without_al-huber": ["'without_al-huber'", "Did you mean 'without_all'"],
        "no-free-bits": ["Did you mean 'no_free_bits'"],
        "without_all-hubr": ["component 'hubr'", "no_obs_symlog", "Did you mean 'huber'"],
        "without_all-no_unimix": ["component 'no_unimix'", "advantage_norm"],
        "huber-huber": ["component 'huber'"],
        "huber+mse": ["huber and mse both set", "agent.reward.kind", "do not go together"],
        "no_return_limit+std_return_norm": ["both set agent.return_scale.limit"],
        "plain_kl+v2_kl": ["no 'agent.kl.dyn'", "PlainKl has"],
        "no_unimix+no_latent_unimix": ["no_latent_unimix is in it twice"],
        "without_all+huber": ["huber is in it twice"],
        "without_all-huber-huber": ["huber is in it twice"],
        "none+huber": ["none is the unchanged agent"],
        "without_all-" + "-".join(TRICKS): ["nothing is left", "none"],
        "huber+": ["NAME+NAME"],
        "": ["NAME+NAME"],
    }.items(),
)
def test_what_does_not_go_together_is_explained(name, words):
    with pytest.raises(BadInput) as error:
        run(name)
    for word in words:
        assert word in str(error.value), str(error.value)


def test_a_part_that_changes_nothing_is_named():
    with pytest.raises(BadInput, match="no_free_bits changes nothing here"):
        run("no_free_bits+no_unimix", changes={"agent.kl.free_nats": 0.0})


@pytest.mark.parametrize("name", ablate.composites())
def test_a_composite_acts_as_its_components_and_they_have_changes_of_their_own(name):
    composite = ablate.parse(name)
    assert len(composite.components) > 1
    assert all(list(ablate.parse(component).components) == [component] for component in composite.components)
    restorations = composite.restorations()
    assert len(restorations) == len(composite.components)
    for restoration in restorations:
        again = ablate.parse(str(restoration))
        assert again == restoration and again.changes == restoration.changes


def test_every_pair_of_files_either_goes_together_or_says_why_not():
    """A combination sets every setting that either file declares; a refusal names the pair."""
    changes = {name: ablate.parse(name).changes for name in FILES}
    combinable = 0
    for one, other in combinations(FILES, 2):
        try:
            combination = ablate.parse(f"{one}+{other}")
        except BadInput as error:
            assert (one in str(error) and other in str(error)) or "twice" in str(error)
            continue
        combinable += 1
        assert combination.changes == dict(chain(changes[one].items(), changes[other].items()))
    assert combinable > len(FILES)


def test_where_a_combination_acts():
    both = ablate.scope(ablate.parse("no_obs_symlog+no_actor_unimix"))
    assert both.description == "tasks with discrete actions, tasks with vector observations"
    assert ablate.scope(ablate.parse("no_obs_symlog+no_free_bits")).description == "every task"


def test_a_combination_is_verified_like_a_file():
    verdict = verify.verify_ablation("without_all-huber")
    assert verify.passes(verdict) and verdict["ablation"] == "without_all-huber"


def test_a_combination_is_explained():
    page = catalogue.explain("without_all-huber")
    assert page["kind"] == "ablation" and set(page["is together"]) == set(TRICKS) - {"huber"}
    assert "agent.reward.kind" not in page["changes to the base"] and "agent.squash.kind" in page["changes to the base"]
    assert catalogue.explain("no_unimix+huber")["canonical spelling"] == "huber+no_unimix"
    with pytest.raises(BadInput, match="do not go together"):
        catalogue.explain("huber+mse")


# Designs.


def arms_of(**changes):
    grid = {"name": "grid", "tasks": ["counter/vector"], "size": "nano", "design": "leave-one-out", **changes}
    return [(r.ablation, str(r.train_noise)) for r in study.expand(config.validate(study.Study, grid, "test"))]


def test_leave_one_out_restores_each_trick_in_turn():
    restored = [f"without_all-{trick}" for trick in TRICKS]
    assert [a for a, _ in arms_of(ablations=["none", "without_all"])] == ["none", "without_all", *restored]
    assert [a for a, _ in arms_of(ablations=["without_all"])] == ["without_all", *restored]


def test_leave_one_out_of_a_combination():
    assert [a for a, _ in arms_of(ablations=["no_unimix+huber"])] == [
        "huber+no_unimix",
        "no_unimix",
        "huber+no_unimix-no_latent_unimix",
        "huber+no_unimix-no_actor_unimix",
    ]


def test_leave_one_out_stands_under_every_training_noise():
    noises = ["clean", "state_gaussian:std=1,unit=absolute"]
    restored = ["no_unimix-no_latent_unimix", "no_unimix-no_actor_unimix"]
    arms = arms_of(ablations=["no_unimix"], train_noise=noises)
    assert arms == [(a, n) for a in ("no_unimix", *restored) for n in noises]


def test_leave_one_out_of_a_single_ablation_is_an_error():
    with pytest.raises(BadInput, match=r"such as .*without_all.*got none, no_free_bits"):
        arms_of(ablations=["none", "no_free_bits"])


def test_a_study_s_own_arms_go_together_too():
    short = {"short": {"agent.horizon": 5}}
    assert [a for a, _ in arms_of(ablations=["short+no_free_bits"], arms=short)] == [
        "no_free_bits+short",
        "short",
        "no_free_bits",
    ]


def test_spellings_of_one_ablation_are_one_value_of_the_axis():
    with pytest.raises(BadInput, match="is given twice"):
        arms_of(ablations=["huber+no_unimix", "no_unimix+huber"])


def test_one_at_a_time_differs_from_the_base_on_one_axis_at_most_in_every_task():
    noises = ["clean", "state_gaussian:std=1,unit=absolute", "state_gaussian:std=2,unit=absolute"]
    ablations = ["no_unimix", "none", "huber"]
    tasks = ["counter/vector", "counter/vector_continuous"]
    arms = arms_of(design="one-at-a-time", ablations=ablations, train_noise=noises, tasks=tasks)
    assert len(arms) == 2 * (1 + 2 + 2) and all(a == "no_unimix" or n == "clean" for a, n in arms)
    assert set(arms) == {("no_unimix", n) for n in noises} | {(a, "clean") for a in ablations}
