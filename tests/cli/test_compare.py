"""The comparison: every cell from a file or a run folder, resumable, and scored alike."""

import csv
import json
import shutil
import subprocess
import sys
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children
from typing import ClassVar

import pytest
import torch

from hofsteer import comparison_runs
from hofsteer.alignment.run import RunFolder
from hofsteer.comparison import Comparison
from hofsteer.errors import RunError
from hofsteer.evaluation.plan import log_opening
from hofsteer.parts import make_objective
from hofsteer.record import provenance_of
from hofsteer.respondent.hf import HFRespondent

SMALL = ("--set", "search.population_size=4", "--set", "space.tokens=2", "--set", "wordings=[0]")
FORM = ("--set", 'orders=["listed"]', "--set", "constants=midpoint")


@pytest.fixture
def compared(hofsteer, tiny_folder, tmp_path):
    def compared(*options, methods="naive,persona,persona-best,scores-in-words,icl,random,de"):
        return hofsteer(
            "compare", "--model", tiny_folder, "--targets", "JPN,china", "--methods", methods, "--seeds", "2",
            "--budget", "8", "--out", tmp_path / "all", *SMALL, *FORM, *options,
        )  # fmt: skip

    return compared


@pytest.mark.slow
def test_every_cell_has_its_file_and_is_used_again(compared, tmp_path):
    table = compared("--json").json()
    out = tmp_path / "all"
    assert (table["targets"], table["seeds"]) == (["JPN", "CHN"], [0, 1])
    methods = {cell["method"] for cell in table["cells"]}
    assert methods == {
        "naive", "persona", "persona-best", "scores-in-words", "icl", "random", "de",
        "flat", "mean-country", "nearest", "table",
    }  # fmt: skip
    assert len(table["cells"]) == 2 * (4 + 6 + 2)
    assert {path.name for path in (out / "runs").iterdir()} == {f"{t}-de-{s}" for t in ("JPN", "CHN") for s in (0, 1)}
    assert len(list((out / "cells").iterdir())) == 12
    losses = {(c["target"], c["method"]): c["fitted"] for c in table["cells"]}
    assert losses["JPN", "persona-best"] <= losses["JPN", "persona"]
    assert losses["JPN", "table"] < 1e-6
    with (out / "cells.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(table["cells"])
    assert {row["kind"] for row in table["statistics"]["rows"]} == {"mean", "between-targets", "difference"}
    assert {row["word"] for row in table["statistics"]["rows"] if row["kind"] == "difference"} == {"no verdict"}
    mean = {row["method"]: row["value"] for row in table["statistics"]["rows"] if row["kind"] == "mean"}
    assert mean["de"] == pytest.approx(sum(c["held_out"] for c in table["cells"] if c["method"] == "de") / 4)
    errors = {cell["target"]: cell["held_out_errors"] for cell in table["cells"] if cell["method"] == "naive"}
    (between,) = [r for r in table["statistics"]["rows"] if (r["kind"], r["method"]) == ("between-targets", "naive")]
    apart = [abs(one - other) for one, other in zip(errors["JPN"], errors["CHN"], strict=True)]
    assert between["value"] == pytest.approx(sum(apart) / 6)
    with (out / "statistics.csv").open(encoding="utf-8") as file:
        assert [row["value"] for row in csv.DictReader(file)] == [str(r["value"]) for r in table["statistics"]["rows"]]
    page = (out / "table.md").read_text(encoding="utf-8")
    assert "| method | JPN | CHN |" in page
    assert "No verdict: 2 search seeds, and 10 are wanted." in page
    assert "Below 3 seeds there is no interval." in page
    assert "| naive | persona | " in page

    times = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.parent != out and path.is_file()}
    shutil.rmtree(out / "runs" / "CHN-de-1")
    older = out / "cells" / "JPN-icl.json"  # as it was before losses by form were kept
    cell = json.loads(older.read_text(encoding="utf-8"))["cell"]
    older.write_text(json.dumps({k: v for k, v in cell.items() if k not in ("held_out_forms", "item_losses")}))
    again = compared("--json").json()
    assert again["cells"] == table["cells"]
    kept = {path: path.stat().st_mtime_ns for path in times if "CHN-de-1" not in str(path) and path != older}
    assert kept == {path: time for path, time in times.items() if path in kept}


def test_the_searched_cells_are_those_of_the_run_folders(compared, tmp_path):
    table = compared("--json", methods="de").json()
    for cell in table["cells"]:
        if cell["method"] == "de":
            folder = tmp_path / "all" / "runs" / f"{cell['target']}-de-{cell['seed']}"
            saved = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
            assert cell["fitted"] == pytest.approx(saved["rows"]["aligned"]["loss"], abs=1e-9)


@pytest.fixture
def here(monkeypatch):
    """Let this process make no run and no pool, but what a test puts in their places."""

    def never(*args, **kwargs):
        raise AssertionError("made in this process")

    def here(**instead):
        for name in ("start", "resume", "ProcessPoolExecutor"):
            monkeypatch.setattr(comparison_runs, name, instead.get(name, never))

    return here


@pytest.mark.slow
def test_two_processes_find_what_one_finds(compared, here, tmp_path):
    asked = ("--json", "--targets", "JPN")
    one = compared(*asked, methods="naive,de").json()
    shutil.rmtree(tmp_path / "all")
    here(ProcessPoolExecutor=ProcessPoolExecutor)
    two = compared(*asked, "--workers", "2", methods="naive,de").json()
    assert [(c["target"], c["method"], c["seed"]) for c in two["cells"]] == [
        (c["target"], c["method"], c["seed"]) for c in one["cells"]
    ]
    for theirs, ours in zip(two["cells"], one["cells"], strict=True):
        assert theirs["held_out"] == pytest.approx(ours["held_out"], abs=1e-4)


@pytest.mark.slow
def test_an_error_in_one_process_ends_the_others(tiny, tmp_path):
    settings = {"search.budget": 2000, "wordings": [0], "orders": ["listed"], "constants": "midpoint"}
    asked = Comparison(("JPN",), ("de",), (0, 1), settings, tmp_path)
    config = asked.search("de", "JPN", 0).model_copy(update={"constants": "midpoint"})
    rendered = {"administrations": []}
    recorded = provenance_of(config, make_objective(config, tiny), rendered)
    recorded |= {"start": {"kind": "noise"}, "constants": None}
    (tmp_path / "runs").mkdir()
    RunFolder.create(tmp_path / "runs" / "JPN-de-0", config, recorded, rendered)
    with pytest.raises(RunError, match="cannot be resumed: its constants was"):
        comparison_runs.search_side_by_side(asked, tiny, 2)
    assert not active_children()
    assert not (tmp_path / "runs" / "JPN-de-1" / "evaluation.json").exists()


KILLED = """
import os, signal
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from hofsteer.comparison_runs import _prepare
from time import sleep

if __name__ == "__main__":
    pool = ProcessPoolExecutor(1, get_context("spawn"), _prepare, (1,))
    print(pool.submit(abs, -7).result(), flush=True)
    pool.submit(sleep, 600)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_processes_end_with_a_main_one_that_was_killed(tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(KILLED, encoding="utf-8")
    ran = subprocess.run([sys.executable, script], stdout=subprocess.PIPE, timeout=120)  # until nobody holds the pipe
    assert ran.stdout == b"7\n"


class KilledPool:
    """A pool whose processes are killed at once."""

    made: ClassVar[list[tuple[object, ...]]] = []

    def __init__(self, workers, context, initializer, arguments):
        self.made.append((workers, arguments))

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        pass

    def submit(self, *call):
        future = Future()
        future.set_exception(BrokenProcessPool())
        return future


def test_a_killed_process_is_one_line_and_no_more_are_made_than_runs_are_missing(compared, here, monkeypatch):
    monkeypatch.setattr(KilledPool, "made", [])
    here(ProcessPoolExecutor=KilledPool)
    result = compared("--workers", "9", methods="de")
    assert result.code == 2
    assert "one of 4 search processes was killed, probably for memory: ask for fewer --workers" in result.err
    assert result.err.count("\n") == 1
    assert KilledPool.made == [(4, (4,))]


def test_a_model_that_is_not_on_the_cpu_is_refused_more_workers(compared, here, monkeypatch):
    here()
    monkeypatch.setattr(HFRespondent, "device", torch.device("cuda"))
    result = compared("--workers", "2", methods="de")
    assert result.code == 2
    assert "want one worker for a model on cuda, got 2" in result.err


def test_a_folder_of_another_comparison_is_not_mixed_in(compared, here):
    assert compared(methods="de").code == 0
    here()
    assert compared("--workers", "2", methods="de").code == 0  # nothing is missing
    for workers in (1, 2):
        result = compared("--workers", workers, "--set", "search.crossover_rate=0.1", methods="de")
        assert result.code == 2
        assert "was made with other settings: compare into another folder, or remove it" in result.err


def test_the_paper_s_experiment_is_read(hofsteer, refused, tiny_folder, tmp_path):
    from pathlib import Path

    experiment = Path(__file__).parents[2] / "experiments" / "masoud2025.toml"
    said = refused("compare", "--experiment", experiment, "--model", tiny_folder, "--set", "search.budgt=3")
    assert "budgt" in said
    modern = Path(__file__).parents[2] / "experiments" / "modern.toml"
    (tmp_path / "cwd" / "odd.toml").write_text('target = ["JPN"]\n', encoding="utf-8")
    assert modern.is_file()
    assert "settings or notes, got 'target'" in refused("compare", "--experiment", "odd.toml")


def test_refused(refused):
    assert "got 'icll'; did you mean 'icl'" in refused("compare", "--methods", "naive,icll")
    assert "did you mean" in refused("compare", "--targets", "Japn", "--methods", "naive")


def test_what_is_kept_for_one_table_is_not_taken_for_another_of_its_name(hofsteer, tiny_folder, tmp_path):
    for folder, score in (("a", 30), ("b", 90)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "t.csv").write_text(f"group,PDI,IDV\nnorth,{score},50\nsouth,80,20\n", encoding="utf-8")

    def losses(folder):
        asked = ("compare", "--model", tiny_folder, "--targets", f"../{folder}/t.csv:north", "--methods", "naive")
        cells = hofsteer(*asked, "--out", tmp_path / "all", *FORM, "--set", "wordings=[0]", "--json").json()["cells"]
        return next(cell["held_out_forms"] for cell in cells if cell["method"] == "naive")

    first, second = losses("a"), losses("b")
    assert first != second
    assert losses("a") == first


@pytest.fixture
def japan(hofsteer, tiny_folder, tmp_path):
    """Compare for one target and one seed, quickly."""

    def japan(*options, methods="naive,de", model=tiny_folder):
        return hofsteer(
            "compare", "--model", model, "--targets", "JPN", "--methods", methods, "--seeds", "1", "--budget", "4",
            "--out", tmp_path / "all", "--set", "search.population_size=4", "--set", "space.tokens=2", *FORM, *options,
        )  # fmt: skip

    return japan


def held_out(result, method="naive"):
    return next(cell["held_out_forms"] for cell in result.json()["cells"] if cell["method"] == method)


def test_a_baseline_kept_under_other_settings_is_made_again(japan, tmp_path):
    """It was taken for the same: what had been scored on wording 0 stood in a table of wording 3."""
    first = held_out(japan("--set", "wordings=[0]", "--json", methods="naive"))
    kept = (tmp_path / "all" / "cells" / "JPN-naive.json").read_bytes()
    other = held_out(japan("--set", "wordings=[3]", "--json", methods="naive"))
    assert other != first
    assert held_out(japan("--set", "wordings=[0]", "--json", methods="naive")) == first
    assert (tmp_path / "all" / "cells" / "JPN-naive.json").read_bytes() == kept


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("--set", "wordings=[3]"), "want wordings [3], got [0]"),
        (("--set", "wordings=[0]", "--set", "cue=So"), "want cue So, got "),
        (("--set", "wordings=[0]", "--set", "read_out.kind=greedy"), "want read_out.kind greedy, got expected"),
        (("--set", "wordings=[0]", "--set", "objective.weights={PDI=2}"), "want objective.weights.PDI 2.0, got none"),
        (("--set", "wordings=[0]", "--set", "model.dtype=bfloat16"), "want model.dtype bfloat16, got float32"),
    ],
)
def test_a_run_of_other_settings_is_named_with_what_differs(change, said, japan, here):
    """A search that had fitted wording 0 was scored on wording 0 as held out."""
    assert japan("--set", "wordings=[0]").code == 0
    here()
    assert japan("--set", "wordings=[0]").code == 0
    result = japan(*change)
    assert result.code == 2
    assert "was made with other settings: compare into another folder, or remove it" in result.err
    assert said in result.err
    assert result.err.count("\n") == 1


def test_other_weights_are_told_and_another_place_is_not(japan, here, folder, tmp_path):
    from safetensors.numpy import load_file, save_file

    one_form = ("--set", "wordings=[0]", "--json")
    first = held_out(japan(*one_form, model=folder))
    here()
    moved = shutil.move(folder, tmp_path / "elsewhere")
    assert held_out(japan(*one_form, model=moved)) == first
    weights = load_file(tmp_path / "elsewhere" / "model.safetensors")
    weights["lm_head.weight"] = weights["lm_head.weight"] * 2
    save_file(weights, tmp_path / "elsewhere" / "model.safetensors", metadata={"format": "pt"})
    assert held_out(japan(*one_form, model=moved, methods="naive")) != first
    result = japan(*one_form, model=moved)
    assert result.code == 2
    assert "(want model elsewhere (weights " in result.err


def test_a_run_for_a_table_that_was_changed_is_refused(japan, here, tmp_path):
    table = tmp_path / "t.csv"
    asked = ("--targets", f"{table}:north", "--set", "wordings=[0]")
    table.write_text("group,PDI,IDV\nnorth,30,50\nsouth,80,20\n", encoding="utf-8")
    assert japan(*asked).code == 0
    table.write_text("group,PDI,IDV\nnorth,90,50\nsouth,80,20\n", encoding="utf-8")
    here()
    result = japan(*asked)
    assert result.code == 2
    assert "want target t.csv:north (scores.PDI 90.0), got t.csv:north (scores.PDI 30.0)" in result.err


EXPERIMENT = """
model = "nowhere"
targets = ["SAU", "USA"]
methods = ["naive", "de"]
seeds = 5
budget = 4

[settings]
wordings = [0]
orders = ["listed"]
constants = "midpoint"
search.population_size = 4
space.tokens = 2
"""


def test_named_options_go_before_an_experiment(hofsteer, refused, here, tiny_folder, tmp_path):
    """The file won: `--targets JPN --seeds 2` beside it were searches of five seeds for its own targets."""
    here()
    (tmp_path / "cwd" / "e.toml").write_text(EXPERIMENT, encoding="utf-8")
    asked = ("compare", "--experiment", "e.toml", "--model", tiny_folder)
    named = ("--targets", "JPN", "--methods", "naive", "--seeds", "2", "--budget", "64", "--out", tmp_path / "named")
    table = hofsteer(*asked, *named, "--set", "wordings=[1]", "--json").json()
    assert (table["targets"], table["seeds"], table["model"]) == (["JPN"], [0, 1], str(tiny_folder))
    assert (table["settings"]["search.budget"], table["settings"]["wordings"]) == (64, [1])
    assert "de" not in table["summary"]
    table = hofsteer(*asked, "--methods", "naive", "--out", tmp_path / "file", "--json").json()
    assert (table["targets"], table["seeds"]) == (["SAU", "USA"], [0, 1, 2, 3, 4])
    assert table["settings"]["search.population_size"] == 4
    assert table["settings"]["search.budget"] == 4
    # named with the value that it has anyway, an option still goes before the file
    table = hofsteer(*asked, "--methods", "naive", "--seeds", "3", "--out", tmp_path / "file", "--json").json()
    assert table["seeds"] == [0, 1, 2]
    twice = refused(*asked, "--budget", "8", "--set", "search.budget=9")
    assert twice == "search.budget is given both by its flag and by --set; keep one"
    table = hofsteer(*asked, "--methods", "naive", "--set", "search.budget=9", "--out", tmp_path / "f", "--json").json()
    assert table["settings"]["search.budget"] == 9
    (tmp_path / "cwd" / "e.toml").write_text('seeds = "3"\n', encoding="utf-8")
    assert refused(*asked) == "e.toml wants seeds of 1 or more, got '3'"
    (tmp_path / "cwd" / "e.toml").write_text("methods = 3\n", encoding="utf-8")
    assert refused(*asked) == "e.toml wants methods as a list of names, got 3"


@pytest.fixture
def planned(hofsteer, tiny_folder, tmp_path):
    """A plan for two targets and one seed in plan.toml, and comparisons under it."""
    quick = ("--set", "search.budget=4", "--set", "search.population_size=4", "--set", "space.tokens=2")
    form = ("--set", "wordings=[0]", "--set", 'orders=["listed"]', "--constants", "midpoint", "--held-out", "3")
    asked = ("--model", tiny_folder, "--targets", "JPN,CHN", "--seeds", "1", *quick, *form)
    assert hofsteer("plan", *asked).code == 0

    def planned(*options, methods="naive,default"):
        asked = ("compare", "--plan", "plan.toml", "--methods", methods, "--out", tmp_path / "all")
        return hofsteer(*asked, *options)

    return planned


def test_a_plan_fixes_what_is_compared(planned, monkeypatch, tmp_path):
    def log_when_all_is_searched(path, runs):
        finished = {folder.parent.name for folder in (tmp_path / "all" / "runs").glob("*/evaluation.json")}
        assert finished == set(runs) == {"JPN-default-0", "CHN-default-0"}
        assert not (tmp_path / "all" / "cells").exists()
        log_opening(path, runs)

    with monkeypatch.context() as patched:
        patched.setattr("hofsteer.evaluation.plan.log_opening", log_when_all_is_searched)
        table = planned("--json").json()
    assert (table["targets"], table["seeds"], table["exploratory"]) == (["JPN", "CHN"], [0], [])
    for target in ("JPN", "CHN"):
        run = RunFolder.open(tmp_path / "all" / "runs" / f"{target}-default-0")
        assert run.read_json("provenance.json")["plan"]["hash"] == table["plan"] == run.config().plan
        assert run.config().search.budget == 4
    # wording 3 in two orders, as the plan says, though 1 and 2 are not fitted either
    assert {len(cell["held_out_forms"]) for cell in table["cells"] if cell["method"] == "default"} == {2}
    assert "Exploratory" not in (tmp_path / "all" / "table.md").read_text(encoding="utf-8")
    assert planned("--json").json()["exploratory"] == []  # looked at twice
    assert len((tmp_path / "cwd" / "plan.opened.jsonl").read_text(encoding="utf-8").splitlines()) == 2


def test_what_the_plan_does_not_fix_is_exploratory(planned, tmp_path):
    result = planned("--targets", "Japan", "--json", methods="naive,gauss-newton,random-search")
    table = result.json()
    said = ["the plan does not fix random-search", "1 of the plan's 2 targets are compared"]
    assert table["exploratory"] == said
    assert f"Exploratory: {'; '.join(said)}." in (tmp_path / "all" / "table.md").read_text(encoding="utf-8")
    runs = {
        method: RunFolder.open(tmp_path / "all" / "runs" / f"JPN-{method}-0")
        for method in ("gauss-newton", "random-search")
    }
    assert runs["gauss-newton"].config().plan == table["plan"]  # the plan's own search by its name
    assert runs["random-search"].config().plan is None
    assert (runs["random-search"].config().search.name, runs["random-search"].config().search.budget) == ("random", 4)
    (said,) = planned("--json").json()["exploratory"]  # CHN is searched after held-out forms were opened for JPN
    assert said.startswith("held-out data were opened at ")


def test_runs_from_before_the_plan_are_used_and_said_to_be(planned, japan, here, tmp_path):
    def compared(*options):
        return japan("--set", "wordings=[0]", *options, methods="naive,default")

    assert "Exploratory: there was no plan." in compared().out
    here()
    table = planned("--targets", "JPN", "--json").json()
    assert table["exploratory"][0] == "a run was started without a plan"
    assert compared("--json").json()["exploratory"] == ["there was no plan"]
    assert compared("--json").json()["plan"] is None


def test_refused_beside_a_plan(planned, refused, tiny_folder, tmp_path):
    asked = ("compare", "--plan", "plan.toml", "--out", tmp_path / "none")
    for option, value in (("model", tiny_folder), ("seeds", 3), ("budget", 9), ("set", "cue=So"), ("experiment", "e")):
        said = refused(*asked, f"--{option}", value)
        assert said.startswith(f"--plan says all but methods and which of its targets: leave --{option} out")
    assert refused(*asked, "--targets", "SAU") == "the plan has the targets JPN, CHN, got SAU"
    assert "did you mean" in refused(*asked, "--targets", "Japn")
    (tmp_path / "cwd" / "plan.toml").write_text("format = 2\n", encoding="utf-8")
    assert "want a plan of format 1" in refused(*asked)


def test_a_preset_that_fits_what_the_plan_holds_out_is_refused(hofsteer, refused, tiny_folder, tmp_path):
    asked = ("--model", tiny_folder, "--targets", "JPN", "--set", "wordings=[1]", "--set", "search.budget=40")
    assert hofsteer("plan", *asked).code == 0
    said = refused("compare", "--plan", "plan.toml", "--methods", "naive,masoud2025")
    assert said == "masoud2025 fits wording 0, which the plan holds out: leave it out"


def test_skill_and_noise_floor_stand_with_the_losses(japan, tmp_path):
    result = japan("--set", "wordings=[0]", methods="naive,persona")
    assert "Skill on held-out forms" in " ".join(result.out.split())
    out = tmp_path / "all"
    page = (out / "table.md").read_text(encoding="utf-8")
    table = json.loads((out / "comparison.json").read_text(encoding="utf-8"))
    losses = {
        cell["method"]: cell["fitted"] if cell["held_out"] is None else cell["held_out"] for cell in table["cells"]
    }
    floor = table["cells"][0]["noise_floors"]["index"]
    assert f"| noise floor | {floor:.1f} |" in page
    assert "| method | JPN | mean |" in page
    with (out / "cells.csv").open(encoding="utf-8") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    for method, row in rows.items():
        skill = 1 - losses[method] / losses["mean-country"]
        assert float(row["skill"]) == pytest.approx(skill)
        assert float(row["noise_floor"]) == floor
        assert table["summary"][method]["JPN"]["skill"] == pytest.approx(skill)
        assert f"| {method} | {skill:.2f} | {skill:.2f} |" in page
