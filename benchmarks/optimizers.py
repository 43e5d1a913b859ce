"""How low our optimizers get beside those of other packages, from the same starts in as many evaluations.

    python benchmarks/optimizers.py [--pairs de-rand cma] [--functions sphere] [--dims 10] [--seeds 25] [--json]

L-SHADE is compared with niapy's and the particle swarm with pymoo's, which are not among our dependencies: where they
are missing (pip install niapy==2.7.1 pymoo==0.6.2) their cases are left out, and the program says so.

In every case both search inside the same bounds, from the same uniform population, or for CMA-ES from its mean and step
size, with the same settings. What differs is the random numbers, and what is done about a candidate outside the bounds.
Verdict by a one-sided Mann-Whitney test on the lowest losses of the seeds, with Holm's correction for all cases of the
call: "worse" if ours are higher at level 0.01.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import cmaes
import numpy as np
from scipy.optimize import differential_evolution
from scipy.stats import mannwhitneyu

from hofsteer.evaluation.statistics import holm
from hofsteer.search import make_optimizer
from hofsteer.search.base import Bounds, Floats, Optimizer

LEVEL = 0.01  # of all cases together
BUDGETS = {10: 5_000, 30: 10_000}  # evaluations of one search, by dimension
DIGITS = 10  # losses that agree in so many digits are equal: the same minimum
BOXES = {  # lower and upper bound of every coordinate; no minimum is in the middle
    "sphere": (-5.0, 10.0),
    "rosenbrock": (-5.0, 10.0),
    "rastrigin": (-2.5, 5.0),
    "ackley": (-15.0, 30.0),
    "griewank": (-300.0, 600.0),
}


@dataclass(frozen=True)
class Problem:
    """A function to be minimised, lowest value 0, in so many dimensions."""

    function: str
    dim: int
    budget: int

    @property
    def bounds(self) -> Bounds:
        """Lower and upper, (dim,) each."""
        lower, upper = (np.full(self.dim, side) for side in BOXES[self.function])
        return lower, upper

    def start(self, size: int, seed: int) -> Floats:
        """Return the population that both start from, (size, dim)."""
        return np.random.default_rng([20261128, self.dim, seed]).uniform(*self.bounds, (size, self.dim))

    def losses(self, x: Floats) -> Floats:
        """Return the losses of points (..., dim), written so that small ones keep their digits."""
        waves = 2 * np.sin(np.pi * x) ** 2  # 1 - cos(2 pi x)
        match self.function:
            case "sphere":
                losses = (x**2).sum(-1)
            case "rosenbrock":
                losses = (100 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1 - x[..., :-1]) ** 2).sum(-1)
            case "rastrigin":
                losses = (x**2 + 10 * waves).sum(-1)
            case "ackley":
                losses = -20 * np.expm1(-0.2 * np.sqrt((x**2).mean(-1))) - np.e * np.expm1(-waves.mean(-1))
            case "griewank":
                losses = (x**2).sum(-1) / 4000 + (1 - np.cos(x / np.sqrt(np.arange(1, self.dim + 1))).prod(-1))
        return np.asarray(losses)


def lowest(optimizer: Optimizer[Any], problem: Problem, seed: int) -> float:
    """Return the lowest loss that one of ours finds."""
    state = optimizer.init(problem.start(optimizer.population_size, seed), bounds=problem.bounds)
    while state.evaluations + len(candidates := optimizer.ask(state)) <= problem.budget:
        state = optimizer.tell(state, candidates, problem.losses(candidates))
    return float(state.best_loss)


# --- the others -------------------------------------------------------------------------------------------------------


def by_scipy(settings: dict[str, Any], problem: Problem, seed: int) -> float:
    """Differential Evolution that selects at the end of a generation, and draws anew what leaves the bounds."""
    size = settings["population_size"]
    found = differential_evolution(
        lambda x: problem.losses(x.T),
        np.column_stack(problem.bounds),
        strategy={"rand/1": "rand1bin", "best/1": "best1bin"}[settings["strategy"]],
        init=problem.start(size, seed),
        mutation=settings["differential_weight"],
        recombination=settings["crossover_rate"],
        maxiter=problem.budget // size - 1,
        tol=0,
        polish=False,
        updating="deferred",
        vectorized=True,
        rng=seed,
    )
    assert found.nit + 1 == problem.budget // size
    return float(found.fun)


def by_cmaes(
    kind: type[cmaes.CMA] | type[cmaes.SepCMA], settings: dict[str, Any], problem: Problem, seed: int
) -> float:
    """CMA-ES from the mean and the spread of our first population, which it does not see itself."""
    size = settings["population_size"]
    start = problem.start(size, seed)
    search = kind(
        mean=start.mean(axis=0),
        sigma=float(np.sqrt(start.var(axis=0).mean())),
        bounds=np.column_stack(problem.bounds),
        population_size=size,
        seed=seed,
    )
    best = np.inf
    for _ in range(problem.budget // size):
        candidates = np.array([search.ask() for _ in range(size)])
        losses = problem.losses(candidates)
        search.tell(list(zip(candidates, losses.tolist(), strict=True)))
        best = min(best, losses.min())
    return float(best)


def by_niapy(settings: dict[str, Any], problem: Problem, seed: int) -> float:
    """L-SHADE with the same rule at the bounds as ours."""
    from niapy.algorithms.modified.shade import LpsrSuccessHistoryAdaptiveDifferentialEvolution
    from niapy.problems import Problem as NiapyProblem
    from niapy.task import Task

    class Function(NiapyProblem):
        def _evaluate(self, x: Floats) -> float:
            return float(problem.losses(x))

    def given(task: Any, population_size: int, individual_type: Any, **_: Any) -> tuple[Any, Floats]:
        population = np.empty(population_size, dtype=object)
        population[:] = [individual_type(x=row, task=task) for row in problem.start(population_size, seed)]
        return population, np.array([individual.f for individual in population])

    search = LpsrSuccessHistoryAdaptiveDifferentialEvolution(
        settings["population_size"],
        extern_arc_rate=2.6,
        pbest_factor=0.11,
        hist_mem_size=settings["history_size"],
        initialization_function=given,
        seed=seed,
    )
    task = Task(Function(problem.dim, *BOXES[problem.function]), max_evals=problem.budget)
    return float(search.run(task)[1])


def by_pymoo(settings: dict[str, Any], problem: Problem, seed: int) -> float:
    """A swarm with one best point for all, starting at rest; who leaves the bounds flies again with other numbers."""
    from pymoo.algorithms.soo.nonconvex.pso import PSO
    from pymoo.core.problem import Problem as PymooProblem
    from pymoo.optimize import minimize

    (lower, upper), size = problem.bounds, settings["population_size"]
    start = problem.start(size, seed)

    class Function(PymooProblem):
        def __init__(self) -> None:
            super().__init__(n_var=problem.dim, n_obj=1, xl=lower, xu=upper)

        def _evaluate(self, x: Floats, out: dict[str, Floats], *_: Any, **__: Any) -> None:
            out["F"] = problem.losses(x)[:, None]

    swarm = PSO(
        pop_size=size,
        sampling=start,
        w=settings["inertia"],
        c1=settings["cognitive"],
        c2=settings["social"],
        adaptive=False,
        initial_velocity="zero",
        max_velocity_rate=settings["velocity_limit"] * start.std(axis=0, ddof=1) / (upper - lower),
        pertube_best=False,
    )
    return float(minimize(Function(), swarm, ("n_gen", problem.budget // size), seed=seed).F[0])


# --- the comparison ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """One of our optimizers, by name and settings, and what it is compared with."""

    package: str
    by_package: Callable[[dict[str, Any], Problem, int], float]  # of settings, problem and seed
    optimizer: str
    settings: dict[str, Any]

    def ours(self, problem: Problem, seed: int) -> float:
        """Return the lowest loss that our optimizer finds."""
        schedule = {"budget": problem.budget} if self.optimizer == "lshade" else {}
        return lowest(make_optimizer(self.optimizer, seed=seed, **self.settings, **schedule), problem, seed)

    def theirs(self, problem: Problem, seed: int) -> float:
        """Return the lowest loss that the package finds."""
        return self.by_package(self.settings, problem, seed)


def de(strategy: str, differential_weight: float) -> dict[str, Any]:
    """Return settings of Differential Evolution."""
    return {
        "population_size": 40,
        "strategy": strategy,
        "differential_weight": differential_weight,
        "crossover_rate": 0.9,
    }


PAIRS = {
    "de-rand": Pair("scipy", by_scipy, "de", de("rand/1", 0.5)),
    "de-best": Pair("scipy", by_scipy, "de", de("best/1", 0.7)),
    "cma": Pair("cmaes", lambda *case: by_cmaes(cmaes.CMA, *case), "cma", {"population_size": 20}),
    "sep-cma": Pair("cmaes", lambda *case: by_cmaes(cmaes.SepCMA, *case), "sep-cma", {"population_size": 20}),
    "lshade": Pair("niapy", by_niapy, "lshade", {"population_size": 100, "history_size": 6}),
    "pso": Pair(
        "pymoo",
        by_pymoo,
        "pso",
        {"population_size": 40, "inertia": 0.7298, "cognitive": 1.49618, "social": 1.49618, "velocity_limit": 0.5},
    ),
}


@dataclass(frozen=True)
class Row:
    """The result of one case."""

    pair: str
    function: str
    dim: int
    budget: int
    ours: float  # median of the lowest losses
    theirs: float
    won: float  # share of all pairs of runs in which ours is lower, a tie counts half
    p: float  # one-sided, before the correction
    p_holm: float = np.nan

    @property
    def verdict(self) -> str:
        """What the corrected p says at level 0.01."""
        return "worse" if self.p_holm < LEVEL else "no deficit"


def compared(name: str, problem: Problem, ours: Sequence[float], theirs: Sequence[float]) -> Row:
    """Return the row of a case, not yet corrected for the others."""
    one, other = (np.array([float(f"{loss:.{DIGITS}g}") for loss in losses]) for losses in (ours, theirs))
    test = mannwhitneyu(one, other, alternative="greater", method="asymptotic")
    return Row(
        pair=name,
        function=problem.function,
        dim=problem.dim,
        budget=problem.budget,
        ours=float(np.median(one)),
        theirs=float(np.median(other)),
        won=1 - float(test.statistic) / (len(one) * len(other)),
        p=1.0 if np.isnan(test.pvalue) else float(test.pvalue),  # all equal: no spread to divide by
    )


def corrected(rows: list[Row]) -> list[Row]:
    """Return `rows` with Holm's correction for all of them."""
    adjusted = holm({str(i): row.p for i, row in enumerate(rows)})
    return [replace(row, p_holm=adjusted[str(i)]) for i, row in enumerate(rows)]


def versions(names: Sequence[str]) -> dict[str, str]:
    """Return the versions of the packages of these pairs that are at hand."""
    found = {}
    for package in sorted({PAIRS[name].package for name in names}):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            print(f"{package} is not installed: its cases are left out", file=sys.stderr)
    return found


def main(given: list[str] | None = None) -> None:
    """Print a table, or one JSON object; exit code 1 if one of ours is worse."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", nargs="+", choices=PAIRS, default=list(PAIRS), metavar="PAIR", help=", ".join(PAIRS))
    parser.add_argument("--functions", nargs="+", choices=BOXES, default=list(BOXES), metavar="NAME")
    parser.add_argument("--dims", nargs="+", type=int, choices=BUDGETS, default=list(BUDGETS))
    parser.add_argument("--seeds", type=int, default=25, help="how many (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    arguments = parser.parse_args(given)
    if arguments.seeds < 2:
        parser.error(f"--seeds wants at least 2, got {arguments.seeds}")
    started, packages, rows = time.perf_counter(), versions(arguments.pairs), []
    cases = [
        (name, Problem(function, dim, BUDGETS[dim]))
        for name in arguments.pairs
        if PAIRS[name].package in packages
        for dim in arguments.dims
        for function in arguments.functions
    ]
    if not cases:
        parser.error("no case is left to compare")
    for done, (name, problem) in enumerate(cases, start=1):
        pair, seeds = PAIRS[name], range(arguments.seeds)
        losses = [[find(problem, seed) for seed in seeds] for find in (pair.ours, pair.theirs)]
        rows.append(compared(name, problem, *losses))
        seconds = time.perf_counter() - started
        print(f"{done}/{len(cases)} {name} {problem.function} {problem.dim}: {seconds:.0f} s", file=sys.stderr)
    rows, seconds = corrected(rows), time.perf_counter() - started
    if arguments.json:
        listed = [{**vars(row), "verdict": row.verdict} for row in rows]
        about = {"seeds": arguments.seeds, "level": LEVEL, "packages": packages, "seconds": round(seconds, 1)}
        print(json.dumps({"schema": 1, **about, "rows": listed}, indent=2))
    else:
        print("| ours | against | function | dim | median, ours | theirs | won | p | p (Holm) | verdict |")
        print("|---|---|---|---|---|---|---|---|---|---|")
        for row in rows:
            against = f"{PAIRS[row.pair].package} {packages[PAIRS[row.pair].package]}"
            numbers = f"{row.ours:.3g} | {row.theirs:.3g} | {row.won:.2f} | {row.p:.2g} | {row.p_holm:.2g}"
            print(f"| {row.pair} | {against} | {row.function} | {row.dim} | {numbers} | {row.verdict} |")
        print(f"{len(rows)} cases, {arguments.seeds} seeds, level {LEVEL}, {seconds:.0f} s")
    sys.exit(any(row.verdict == "worse" for row in rows))


if __name__ == "__main__":
    main()
