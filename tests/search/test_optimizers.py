"""The benchmark of optimizers, with a part of its cases; docs/LOG.md has them all.

L-SHADE and the particle swarm have recorded losses of other packages in `test_shade` and `test_pso`.
"""

import itertools
import json
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from hofsteer.search import CMA, DifferentialEvolution, SeparableCMA

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import optimizers
from optimizers import BOXES, PAIRS, Problem, compared, corrected, lowest, main

SEEDS = range(25)
INSTALLED = [name for name, pair in PAIRS.items() if pair.package in ("scipy", "cmaes")]


@pytest.mark.parametrize("function", BOXES)
def test_the_functions_are_those_of_the_textbooks(function):
    problem = Problem(function, 4, 100)
    lowest_at = np.ones(4) if function == "rosenbrock" else np.zeros(4)
    assert problem.losses(lowest_at) == 0
    x = problem.start(3, 1)
    by_definition = {
        "sphere": lambda x: sum(a**2 for a in x),
        "rosenbrock": lambda x: sum(100 * (b - a**2) ** 2 + (1 - a) ** 2 for a, b in itertools.pairwise(x)),
        "rastrigin": lambda x: 10 * len(x) + sum(a**2 - 10 * np.cos(2 * np.pi * a) for a in x),
        "ackley": lambda x: (
            -20 * np.exp(-0.2 * np.sqrt(np.mean(x**2))) - np.exp(np.mean(np.cos(2 * np.pi * x))) + 20 + np.e
        ),
        "griewank": lambda x: sum(x**2) / 4000 - np.prod([np.cos(a / np.sqrt(i + 1)) for i, a in enumerate(x)]) + 1,
    }
    np.testing.assert_allclose(problem.losses(x), [by_definition[function](row) for row in x], rtol=1e-12)
    assert problem.losses(x[0]) == problem.losses(x)[0]


def test_both_sides_start_from_one_population_inside_the_bounds():
    problem = Problem("ackley", 3, 100)
    start = problem.start(50, 2)
    assert (start == problem.start(50, 2)).all()
    assert (start != problem.start(50, 3)).all()
    assert ((start >= -15) & (start <= 30)).all()


def test_verdicts_are_corrected_for_the_number_of_cases():
    problem, low, high = Problem("sphere", 10, 100), np.arange(10.0), np.arange(10.0) + 6
    row = compared("cma", problem, high, low)
    assert 0.0005 < row.p < 0.001
    assert row.won == pytest.approx(0.08)  # of 100 pairs ours is lower in 6, equal in 4
    assert [row.verdict for row in corrected([row])] == ["worse"]
    assert {row.verdict for row in corrected([row] * 20)} == {"no deficit"}
    assert corrected([compared("cma", problem, low, high)])[0].verdict == "no deficit"


def test_losses_that_agree_in_ten_digits_are_equal():
    row = compared("cma", Problem("sphere", 10, 100), [1 / 3] * 5, [1 / 3 + 1e-13] * 5)
    assert (row.won, row.p) == (0.5, 1.0)


@cache
def their_losses(name, problem):
    return [PAIRS[name].theirs(problem, seed) for seed in SEEDS]


@pytest.mark.slow
def test_none_of_ours_is_worse():
    rows = []
    for name in INSTALLED:
        for function in ("rosenbrock", "rastrigin"):
            problem = Problem(function, 10, 2000)
            ours = [PAIRS[name].ours(problem, seed) for seed in SEEDS]
            rows.append(compared(name, problem, ours, their_losses(name, problem)))
    assert [row for row in corrected(rows) if row.verdict == "worse"] == []


class StillCMA(CMA):
    """Never changes its step size."""

    def _moved(self, state, ranked):
        return replace(super()._moved(state, ranked), sigma=state.sigma)


class StillSeparableCMA(SeparableCMA):
    """Never changes its step size."""

    def _moved(self, state, ranked):
        return replace(super()._moved(state, ranked), sigma=state.sigma)


BROKEN = {
    "de-rand": lambda seed: DifferentialEvolution(40, 1e-12, strategy="rand/1", seed=seed),  # F = 0, nearly
    "de-best": lambda seed: DifferentialEvolution(40, 1e-12, strategy="best/1", seed=seed),
    "cma": lambda seed: StillCMA(20, seed=seed),
    "sep-cma": lambda seed: StillSeparableCMA(20, seed=seed),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", INSTALLED)
def test_a_broken_one_is_called_worse(name):
    """Also among all sixty cases of the benchmark."""
    problem = Problem("rosenbrock", 10, 2000)
    ours = [lowest(BROKEN[name](seed), problem, seed) for seed in SEEDS]
    row = compared(name, problem, ours, their_losses(name, problem))
    others = [replace(row, p=0.5)] * 59
    assert corrected([row, *others])[0].verdict == "worse"


def run(capsys, *options):
    with pytest.raises(SystemExit) as end:
        main(["--functions", "sphere", "--dims", "10", "--seeds", "5", *options])
    return end.value.code, *capsys.readouterr()


def test_the_program_prints_a_table_or_json(capsys, monkeypatch):
    monkeypatch.setattr(optimizers, "BUDGETS", {10: 400})
    code, table, progress = run(capsys, "--pairs", "de-rand", "cma")
    assert code == 0
    assert "| de-rand | scipy" in table
    assert "2/2 cma sphere 10" in progress
    code, text, _ = run(capsys, "--pairs", "de-rand", "--json")
    result = json.loads(text)
    assert (code, result["schema"], [row["verdict"] for row in result["rows"]]) == (0, 1, ["no deficit"])


def test_the_program_fails_if_one_is_worse(capsys, monkeypatch):
    sound = PAIRS["de-rand"]
    broken = {**sound.settings, "differential_weight": 1e-12}

    def by_package(_, problem, seed):
        return sound.theirs(problem, seed)

    monkeypatch.setitem(PAIRS, "broken", replace(sound, settings=broken, by_package=by_package))
    code, table, _ = run(capsys, "--pairs", "broken", "--seeds", "8")
    assert code == 1
    assert "| worse |" in table


def test_a_missing_package_is_named(capsys, monkeypatch):
    monkeypatch.setattr(optimizers, "PAIRS", {"none": replace(PAIRS["pso"], package="no-such-package")})
    code, _, said = run(capsys, "--pairs", "none")
    assert "no-such-package is not installed: its cases are left out" in said
    assert code == 2  # nothing was compared


def test_one_seed_is_refused(capsys):
    code, _, said = run(capsys, "--seeds", "1")
    assert code == 2
    assert "--seeds wants at least 2, got 1" in said
