"""Runs and controls that are no draws of one search: refused, or said."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hofsteer.alignment.run import RunFolder
from hofsteer.config import resolve
from hofsteer.errors import RunError
from hofsteer.evaluation.finished import FinishedRun
from hofsteer.evaluation.together import changed_since, check_model, check_together, unlike
from hofsteer.targets import complete_countries, load_target
from hofsteer.world import WorldRespondent, load_census

COUNTRIES = [country.code for country in complete_countries() if country.code != "JPN"]
JPN = load_target("JPN")


def run(name="a", target="JPN", seed=0, shape=(8, 16), **settings):
    """A finished run; no file of it is read."""
    flags = {key.replace("__", "."): value for key, value in settings.items()}
    config = resolve(flags={"wordings": [0, 1], **flags, "target": "JPN", "search.seed": seed})
    provenance = {
        "model": {"id": "world"},
        "instrument": {"id": "vsm13-own", "sha256": "0"},
        "target": {"code": target},
        "constants": {"kind": "midpoint", "values": [50.0] * 6, "source": "C = 50"},
    }
    return FinishedRun(RunFolder(Path(name)), config, provenance, prompt_of(shape))


def prompt_of(shape):
    from hofsteer.respondent.soft_prompt import SoftPrompt

    return SoftPrompt(np.zeros(shape, np.float32))


def controls_of(codes, **settings):
    return [run(code, target=code, seed=1000 + number, **settings) for number, code in enumerate(codes)]


def refusal(*arguments):
    with pytest.raises(RunError) as refused:
        check_together(*arguments)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_runs_that_differ_in_their_seed_and_39_controls_are_in_order():
    runs, controls = [run(), run("b", seed=1)], controls_of(COUNTRIES[:39])
    check_together(runs, controls)
    assert unlike(runs, controls, JPN) == ()
    assert unlike(runs, (), JPN) == ()


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("wordings", [2, 3], "want runs of one setting of wordings, got (0, 1) in a and (2, 3) in b"),
        ("orders", ["listed"], "want runs of one setting of orders, got ('listed', 'reversed') in a and ('listed',)"),
        ("cue", "Answer: ", "want runs of one setting of cue, got '' in a and 'Answer: ' in b"),
        ("read_out__kind", "tempered", "of read_out.kind, got 'expected' in a and 'tempered' in b"),
        ("model__template", {"thinking": False}, "of model.template, got {} in a and {'thinking': False} in b"),
        ("search__budget", 64, "want runs of one budget, got 2000 in a and 64 in b"),
    ],
)
def test_runs_of_other_forms_are_refused(setting, value, said):
    # held-out forms are those that the first run did not fit: another's fitted ones were among them
    assert said in refusal([run(), run("b", seed=1, **{setting: value})])


@pytest.mark.parametrize(
    ("setting", "value", "name"),
    [
        ("search__population_size", 8, "search.population_size"),
        ("search__name", "random", "search.name"),
        ("space__map_seed", 3, "space.map_seed"),
        ("space__start", "text:You are from Japan.", "space.start"),
        ("stop__seconds", 9, "stop.seconds"),
        ("polish__steps", 5, "polish.steps"),
        ("objective__drift_penalty", 50, "objective.drift_penalty"),
        ("objective__weights", {"PDI": 2}, "objective.weights"),
    ],
)
def test_draws_of_another_search_are_said(setting, value, name):
    others = {setting: value}
    runs = [run(), run("b", seed=1, **others)]
    check_together(runs)
    assert unlike(runs, (), JPN) == (f"the runs differ in {name}",)
    controls = controls_of(COUNTRIES[:39], **others)
    check_together(runs[:1], controls)
    assert unlike(runs[:1], controls, JPN) == (f"the controls differ from the runs in {name}",)


def test_fitted_forms_of_controls_are_said():
    controls = [*controls_of(COUNTRIES[:38]), run("z", target=COUNTRIES[38], wordings=[2], read_out__kind="greedy")]
    check_together([run()], controls)
    assert unlike([run()], controls, JPN) == ("the controls differ from the runs in wordings, read_out.kind",)


def test_each_control_may_start_from_its_own_text():
    # as those of benchmarks/verdicts.py do, of as many tokens as the text has
    own = run(space__start="text:You live in Japan.", space__tokens=7)
    controls = controls_of(COUNTRIES[:39], space__start="text:You live in China.", space__tokens=8)
    assert unlike([own], controls, JPN) == ()
    from_noise = controls_of(COUNTRIES[:39], space__start="noise")
    assert unlike([own], from_noise, JPN) == ("the controls differ from the runs in space.start",)
    longer = controls_of(COUNTRIES[:39], shape=(9, 16), space__tokens=9)
    assert unlike([run()], longer, JPN) == ("the controls have 9 to 9 tokens, the runs 8",)


def test_an_instrument_or_scores_that_were_changed_since_are_said():
    question = SimpleNamespace(instrument=SimpleNamespace(id="vsm13-own", hash="0"), target=JPN)
    assert changed_since(run(), question) == ()  # which recorded no scores
    question.instrument.hash = "1"
    assert changed_since(run(), question) == ("the file of vsm13-own was changed after the runs",)
    edited = run()
    edited.provenance["target"]["scores"] = dict(JPN.scores)
    question.instrument.hash = "0"
    assert changed_since(edited, question) == ()
    edited.provenance["target"]["scores"]["PDI"] += 1
    assert changed_since(edited, question) == ("the scores of Japan were changed after the runs",)


def test_39_copies_of_one_control_are_refused():
    # they once made a claim "supported"
    copies = [run(f"copy-{number}", target="CHN", seed=1000 + number) for number in range(39)]
    assert refusal([run()], copies) == (
        "want controls for different targets, got CHN in copy-0 and copy-1: give one run of each"
    )


@pytest.mark.parametrize(
    ("one", "other"), [("CHN", "controls.csv:CHN"), ("CHN@hofstede-2015", "CHN"), ("own.csv:China", "controls.csv:CHN")]
)
def test_one_country_under_two_names_is_one_target(one, other):
    assert f"got {other} in a and b: give one run of each" in refusal(
        [run("own")], [run("a", target=one), run("b", target=other)]
    )
    assert "but b aims at CHN as well" in refusal([run(target="CHN")], [run("b", target="controls.csv:CHN")])


def test_groups_of_one_name_in_two_tables_are_two_targets():
    check_together([run()], [run("a", target="one.csv:north"), run("b", target="two.csv:north")])


def test_too_few_real_countries_are_said():
    nonsense = [f"controls.csv:JPN-{kind}-{n}" for n in range(8) for kind in ("mirror", "shuffle")]
    invented = ["targets.csv:COUPLED-1", "TWINS-1A", "ARAB_COUNTRIES", "controls.csv:me"]
    said = "{} of {} controls are real countries, and 20 are wanted"
    for real, others in ((19, [*nonsense, *invented]), (20, [*nonsense, *invented]), (19, []), (0, nonsense)):
        controls = controls_of([*COUNTRIES[:real], *others])
        check_together([run()], controls)
        wanted = () if real == 20 else (said.format(real, len(controls)),)
        assert unlike([run()], controls, JPN) == wanted


def test_beside_a_group_of_a_table_its_other_groups_are_real(tmp_path):
    from hofsteer.instruments import load_instrument
    from hofsteer.targets.table import load_table_target

    path = tmp_path / "regions.csv"
    path.write_text("group,PDI\n" + "".join(f"region {number},{number}\n" for number in range(40)), encoding="utf-8")
    target = load_table_target(f"{path}:region 0", load_instrument("vsm13"))
    own = run(target="regions.csv:region 0")
    others = [f"regions.csv:region {n}" for n in range(1, 11)]
    searched = [f"controls.csv:regions.csv-region {n}" for n in range(11, 21)]
    assert unlike([own], controls_of([*others, *searched]), target) == ()
    mirrors = [f"controls.csv:regions.csv-region 0-mirror-{n}" for n in range(20)]
    assert unlike([own], controls_of([*others, *mirrors]), target) == (
        "10 of 30 controls are real groups, and 20 are wanted",
    )


def test_another_width_or_other_weights_are_refused_with_the_run_named():
    world = WorldRespondent(load_census())
    check_model([run(shape=(8, world.width))], world)
    with pytest.raises(RunError, match=f"want soft prompts of width {world.width}, as the model has, got 24 in b"):
        check_model([run(shape=(8, world.width)), run("b", shape=(8, 24))], world)
    other = run("b")
    other.provenance["model"]["weights_sha256"] = "f" * 64
    with pytest.raises(RunError, match="b was found on weights ffffffffffff, and the model has none"):
        check_model([run(), other], world)
