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
    assert {row["kind"] for row in table["statistics"]["rows"]} == {"mean", "difference"}
    assert {row["word"] for row in table["statistics"]["rows"] if row["kind"] == "difference"} == {"no verdict"}
    mean = {row["method"]: row["value"] for row in table["statistics"]["rows"] if row["kind"] == "mean"}
    assert mean["de"] == pytest.approx(sum(c["held_out"] for c in table["cells"] if c["method"] == "de") / 4)
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
