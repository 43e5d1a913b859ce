"""The need for evaluations against the length of a soft prompt: the summary by hand, the program on `mini`."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from dimensions import figure, main, markdown, summary

from search import Found, make_cases


def found_in(steps, tokens, seed=0):
    """A finished search of 2,000 evaluations whose best losses are 4, 1.5 and 0.5 after so many of them."""
    case = make_cases(["gauss-newton"], ["JPN"], seed + 1, 2000, tokens=tokens)[-1]
    return Found(case, True, np.array(steps, dtype=float), np.array([4.0, 1.5, 0.5][: len(steps)]))


def test_medians_by_length_and_losses_that_are_not_reached():
    results = {2: [found_in([10, 20, 30], 2), found_in([30, 60, 90], 2, 1)], 40: [found_in([100, 400], 40)]}
    two, forty = summary(results, 128)
    (partly,) = summary({8: [found_in([10, 20], 8), found_in([30, 60, 90], 8), found_in([50], 8)]}, 128)
    assert partly["evaluations_to"] == {"5": [20, 30, 40], "2": [40, 60, None], "1": [None, None, None]}
    assert (two["method"], two["tokens"], two["numbers"], two["n"]) == ("gauss-newton", 2, 256, 2)
    assert two["evaluations_to"] == {"5": [15, 20, 25], "2": [30, 40, 50], "1": [45, 60, 75]}
    assert forty["numbers"] == 5120
    assert forty["evaluations_to"] == {"5": [100, 100, 100], "2": [400, 400, 400], "1": [None, None, None]}
    table = markdown([two, forty])
    assert "| gauss-newton | 2 | 256 | 2 | 20 (15 to 25) | 40 (30 to 50) | 60 (45 to 75) |" in table
    assert table.endswith("| > 2,000 (> 2,000 to > 2,000) |")
    text = figure([two, forty])
    assert text.count("</svg>") == 1
    assert "evaluations to a loss of 2" in text


def test_a_search_that_was_cut_off_counts_and_is_named():
    cut = replace(found_in([10, 20], 8), finished=False)
    (row,) = summary({8: [cut, found_in([30, 60, 90], 8)]}, 128)
    assert (row["n"], row["unfinished"], row["evaluations_to"]["1"]) == (2, 1, [None, None, None])
    assert "| 2, 1 unfinished |" in markdown([row])
    assert "not (not to not)" in markdown([row])


@pytest.mark.slow
def test_the_program_keeps_what_is_finished(capsys, tmp_path):
    options = ["--out", str(tmp_path), "--methods", "random", "--targets", "JPN", "--budget", "32", "--json"]
    main([*options, "--tokens", "2", "1", "--device", "cpu"])
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(row["tokens"], row["numbers"], row["budget"]) for row in rows] == [(1, 128, 32), (2, 256, 32)]
    assert (tmp_path / "dimensions.svg").is_file()
    path = tmp_path / "2-tokens" / "random-JPN-0.json"
    before = path.stat().st_mtime_ns
    main([*options, "--tokens", "2", "--device", "cpu"])
    assert [row["tokens"] for row in json.loads(capsys.readouterr().out)["rows"]] == [2]
    assert path.stat().st_mtime_ns == before


def test_nothing_finished_is_said_in_one_line(capsys, tmp_path):
    with pytest.raises(SystemExit) as end:
        main(["--out", str(tmp_path), "--seconds", "0", "--device", "cpu"])
    assert end.value.code == 2
    assert "nothing to report: no search in" in capsys.readouterr().err.splitlines()[-1]
