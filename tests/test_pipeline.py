import errno
import json
import logging
import os
import platform
import re
import shutil
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

import hofsteer
from hofsteer import ScriptedRespondent, SoftPrompt, align, load_target, resume
from hofsteer.alignment.run import RunFolder
from hofsteer.config import EXPECTED, RunConfig, resolve
from hofsteer.errors import ConfigError, ModelError, RunError, SoftPromptError, TargetError
from hofsteer.instruments import Administration
from hofsteer.parts import check_settings
from hofsteer.pipeline import default_folder
from hofsteer.respondent.base import Respondent
from hofsteer.world import Mode, WorldRespondent, load_census, make_world

PERSONA = "You live in Japan."
QUICK = {"search.budget": 120, "search.population_size": 8, "space.tokens": 2}
TIMED = ("timing.jsonl", "convergence.svg", "report.html")  # what has seconds in it
SAME_BYTES = ("history.jsonl", "soft_prompt/adapter_model.safetensors", "soft_prompt/adapter_config.json")


@pytest.fixture(scope="session")
def world(vsm13):
    profiles = {code: load_target(code).vector(vsm13.dimension_ids) for code in ("USA", "JPN")}
    return make_world(vsm13, profiles, seed=1)


@pytest.fixture(scope="session")
def respondent(world):
    """Answers like the United States, and under the persona like Japan."""
    return ScriptedRespondent(world.answers("USA"), {PERSONA: world.answers("JPN")}, valid_mass=0.97)


@pytest.fixture(scope="session")
def straight(respondent, tmp_path_factory):
    """A run that nothing interrupted. Only for looking at."""
    return align(respondent, "JPN", out=tmp_path_factory.mktemp("runs") / "straight", settings=QUICK)


@pytest.fixture
def copied(straight, tmp_path):
    """The folder of a finished run, to do with as one likes."""
    return shutil.copytree(straight.path, tmp_path / "copied")


@pytest.fixture(autouse=True)
def _fast_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def stop_after(generation, error=KeyboardInterrupt):
    def watch(record):
        if record.generation == generation:
            raise error

    return watch


def contents(path):
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def message_of(kind, call, *args, **kwargs):
    with pytest.raises(kind) as caught:
        call(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def without(table, *keys):
    return {key: value for key, value in table.items() if key not in keys}


class Named(ScriptedRespondent):
    """A scripted respondent with weights to tell it by."""

    def __init__(self, answers, weights="a", **options):
        super().__init__(answers, **options)
        self.weights = weights

    def identity(self):
        return {"weights_sha256": self.weights}


# --- a whole run


def test_search_finds_less_loss_than_the_model_started_with(straight):
    loss = straight.to_json()["loss"]
    assert loss["aligned"] < loss["naive"] / 2
    assert loss["persona"] == pytest.approx(0, abs=1e-6)
    assert loss["flat"] == pytest.approx(np.abs(np.array([54, 46, 95, 92, 88, 42]) - 50).mean())
    assert straight.evaluations == 120
    assert straight.seconds == straight.folder.seconds()


def test_json_of_a_run(straight):
    result = straight.to_json()
    assert list(result) == [
        "schema", "run", "target", "evaluations", "seconds", "stopped_by", "curve", "loss", "skill", "scores",
        "valid_mass", "nearest", "noise_floor", "read_out_floor", "constants", "polish", "losses",
        "n", "standard_errors", "minimised", "item_losses", "item_noise_floors",
    ]  # fmt: skip
    assert (result["schema"], result["target"], result["run"]) == (1, "JPN", str(straight.path))
    assert list(result["loss"]) == ["naive", "persona", "flat", "mean_country", "aligned"]
    assert result["skill"] == pytest.approx(1 - result["loss"]["aligned"] / result["loss"]["mean_country"])
    assert result["valid_mass"] == pytest.approx(0.97)
    assert (result["minimised"], result["item_losses"], result["item_noise_floors"]) == ("index", {}, {})
    assert (result["n"], result["standard_errors"]) == (None, dict.fromkeys(result["scores"]))
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_files_of_a_run(straight):
    assert sorted(contents(straight.path)) == [
        *(f"best-{generation}.safetensors" for generation in (1, 15, 3, 7)),  # after 8, 64, 16 and 32 evaluations
        "checkpoint-28.safetensors",
        "checkpoint-29.safetensors",
        "config.toml",
        "convergence.svg",
        "evaluation.json",
        "history.jsonl",
        "provenance.json",
        "rendered.json",
        "report.html",
        "soft_prompt/README.md",
        "soft_prompt/adapter_config.json",
        "soft_prompt/adapter_model.safetensors",
        "state.json",
        "timing.jsonl",
    ]
    for path in straight.path.glob("*.json"):
        if path.name != "state.json":  # which has a format instead, like config.toml
            assert json.loads(path.read_text(encoding="utf-8"))["schema"] == 1


def test_final_numbers_are_those_of_the_adapter_on_disk(straight, respondent, vsm13):
    prompt = SoftPrompt.load(straight.path / "soft_prompt")
    assert (prompt.values.shape, prompt.values.dtype, prompt.base_model) == ((2, 24), np.float32, "scripted")
    answers = respondent.respond([Administration(vsm13)], prompt.values[None]).probabilities[0, 0]
    scores = vsm13.score(answers) + 50
    saved = json.loads((straight.path / "evaluation.json").read_text(encoding="utf-8"))
    spent = {"stopped_by": "evaluations", "evaluations": 120, "passes": 480}
    assert saved == {"schema": 1, **spent, **straight.evaluation.to_json()}
    aligned = saved["rows"]["aligned"]
    assert list(aligned["scores"].values()) == scores.tolist()
    loss = np.abs(scores - load_target("JPN").vector(vsm13.dimension_ids))
    assert aligned["loss"] == pytest.approx(loss.mean(), rel=1e-12)
    assert aligned["loss_sum"] == pytest.approx(loss.sum(), rel=1e-12)


def test_final_numbers_are_read_from_disk_and_not_remembered(respondent, tmp_path, monkeypatch):
    save = SoftPrompt.save
    monkeypatch.setattr(SoftPrompt, "save", lambda self, folder: save(SoftPrompt(self.values * 0), folder))
    loss = align(respondent, "JPN", out=tmp_path / "run", settings=QUICK).to_json()["loss"]
    assert loss["aligned"] == loss["naive"]


def test_anytime_curve(straight):
    curve, history = straight.to_json()["curve"], straight.folder.history()
    assert (curve["evaluations"][0], curve["evaluations"][-1], curve["passes"][-1]) == (8, 120, 480)
    assert curve["seconds"][-1] == pytest.approx(straight.seconds, abs=1e-3)
    reached = {record.evaluations: record.best for record in history}
    assert curve["loss"] == [reached[evaluations] for evaluations in curve["evaluations"]]
    assert curve["loss"] == sorted(curve["loss"], reverse=True)
    for record in history:  # the loss at any number of evaluations can be read from it
        at = np.searchsorted(curve["evaluations"], record.evaluations, side="right") - 1
        assert curve["loss"][at] == record.best


def test_a_rule_that_ends_a_search_is_recorded(respondent, tmp_path):
    settings = {**QUICK, "search.budget": 4000, "stop.loss": 12.0}
    run = align(respondent, "JPN", out=tmp_path / "run", settings=settings)
    assert (run.stopped_by, run.to_json()["stopped_by"]) == ("loss", "loss")
    assert run.evaluations < 4000
    saved = run.folder.read_json("evaluation.json")
    assert (saved["stopped_by"], saved["evaluations"], saved["passes"]) == (
        "loss",
        run.evaluations,
        4 * run.evaluations,
    )
    again = resume(run.path, respondent, watch=pytest.fail)
    assert (again.stopped_by, again.evaluations) == ("loss", run.evaluations)


def test_final_loss_is_the_best_of_the_search(straight):
    last = straight.folder.history()[-1]
    assert straight.to_json()["loss"]["aligned"] == pytest.approx(last.best, abs=1e-9)
    assert straight.to_json()["scores"] == pytest.approx(last.scores, abs=1e-9)


def test_two_wordings_in_two_orders_are_fitted_together(respondent, tmp_path):
    asked = []

    class Counting(ScriptedRespondent):
        def respond(self, administrations, soft_prompts=None, read_out=EXPECTED):
            asked.append([(a.wording, a.order) for a in administrations])
            return super().respond(administrations, soft_prompts, read_out)

    run = align(Counting(respondent.answers), "JPN", out=tmp_path / "run", settings=QUICK)
    assert all(a == [(0, "listed"), (0, "reversed"), (1, "listed"), (1, "reversed")] for a in asked)
    assert run.folder.config().wordings == (0, 1)  # which were not named
    assert [record.passes for record in run.folder.history()] == [4 * r.evaluations for r in run.folder.history()]


def test_instrument_with_one_wording(respondent, tmp_path):
    text = (files("hofsteer.instruments") / "data" / "vsm13-own.toml").read_text(encoding="utf-8")
    mine = tmp_path / "mine.toml"
    mine.write_text(re.sub(r"^wordings = \[\n(.*?\n).*?^\]", r"wordings = [\n\1]", text, flags=re.M | re.S))
    run = align(respondent, "JPN", out=tmp_path / "run", settings={**QUICK, "instrument": str(mine)})
    assert (run.folder.config().wordings, run.folder.config().orders) == ((0,), ("listed", "reversed"))


def test_what_is_minimised_stands_beside_the_loss(respondent, tmp_path):
    # valid mass 0.97: 2 points of penalty on all, so that the loss alone decides which is best
    settings = {**QUICK, "objective.mass_penalty": 100.0, "objective.mass_threshold": 0.99}
    run = align(respondent, "JPN", out=tmp_path / "run", settings=settings)
    for record in run.folder.history():
        assert record.objective == pytest.approx(record.best + 2)
    assert run.to_json()["loss"]["aligned"] == pytest.approx(record.best, abs=1e-9)


def test_weights_decide_which_soft_prompt_is_best(respondent, tmp_path):
    only = {f"objective.weights.{name}": 0.0 for name in ("IDV", "MAS", "UAI", "LTO", "IVR")}
    run = align(respondent, "JPN", out=tmp_path / "run", settings={**QUICK, **only})
    assert run.to_json()["scores"]["PDI"] == pytest.approx(54, abs=5)
    assert run.to_json()["loss"]["aligned"] > 5
    assert run.folder.config().objective.weights["IVR"] == 0


def test_settings_of_a_run_are_recorded(respondent, tmp_path):
    run = align(respondent, "jpn", preset="masoud2025", out=tmp_path / "run", settings={"search.budget": 40})
    config = run.folder.config()
    assert config == run.config
    assert (config.target, config.preset, config.model.id) == ("JPN", "masoud2025", "scripted")
    assert (config.space.tokens, config.search.budget) == (20, 40)
    assert run.soft_prompt.values.shape == (20, 24)


@pytest.mark.parametrize("preset", ["masoud2025", "masoud2025-sampled"])
def test_presets_of_the_paper_search_as_they_always_did(preset, tmp_path):
    # golden/presets.json was recorded before there were several forms, subspaces, other starts or penalties
    golden = json.loads((Path(__file__).parent / "golden" / "presets.json").read_text(encoding="utf-8"))[preset]
    respondent = ScriptedRespondent(np.full((24, 5), 0.2), valid_mass=0.95)
    run = align(respondent, "JPN", preset=preset, out=tmp_path / "run", settings={"search.budget": 200})
    history = run.folder.history()
    np.testing.assert_allclose([record.best for record in history], golden["best"], rtol=1e-9)
    np.testing.assert_allclose([record.mean for record in history], golden["mean"], rtol=1e-9)
    assert history[-1].scores == pytest.approx(golden["scores"], rel=1e-9)


def test_target_object(respondent, tmp_path):
    run = align(respondent, load_target("SAU@arab-2021-05"), out=tmp_path / "run", settings=QUICK)
    assert run.to_json()["target"] == "SAU@arab-2021-05"


def test_target_object_with_other_scores_than_its_code_is_refused(respondent, tmp_path):
    # once the published scores were taken instead, without a word
    mine = replace(load_target("JPN"), scores={"PDI": 10.0})
    message = message_of(TargetError, align, respondent, mine, out=tmp_path / "run", settings=QUICK)
    assert message == "want the published row of JPN, got a target of that code with other scores"
    assert not (tmp_path / "run").exists()


def test_default_folder(respondent, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = align(respondent, "JPN", settings=QUICK)
    second = align(respondent, "JPN", settings=QUICK)
    assert [str(run.path) for run in (first, second)] == [
        "runs/scripted-JPN-gauss-newton-0",
        "runs/scripted-JPN-gauss-newton-0-2",
    ]
    assert first.to_json()["loss"] == second.to_json()["loss"]


@pytest.mark.parametrize(
    ("model_id", "name"),
    [
        ("org/Some-8B", "Some-8B-JPN-masoud2025-3"),
        (".", "here-JPN-masoud2025-3"),
        ("../here/", "here-JPN-masoud2025-3"),
    ],
)
def test_default_folder_is_named_after_the_model(model_id, name, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    config = resolve("masoud2025", flags={"target": "Japan", "model.id": model_id, "search.seed": 3})
    assert str(default_folder(config)) == f"runs/{name}"


# --- what is refused before anything is written


@pytest.mark.parametrize(
    ("target", "settings", "kind", "message"),
    [
        ("Jpan", {}, TargetError, "did you mean 'Japan'?"),
        ("JPN", {"search.bugdet": 3}, ConfigError, "unknown setting 'search.bugdet'; did you mean 'search.budget'?"),
        ("JPN", {"search.budget": 19}, ConfigError, "wants at least the 32 evaluations of one population, got 19"),
        ("JPN", {"instrument": "vsm14"}, hofsteer.HofsteerError, "unknown instrument 'vsm14'; did you mean 'vsm13'?"),
        ("JPN", {"constants": "none"}, ConfigError, "such as midpoint; got none"),
        ("JPN", {"constants": "midpiont"}, TargetError, "did you mean 'midpoint'?"),
        ("JPN", {"objective.weights": {"PDL": 2.0}}, ConfigError, "got 'PDL'; did you mean 'PDI'?"),
        (
            "SAU@hofstede-2015",
            {"objective.weights": {"LTO": 0, "IVR": 0}},
            ConfigError,
            "objective.weights leaves no dimension that Saudi Arabia has a score on",
        ),
        ("JPN", {"wordings": [8]}, hofsteer.HofsteerError, "wanted wording 8"),
    ],
)
def test_bad_settings(target, settings, kind, message, respondent, tmp_path):
    assert message in message_of(kind, align, respondent, target, out=tmp_path / "run", settings=settings)
    assert list(tmp_path.iterdir()) == []


def test_settings_are_checked_without_a_model():
    with pytest.raises(ConfigError, match="at least the 32 evaluations"):
        check_settings(RunConfig(target="JPN", search={"budget": 10}))
    with pytest.raises(TargetError):
        check_settings(RunConfig(target="Jpan"))


@pytest.mark.parametrize(
    ("renamed", "target", "error", "want"),
    [
        ("IVR", "AND", ConfigError, "Andorra has no score on any dimension of vsm13-own"),
        (
            "PDI|IDV|MAS|UAI|LTO|IVR",
            "JPN",
            TargetError,
            "vsm13-own has no published country scores: no target is testable on it",
        ),
    ],
)
def test_target_without_any_dimension_of_the_instrument(renamed, target, error, want, respondent, tmp_path):
    text = (files("hofsteer.instruments") / "data" / "vsm13-own.toml").read_text(encoding="utf-8")
    other = tmp_path / "other.toml"
    other.write_text(re.sub(rf'^id = "({renamed})"', r'id = "X\1"', text, flags=re.M), encoding="utf-8")
    settings = {**QUICK, "instrument": str(other)}
    assert message_of(error, align, respondent, target, out=tmp_path / "run", settings=settings) == want


def test_folder_of_another_run_is_refused_and_left_alone(straight, respondent):
    before = contents(straight.path)
    message = message_of(RunError, align, respondent, "JPN", out=straight.path, settings=QUICK)
    assert message == f"{straight.path} already holds a run; resume it or choose another folder"
    assert contents(straight.path) == before


@pytest.mark.parametrize("silent", ["naive", "persona"])
def test_model_that_gives_the_options_no_mass(silent, world, tmp_path):
    # the persona is asked at the start too: a search whose end cannot be evaluated would be lost
    class Silent(ScriptedRespondent):
        def respond(self, administrations, soft_prompts=None, read_out=EXPECTED):
            self.valid_mass = 1e-12 if (administrations[0].system is None) == (silent == "naive") else 1.0
            return super().respond(administrations, soft_prompts, read_out)

    message = message_of(ModelError, align, Silent(world.answers("USA")), "JPN", out=tmp_path / "run", settings=QUICK)
    assert message.startswith(f"no usable answers (scripted, {silent}): the model gives no probability to the answer")
    assert list(tmp_path.iterdir()) == []


def test_search_that_cannot_start_leaves_no_folder(world, tmp_path):
    class OnlyWithout(ScriptedRespondent):
        def respond(self, administrations, soft_prompts=None, read_out=EXPECTED):
            self.valid_mass = 1.0 if soft_prompts is None else 1e-12
            return super().respond(administrations, soft_prompts, read_out)

    respondent = OnlyWithout(world.answers("USA"))
    message = message_of(RunError, align, respondent, "JPN", out=tmp_path / "run", settings=QUICK)
    assert message.startswith("every candidate of the first generation failed; the first one: the model gives no prob")
    assert list(tmp_path.iterdir()) == []


def test_full_disk_at_the_first_commit_leaves_no_folder(respondent, tmp_path, monkeypatch):
    def full(descriptor):
        if (tmp_path / "run").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    message = message_of(RunError, align, respondent, "JPN", out=tmp_path / "run", settings=QUICK)
    assert message.endswith("No space left on device; no generation was finished")
    assert list(tmp_path.iterdir()) == []


# --- resume


def test_resume_of_a_finished_run_changes_nothing(copied, straight, respondent):
    before = contents(copied)
    again = resume(copied, respondent, watch=pytest.fail).to_json()
    assert without(again, "run") == without(straight.to_json(), "run")
    assert contents(copied) == before


@pytest.mark.parametrize("name", ["shade", "lshade", "sep-cma", "cma", "pso", "random"])
def test_every_search_spends_its_budget_and_survives_an_interrupt(name, respondent, tmp_path):
    settings = {"search.name": name, "search.population_size": 8, "search.budget": 60, "space.tokens": 2}
    straight = align(respondent, "JPN", out=tmp_path / "straight", settings=settings)
    evaluations = [record.evaluations for record in straight.folder.history()]
    assert 52 < evaluations[-1] <= 60
    sizes = np.diff([0, *evaluations])
    assert (sizes[-1] < 8) == (name == "lshade")  # its population shrinks
    with pytest.raises(KeyboardInterrupt):
        align(respondent, "JPN", out=tmp_path / "stopped", settings=settings, watch=stop_after(3))
    resume(tmp_path / "stopped", respondent)
    for file in ("history.jsonl", "soft_prompt/adapter_model.safetensors"):
        assert (tmp_path / "stopped" / file).read_bytes() == (straight.path / file).read_bytes()


class Worded(ScriptedRespondent):
    """A scripted respondent with a vocabulary of 60 tokens, as wide as the survey has items."""

    def vocabulary(self):
        import torch

        from hofsteer.respondent.vocabulary import Vocabulary

        rows = torch.from_numpy(np.random.default_rng([4, 1]).normal(size=(60, self.width)))

        class Tokenizer:
            bos_token_id, all_special_ids = 1, (0, 1)

            def __len__(self):
                return 60

            def __call__(self, text, add_special_tokens):
                return {"input_ids": [2 + ord(letter) % 58 for letter in text]}

        return Vocabulary(lambda ids: rows[ids], 60, Tokenizer(), "worded")


@pytest.fixture
def worded(respondent):
    return Worded(respondent.answers, respondent.personas, 0.97)


@pytest.mark.parametrize(
    "space",
    [
        {"coordinates": 3},
        {"coordinates": 3, "map": "pca", "norm_limit": True},
        {"start": "vocabulary", "bos": True},
        {"start": "text:You live in Japan.", "coordinates": 4},
        {"start": "run"},
    ],
    ids=lambda space: "-".join(space),
)
def test_every_space_and_start_survives_an_interrupt(space, worded, straight, tmp_path):
    if space.get("start") == "run":
        space = {"start": f"run:{straight.path}"}
    settings = {**QUICK, "search.budget": 48, **{f"space.{key}": value for key, value in space.items()}}
    whole = align(worded, "JPN", out=tmp_path / "straight", settings=settings)
    for stop in (0, 3):
        path = tmp_path / f"stopped-{stop}"
        with pytest.raises(KeyboardInterrupt):
            align(worded, "JPN", out=path, settings=settings, watch=stop_after(stop or 1))
        if stop == 0:  # as if it had been stopped before the first commit
            (path / "state.json").unlink()
        resume(path, worded)
        for name in SAME_BYTES:
            assert (path / name).read_bytes() == (whole.path / name).read_bytes()
    assert whole.to_json()["loss"]["aligned"] == pytest.approx(whole.folder.history()[-1].best, abs=1e-9)


def test_a_warm_start_begins_where_the_other_run_ended(worded, straight, tmp_path):
    settings = {**QUICK, "search.budget": 8, "space.start": f"run:{straight.path}"}
    run = align(worded, "JPN", out=tmp_path / "run", settings=settings)
    assert run.folder.history()[0].best <= straight.folder.history()[-1].best + 1e-9
    start = run.folder.read_json("provenance.json")["start"]
    assert start == {"kind": "run", **straight.soft_prompt.identity()}
    (note,) = run.evaluation.notes
    assert start["sha256"][:12] in note
    for name in ("report.html", "soft_prompt/README.md", "evaluation.json"):
        assert note in (run.path / name).read_text(encoding="utf-8")


def test_a_start_that_changed_before_the_first_commit_is_refused(worded, straight, tmp_path):
    source = shutil.copytree(straight.path / "soft_prompt", tmp_path / "source")
    path, settings = tmp_path / "run", {**QUICK, "search.budget": 16, "space.start": f"run:{source}"}
    with pytest.raises(KeyboardInterrupt):
        align(worded, "JPN", out=path, settings=settings, watch=stop_after(1))
    SoftPrompt(straight.soft_prompt.values * 2).save(source)
    resume(shutil.copytree(path, tmp_path / "committed"), worded)  # which needs it no more
    (path / "state.json").unlink()
    assert message_of(RunError, resume, path, worded).startswith(f"{path} cannot be resumed: its start was ")


def test_a_start_from_a_text_is_named_in_the_report(worded, tmp_path):
    settings = {**QUICK, "search.budget": 8, "space.start": "text:You live in Japan."}
    run = align(worded, "JPN", out=tmp_path / "run", settings=settings)
    assert run.folder.read_json("provenance.json")["start"] == {"kind": "text", "text": "You live in Japan."}
    assert "a persona in disguise" in (run.path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("space", "error", "message"),
    [
        ({"coordinates": 99}, ConfigError, "space.coordinates wants at most the 24 numbers of a row, got 99"),
        ({"norm_limit": True}, ModelError, "scripted has no vocabulary"),
        ({"start": "vocabulary"}, ModelError, "scripted has no vocabulary"),
        ({"start": "run:nowhere"}, SoftPromptError, "want a run or a PEFT adapter, but nowhere has no adapter_config"),
    ],
)
def test_spaces_and_starts_that_cannot_be(space, error, message, respondent, tmp_path):
    settings = {**QUICK, **{f"space.{key}": value for key, value in space.items()}}
    assert message in message_of(error, align, respondent, "JPN", out=tmp_path / "run", settings=settings)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seed", range(3))
def test_interrupted_run_ends_with_the_same_bytes(seed, straight, respondent, tmp_path):
    stops = sorted(np.random.default_rng([seed, 21]).choice(np.arange(1, 16), size=3, replace=False).tolist())
    path = tmp_path / "interrupted"
    with pytest.raises(KeyboardInterrupt):
        align(respondent, "JPN", out=path, settings=QUICK, watch=stop_after(stops[0]))
    for stop in stops[1:]:
        with pytest.raises(KeyboardInterrupt):
            resume(path, respondent, watch=stop_after(stop))
        assert RunFolder.open(path).committed_generation() == stop
    run = resume(path, respondent)
    here, there = contents(path), contents(straight.path)
    assert without(here, *TIMED, "state.json") == without(there, *TIMED, "state.json")
    assert json.loads(here["state.json"]) == json.loads(there["state.json"])
    assert without(run.to_json(), "run", "seconds", "curve") == without(straight.to_json(), "run", "seconds", "curve")


def test_interrupt_before_the_first_commit_can_be_resumed(straight, respondent, tmp_path):
    class Interrupted(ScriptedRespondent):
        def respond(self, administrations, soft_prompts=None, read_out=EXPECTED):
            if soft_prompts is not None:
                raise KeyboardInterrupt
            return super().respond(administrations, soft_prompts, read_out)

    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        align(Interrupted(respondent.answers, respondent.personas, 0.97), "JPN", out=path, settings=QUICK)
    resume(path, respondent)
    assert (path / "history.jsonl").read_bytes() == (straight.path / "history.jsonl").read_bytes()


def test_error_after_a_commit_leaves_the_run(straight, respondent, tmp_path):
    path = tmp_path / "run"
    with pytest.raises(ZeroDivisionError):
        align(respondent, "JPN", out=path, settings=QUICK, watch=stop_after(4, ZeroDivisionError))
    resume(path, respondent)
    for name in SAME_BYTES:
        assert (path / name).read_bytes() == (straight.path / name).read_bytes()


def test_full_disk_while_the_result_is_written(straight, respondent, tmp_path, monkeypatch):
    path = tmp_path / "run"

    def full(descriptor):
        if (path / "soft_prompt").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        message = message_of(RunError, align, respondent, "JPN", out=path, settings=QUICK)
    assert message == (
        f"cannot write to {path}: No space left on device; the run stands at generation 29, free some space and resume"
    )
    resume(path, respondent)
    for name in (*SAME_BYTES, "evaluation.json"):
        assert (path / name).read_bytes() == (straight.path / name).read_bytes()


def test_resume_with_other_weights_is_refused(world, tmp_path):
    path = align(Named(world.answers("USA")), "JPN", out=tmp_path / "run", settings=QUICK).path
    before = contents(path)
    message = message_of(RunError, resume, path, Named(world.answers("USA"), weights="b" * 64))
    assert message == (
        f"{path} cannot be resumed: its model was scripted (weights a) and is now scripted (weights bbbbbbbbbbbb)"
    )
    assert contents(path) == before


def test_resume_with_a_changed_instrument_is_refused(respondent, tmp_path):
    instrument = tmp_path / "mine.toml"
    shutil.copy(str(files("hofsteer.instruments") / "data" / "vsm13-own.toml"), instrument)
    path = align(respondent, "JPN", out=tmp_path / "run", settings={**QUICK, "instrument": str(instrument)}).path
    resume(path, respondent)
    with instrument.open("a", encoding="utf-8") as file:
        file.write("# one more line\n")
    message = message_of(RunError, resume, path, respondent)
    assert message.startswith(f"{path} cannot be resumed: its instrument was ")


@pytest.mark.parametrize("key", ["target", "constants", "rendered_sha256"])
def test_resume_towards_something_else_is_refused(key, copied, respondent):
    # a newer hofsteer may ship other scores: losses of before and after could not be compared
    path = copied / "provenance.json"
    provenance = json.loads(path.read_text(encoding="utf-8"))
    match key:
        case "target":
            provenance["target"]["scores"]["PDI"] += 1
        case "constants":
            provenance["constants"]["values"][0] += 1
        case _:
            provenance[key] = "0" * 64
    path.write_text(json.dumps(provenance), encoding="utf-8")
    message = message_of(RunError, resume, copied, respondent)
    assert message.startswith(f"{copied} cannot be resumed: its {key} was ")
    assert "{" not in message
    assert len(message) < len(str(copied)) + 150


def test_resume_with_another_kind_of_respondent_is_refused(tiny, respondent, tmp_path):
    path = align(tiny, "JPN", out=tmp_path / "run", settings={**SMALL, "search.budget": 8}).path
    message = message_of(RunError, resume, path, respondent)
    assert message.startswith(f"{path} cannot be resumed: its model was ")


def test_resume_under_other_conditions_says_so(copied, respondent, caplog):
    resume(copied, respondent)
    assert caplog.records == []
    path = copied / "state.json"
    state = json.loads(path.read_text(encoding="utf-8"))
    state["environment"]["threads"] = 99
    path.write_text(json.dumps(state), encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        resume(copied, respondent)
    (record,) = caplog.records
    assert "threads was 99 and is now" in record.getMessage()
    assert "may differ in the last digits" in record.getMessage()


def test_resume_of_what_is_no_run(tmp_path, respondent):
    message = message_of(RunError, resume, tmp_path / "none", respondent)
    assert message == f"want a run folder, but {tmp_path / 'none'} has no config.toml"


# --- constants that rest on answers


@pytest.fixture
def world_respondent():
    return WorldRespondent(load_census())


TIED = {"search.budget": 24, "search.population_size": 8, "space.tokens": 1, "wordings": [0], "orders": ["listed"]}


@pytest.mark.parametrize("policy", ["fitted", "anchor:usa,CHN,BRA,DEU,NGA"])
def test_fitted_constants_are_fixed_before_the_search_and_kept(policy, world_respondent, tmp_path, caplog):
    settings = {**TIED, "constants": policy}
    straight = align(world_respondent, "JPN", out=tmp_path / "straight", settings=settings)
    assert caplog.records == []
    assert straight.config.constants == policy.replace("usa", "USA")
    kinds = [table["kind"] for table in straight.to_json()["constants"]]
    assert kinds == list(dict.fromkeys([straight.config.constants, "midpoint", "fitted"]))
    provenance = straight.folder.read_json("provenance.json")
    assert [t["kind"] for t in (provenance["constants"], *provenance["other_constants"])] == kinds
    values = np.array(provenance["constants"]["values"])
    rows = straight.evaluation.rows
    np.testing.assert_allclose(rows["flat"].scores, values)
    for row in straight.to_json()["losses"].values():
        assert list(row) == kinds
    shifted = rows["aligned"].scores - values + 50 - load_target("JPN").vector(straight.evaluation.dimensions)
    assert rows["aligned"].losses["midpoint"] == pytest.approx(np.abs(shifted).mean())
    assert rows["aligned"].losses[kinds[0]] == pytest.approx(rows["aligned"].loss)
    with pytest.raises(KeyboardInterrupt):
        align(world_respondent, "JPN", out=tmp_path / "stopped", settings=settings, watch=stop_after(1))
    resume(tmp_path / "stopped", world_respondent)
    here, there = contents(tmp_path / "stopped"), contents(straight.path)
    assert without(here, *TIMED, "state.json") == without(there, *TIMED, "state.json")


def test_resume_asks_some_personas_again(world_respondent, tmp_path):
    path = align(world_respondent, "JPN", out=tmp_path / "run", settings={**TIED, "constants": "fitted"}).path

    class Moved(WorldRespondent):
        def respond(self, administrations, soft_prompts=None, read_out=EXPECTED):
            asked = [replace(a, system=a.system and "You live in Brazil.") for a in administrations]
            return super().respond(asked, soft_prompts, read_out)

    message = message_of(RunError, resume, path, Moved(load_census()))
    assert message.startswith(f"{path} cannot be resumed: under personas the model's scores are up to ")
    assert message.endswith("points from those that its constants were fitted to, and 0.5 are allowed")


@pytest.mark.parametrize(
    ("change", "want"),
    [
        (lambda c: c["values"].__setitem__(0, 0.0), "cannot be resumed: its constants was [0.0, "),
        (lambda c: c.pop("countries"), "the constants in provenance.json cannot be read: they rest on no answers"),
        (lambda c: c.pop("values"), "the constants in provenance.json cannot be read"),
    ],
)
def test_resume_with_other_fitted_constants_is_refused(change, want, world_respondent, tmp_path):
    path = align(world_respondent, "JPN", out=tmp_path / "run", settings={**TIED, "constants": "fitted"}).path
    provenance = json.loads((path / "provenance.json").read_text(encoding="utf-8"))
    change(provenance["constants"])
    (path / "provenance.json").write_text(json.dumps(provenance), encoding="utf-8")
    assert want in message_of(RunError, resume, path, world_respondent)


def test_constants_that_do_not_help_are_said(tmp_path, caplog):
    deaf = WorldRespondent(load_census(), Mode(personas=False))
    run = align(deaf, "JPN", out=tmp_path / "run", settings={**TIED, "constants": "anchor:USA,CHN,JPN"})
    warnings = [record.getMessage() for record in caplog.records]
    assert any("hardly follow the published ones on PDI, IDV" in warning for warning in warnings)
    note = "The target JPN is one of the anchors: the constants were fitted to its own published scores."
    assert note in warnings
    assert run.evaluation.notes == (note,)
    assert "Warning: under personas the scores hardly follow" in (run.path / "report.html").read_text(encoding="utf-8")


# --- with a language model


@pytest.fixture
def folder(tiny_folder, tmp_path):
    return shutil.copytree(tiny_folder, tmp_path / "tiny-llama")


ONE_FORM = {"wordings": [0], "orders": ["listed"]}
SMALL = {"search.budget": 16, "search.population_size": 4, "space.tokens": 2, **ONE_FORM}


def test_run_of_a_language_model(folder, tmp_path):
    path = tmp_path / "run"
    run = align(Respondent.from_pretrained(str(folder)), "JPN", out=path, settings=SMALL)
    assert run.to_json()["loss"]["aligned"] == pytest.approx(run.folder.history()[-1].best, abs=1e-3)
    provenance = json.loads((path / "provenance.json").read_text(encoding="utf-8"))
    assert provenance["model"]["id"] == "tiny-llama"
    assert len(provenance["model"]["weights_sha256"]) == 64
    assert provenance["versions"]["hofsteer"] == hofsteer.__version__
    assert None not in provenance["versions"].values()
    names = (platform.node(), os.environ.get("USER", ""), str(Path.home()))
    private = [str(tmp_path), "/tmp/", *(name for name in names if len(name) > 5)]  # `root` is part of many words
    for name in ("provenance.json", "state.json", "soft_prompt/adapter_config.json", "soft_prompt/README.md"):
        text = (path / name).read_text(encoding="utf-8")
        assert [secret for secret in private if secret in text] == []
        assert re.findall(r'"/[^"]*"', text) == []
    for name in ("report.html", "evaluation.json"):
        assert str(tmp_path) not in (path / name).read_text(encoding="utf-8")


def test_rendered_tokens_are_used_again_on_resume(folder, tmp_path):
    # some chat templates print today's date: tomorrow's run must ask what was asked today
    straight = align(Respondent.from_pretrained(str(folder)), "JPN", out=tmp_path / "straight", settings=SMALL)
    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        align(Respondent.from_pretrained(str(folder)), "JPN", out=path, settings=SMALL, watch=stop_after(2))
    template = folder / "chat_template.jinja"
    template.write_text("<bos>Tuesday " + template.read_text(encoding="utf-8").removeprefix("<bos>"), encoding="utf-8")
    assert Respondent.from_pretrained(str(folder)).tokenizer.chat_template.startswith("<bos>Tuesday")
    run = resume(path)  # loads the model by itself
    for name in (*SAME_BYTES, "rendered.json", "evaluation.json"):
        assert (path / name).read_bytes() == (straight.path / name).read_bytes()
    assert run.to_json()["loss"] == straight.to_json()["loss"]


def test_drift_is_penalised_and_its_text_used_again_on_resume(folder, tmp_path):
    settings = {**SMALL, "objective.drift_penalty": 5.0}
    straight = align(Respondent.from_pretrained(str(folder)), "JPN", out=tmp_path / "straight", settings=settings)
    last = straight.folder.history()[-1]
    assert last.objective == pytest.approx(last.best + 5 * last.drift)
    assert (last.passes, last.evaluations) == (32, 16)
    rows = straight.evaluation.rows
    assert rows["aligned"].drift == pytest.approx(last.drift, rel=1e-4)
    assert (rows["naive"].drift, rows["flat"].drift) == (0.0, None)
    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        align(Respondent.from_pretrained(str(folder)), "JPN", out=path, settings=settings, watch=stop_after(2))
    template = folder / "chat_template.jinja"
    template.write_text("<bos>Tuesday " + template.read_text(encoding="utf-8").removeprefix("<bos>"), encoding="utf-8")
    resume(path)
    for name in SAME_BYTES:
        assert (path / name).read_bytes() == (straight.path / name).read_bytes()


def test_resume_with_changed_weights_is_refused(folder, tmp_path):
    from safetensors.numpy import load_file, save_file

    path = align(Respondent.from_pretrained(str(folder)), "JPN", out=tmp_path / "run", settings=SMALL).path
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"] * np.float32(1.001)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    message = message_of(RunError, resume, path)
    assert message.startswith(f"{path} cannot be resumed: its model was ")


def test_adapter_of_another_width_is_refused(tiny, respondent, vsm13, straight):
    with pytest.raises(SoftPromptError, match=r"want soft prompts \(candidates, tokens, 32\)"):
        tiny.respond([Administration(vsm13)], straight.soft_prompt.values[None])


def test_a_run_in_use_is_left_alone(neutral_answers, tmp_path):
    respondent = ScriptedRespondent(neutral_answers)
    run = hofsteer.align(respondent, "JPN", out=tmp_path / "run", settings={"search.budget": 40})
    before = {path.name: path.read_bytes() for path in run.path.iterdir() if path.is_file()}
    with run.folder.locked(), pytest.raises(RunError, match="is in use by another process"):
        hofsteer.resume(run.path, respondent)
    assert {path.name: path.read_bytes() for path in run.path.iterdir() if path.is_file()} == before


def test_model_settings_belong_to_the_respondent(neutral_answers, tmp_path):
    settings = {"model.dtype": "float16"}
    with pytest.raises(ConfigError, match=r"model\.dtype is a setting of the respondent"):
        hofsteer.align(ScriptedRespondent(neutral_answers), "JPN", out=tmp_path / "run", settings=settings)
