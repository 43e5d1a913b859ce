"""A group of a table of respondents as the target of a run: index and item losses, resume, evaluation."""

import json
import os
import re
import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from hofsteer import align, resume
from hofsteer.config import resolve
from hofsteer.control_runs import search_controls
from hofsteer.errors import ConfigError, RunError, TargetError
from hofsteer.evaluation import runs as evaluation_runs
from hofsteer.evaluation.evidence import Abilities
from hofsteer.evaluation.finished import open_runs
from hofsteer.evaluation.runs import Extras, evaluate_runs
from hofsteer.files import hash_bytes, hash_file
from hofsteer.instruments import Administration
from hofsteer.parts import check_settings
from hofsteer.report.verdict import sentences
from hofsteer.targets import ITEM_LOSSES, constants_for, item_loss, target_for
from hofsteer.targets.items import items_text
from hofsteer.targets.microdata import Sample, estimate_groups, table_text
from hofsteer.world import WorldRespondent, load_census

COUNTRIES = {"north": "JPN", "south": "BRA", "east": "DEU", "west": "IND"}
QUICK = {"search.budget": 160, "search.population_size": 8, "search.warm_up": 80, "space.tokens": 2}
SAME_BYTES = ("history.jsonl", "soft_prompt/adapter_model.safetensors", "evaluation.json")


@pytest.fixture(autouse=True)
def _fast_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="module")
def census():
    return load_census()


@pytest.fixture(scope="module")
def respondent(census):
    return WorldRespondent(census)


@pytest.fixture(scope="module")
def made(census, vsm13, tmp_path_factory):
    """A table of four regions of 200 respondents who answer like four countries. Only for looking at."""
    rng = np.random.default_rng([6, 1])
    answers, codes = [], []
    for number, code in enumerate(COUNTRIES.values()):
        shares = census.answers(code, Administration(vsm13))
        drawn = [rng.choice(5, size=200, p=share / share.sum()) + 1.0 for share in shares]
        answers.append(np.stack(drawn, axis=1))
        codes.append(np.full(200, number))
    n = 200 * len(COUNTRIES)
    sample = Sample(
        np.concatenate(answers), tuple(COUNTRIES), np.concatenate(codes), np.ones(n), np.zeros(n, int), np.arange(n)
    )
    return write(tmp_path_factory.mktemp("table") / "regions.csv", sample, vsm13)


def write(path, sample, vsm13):
    groups = estimate_groups(sample, vsm13, constants_for(vsm13, "midpoint"))
    text = items_text(groups, vsm13, "wave.csv")
    path.with_suffix(".items.json").write_text(text)
    items = path.with_suffix(".items.json").name, hash_bytes(text.encode())
    path.write_text(table_text(groups, vsm13.dimension_ids, "wave.csv", "midpoint", items))
    return path


@pytest.fixture
def table(made, tmp_path):
    """The table, to do with as one likes."""
    shutil.copy(made.with_suffix(".items.json"), tmp_path)
    return Path(shutil.copy(made, tmp_path))


@pytest.fixture(scope="module")
def runs(made, respondent, tmp_path_factory):
    """One finished run for the north under each loss. Only for looking at."""
    folder = tmp_path_factory.mktemp("runs")
    return {
        kind: align(respondent, f"{made}:north", out=folder / kind, settings={**QUICK, "objective.loss": kind})
        for kind in ("index", *ITEM_LOSSES)
    }


def without(table, *keys):
    return {key: value for key, value in table.items() if key not in keys}


@pytest.mark.parametrize("kind", ITEM_LOSSES)
def test_a_search_lowers_the_item_loss_that_it_minimises(kind, runs):
    run, table = runs[kind], runs[kind].to_json()
    losses = table["item_losses"]
    assert losses["aligned"][kind] < losses["naive"][kind]
    assert losses["aligned"][kind] < runs["index"].to_json()["item_losses"]["aligned"][kind]
    assert (table["minimised"], set(losses)) == (
        kind,
        {"naive", "persona", "aligned", "flat", "mean_country", "nearest"},
    )
    last = run.folder.history()[-1]
    assert last.objective == pytest.approx(losses["aligned"][kind], abs=1e-9)
    assert last.best == pytest.approx(table["loss"]["aligned"], abs=1e-9)  # in index points all the same


def test_item_losses_are_means_over_administrations_and_not_of_the_mean(runs, made, respondent, vsm13):
    run = runs["wasserstein"]
    goal = target_for(f"{made}:north", vsm13).item_goal(vsm13)
    forms = [Administration(vsm13, wording=w, order=o) for w in (0, 1) for o in ("listed", "reversed")]
    answers = respondent.respond(forms, run.soft_prompt.values[None]).probabilities[0]
    for kind in ITEM_LOSSES:
        each = [float(item_loss(kind, one, goal)) for one in answers]
        assert run.to_json()["item_losses"]["aligned"][kind] == pytest.approx(np.mean(each))
        assert float(item_loss(kind, answers.mean(axis=0), goal)) < np.mean(each) - 1e-3


def test_reference_rows(runs, made, vsm13):
    table = runs["index"].to_json()
    north, *others = (target_for(f"{made}:{name}", vsm13) for name in COUNTRIES)
    goal = north.item_goal(vsm13)
    mean = np.mean([other.item_goal(vsm13).shares for other in others], axis=0)
    near = next(other for other in others if other.name in table["nearest"]["name"])
    middle = np.tile([0.0, 0.0, 1.0, 0.0, 0.0], (len(vsm13.items), 1))
    for kind in ITEM_LOSSES:
        found = table["item_losses"]
        assert found["flat"][kind] == pytest.approx(float(item_loss(kind, middle, goal)))
        assert found["mean_country"][kind] == pytest.approx(float(item_loss(kind, mean, goal)))
        assert found["nearest"][kind] == pytest.approx(float(item_loss(kind, near.item_goal(vsm13).shares, goal)))


@pytest.mark.parametrize("kind", ITEM_LOSSES)
def test_skill_and_the_nearest_row_are_by_the_loss_that_was_minimised(kind, runs, made, vsm13):
    # both were by the index loss, whatever was searched for
    table = runs[kind].to_json()
    losses = {key: row[kind] for key, row in table["item_losses"].items()}
    assert table["skill"] == pytest.approx(1 - losses["aligned"] / losses["mean_country"])
    north, *others = (target_for(f"{made}:{name}", vsm13) for name in COUNTRIES)
    goal = north.item_goal(vsm13)
    assert losses["nearest"] == min(float(item_loss(kind, o.item_goal(vsm13).shares, goal)) for o in others)


def test_the_index_loss_is_searched_as_it_is_without_distributions(runs, table, respondent, tmp_path):
    rows = [line.split(",") for line in table.read_text().splitlines()]
    at = rows[0].index("items")
    table.write_text("\n".join(",".join(row[:at] + row[at + 2 :]) for row in rows) + "\n")
    plain = align(respondent, f"{table}:north", out=tmp_path / "plain", settings=QUICK)
    for name in SAME_BYTES[:2]:
        assert (plain.path / name).read_bytes() == (runs["index"].path / name).read_bytes()
    assert "items_sha256" not in plain.folder.read_json("provenance.json")["target"]
    assert plain.to_json()["item_losses"] == {}


@pytest.mark.parametrize("kind", ["index", *ITEM_LOSSES])
def test_resumed_run_is_the_same_run(kind, runs, table, respondent, tmp_path):
    def stop(record):
        if record.generation == 5:
            raise KeyboardInterrupt

    settings = {**QUICK, "objective.loss": kind}
    with pytest.raises(KeyboardInterrupt):
        align(respondent, f"{table}:north", out=tmp_path / "stopped", settings=settings, watch=stop)
    again = resume(tmp_path / "stopped", respondent)
    for name in SAME_BYTES:
        assert (again.path / name).read_bytes() == (runs[kind].path / name).read_bytes()
    recorded = again.folder.read_json("provenance.json")["target"]
    assert recorded["items_sha256"] == hash_file(table.with_suffix(".items.json"))
    assert (recorded["n"], set(recorded["standard_errors"])) == (200, set(recorded["scores"]))


def test_resume_refuses_a_changed_table_and_changed_distributions(table, respondent, vsm13, tmp_path):
    path = align(respondent, f"{table}:north", out=tmp_path / "run", settings={**QUICK, "search.budget": 16}).path
    before, kept = table.read_text(), table.with_suffix(".items.json")
    resume(path, respondent)

    table.write_text(before.replace("north,200,", "north,201,"))
    with pytest.raises(RunError, match=r"its target was regions.csv:north \(n 200\) and is now .*north \(n 201\)"):
        resume(path, respondent)
    table.write_text(before)

    content = json.loads(kept.read_text())
    content["groups"]["south"]["Q1"]["n"] = 7  # of another group: the file is another file all the same
    kept.write_text(json.dumps(content))
    with pytest.raises(TargetError, match=r"regions.items.json is not what its table names"):
        resume(path, respondent)
    sha256 = hash_file(kept)
    table.write_text(re.sub(r"\b[0-9a-f]{64}\b", sha256, before))
    with pytest.raises(RunError, match=rf"its target was .* and is now regions.csv:north \(items {sha256[:12]}\)"):
        resume(path, respondent)


def test_evaluation_of_runs_for_a_group(runs, respondent, monkeypatch):
    monkeypatch.setattr(evaluation_runs, "measure_abilities", lambda *_: Abilities())  # which want a language model
    (run,) = open_runs([runs["wasserstein"].path])
    found = evaluate_runs(respondent, [run], extras=Extras(texts=False, conversation=False))
    table = found.to_json()
    assert (table["target"], table["untested"]) == ("regions.csv:north", ["ivs10"])
    items = table["evidence"]["item_losses"]
    assert set(items) == set(ITEM_LOSSES)
    for losses in items.values():
        assert np.shape(losses["steered"]) == (1, len(table["held_out"]))
        assert np.mean(losses["steered"]) < np.mean(losses["naive"])
        assert 0 < losses["noise_floor"] < np.mean(losses["naive"])
    said = " ".join(sentences(found))
    assert f"Item loss W1 on these forms, 0 to 100: steered {np.mean(items['wasserstein']['steered']):.1f}" in said
    assert json.loads(json.dumps(table, allow_nan=False)) == table


def test_controls_of_a_group_are_other_groups(runs, respondent, tmp_path):
    # FILE.csv:GROUP as the name of a row in controls.csv was once read as another table
    found = search_controls(open_runs([runs["index"].path])[0], respondent, tmp_path / "controls", 2)
    assert len(found) == 2
    assert {run.target for run in found} <= {f"controls.csv:regions.csv-{name}" for name in ("south", "east", "west")}
    (own,) = open_runs([runs["wasserstein"].path])
    with pytest.raises(RunError, match=r"wasserstein has objective.loss = 'wasserstein': give runs for other groups"):
        search_controls(own, respondent, tmp_path / "none", 2)
    assert not (tmp_path / "none").exists()


def test_a_report_on_a_group_speaks_of_groups(runs):
    page = (runs["index"].path / "report.html").read_text(encoding="utf-8")
    assert "<td>mean group</td>" in page
    assert "the mean of the other groups" in page
    assert not re.search("mean country|other countries|one country", page)


def test_report_shows_both_losses(runs):
    page = (runs["jensen-shannon"].path / "report.html").read_text(encoding="utf-8")
    assert "<th>JS</th><th>index loss</th><th>W1</th><th>skill (JS)</th>" in page
    assert "Item losses, means over the items" in page
    assert "On the fitted forms the steered model&#x27;s answers lie JS" in page
    assert "By the index loss, which was not minimised, the steered model&#x27;s scores lie" in page
    card = (runs["index"].path / "soft_prompt" / "README.md").read_text(encoding="utf-8")
    assert "| loss | W1 | JS | skill |" in card
    assert "not minimised" not in card
    assert "so that the scores of world on vsm13-own items match the average of north" in card
    assert "so that the answers of world on vsm13-own items match those of north" in page
    assert "not a person of that group nor its culture" in " ".join(page.split())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"target": "JPN"},
            "objective.loss = 'wasserstein' wants a target with item distributions, a group of a table",
        ),
        (
            {"objective.weights": {"PDI": 2.0}},
            "objective.weights is of the index loss, and objective.loss = 'wasserstein'",
        ),
        ({"stop.loss": 5.0}, "stop.loss is of the index loss"),
        ({"stop.noise_floor": True}, "stop.noise_floor is of the index loss"),
        ({"objective.loss": "wassertein"}, "wasserstein"),
        ({"instrument": "ivs10"}, "regions.csv: want a table with the column group and scores on"),
    ],
)
def test_refused(settings, said, made):
    flags = {"target": f"{made}:north", "objective.loss": "wasserstein", **settings}
    with pytest.raises((ConfigError, TargetError)) as error:
        check_settings(resolve(flags=flags))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_other_items_are_refused_for_item_losses_alone(made, respondent, tmp_path):
    text = (files("hofsteer.instruments") / "data" / "vsm13-own.toml").read_text(encoding="utf-8")
    instrument = tmp_path / "mine.toml"
    instrument.write_text(re.sub(r"\bQ1\b", "X1", text), encoding="utf-8")
    flags = {**QUICK, "search.budget": 16, "instrument": str(instrument), "target": f"{made}:north"}
    with pytest.raises(ConfigError, match=r"objective.loss = 'jensen-shannon': want the items .* got X1 in "):
        check_settings(resolve(flags={**flags, "objective.loss": "jensen-shannon"}))
    del flags["target"]
    assert align(respondent, f"{made}:north", out=tmp_path / "run", settings=flags).to_json()["item_losses"] == {}
