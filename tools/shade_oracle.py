"""Record how low niapy's L-SHADE gets, for `tests/search/test_shade.py` to compare ours with; 90 s on 1 core.

niapy (MIT) has the same published settings, the same rule at the bounds, and takes a starting population. It is not
among our dependencies: pip install niapy==2.7.1, then python tools/shade_oracle.py
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ORACLE = Path(__file__).parents[1] / "tests" / "golden" / "lshade_oracle.json"
DIM, POPULATION_SIZE, HISTORY_SIZE, BUDGET, SEEDS = 10, 50, 6, 5000, 25

Floats = NDArray[np.float64]

FUNCTIONS = {  # of vectors (..., dim), all with lowest value 0
    "sphere": lambda x: (x**2).sum(-1),
    "rosenbrock": lambda x: (100 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1 - x[..., :-1]) ** 2).sum(-1),
    "rastrigin": lambda x: (x**2 - 10 * np.cos(2 * np.pi * x) + 10).sum(-1),
    "ackley": lambda x: (
        20 + np.e - 20 * np.exp(-0.2 * np.sqrt((x**2).mean(-1))) - np.exp(np.cos(2 * np.pi * x).mean(-1))
    ),
    "griewank": lambda x: 1 + (x**2).sum(-1) / 4000 - np.cos(x / np.sqrt(np.arange(1, x.shape[-1] + 1))).prod(-1),
}
BOXES = {  # lower and upper bound of every coordinate; the minimum is not at the center
    "sphere": (-5.0, 10.0),
    "rosenbrock": (-2.0, 10.0),
    "rastrigin": (-1.0, 5.0),
    "ackley": (-15.0, 30.0),
    "griewank": (-300.0, 600.0),
}


def start(name: str, seed: int) -> Floats:
    """Return the population, (POPULATION_SIZE, DIM), that a search of `FUNCTIONS[name]` starts from."""
    return np.random.default_rng([seed, 1]).uniform(*BOXES[name], (POPULATION_SIZE, DIM))


def niapy_loss(name: str, seed: int) -> float:
    """Return the lowest loss that niapy finds within the budget."""
    from niapy.algorithms.modified.shade import (  # type: ignore[import-not-found, unused-ignore]
        LpsrSuccessHistoryAdaptiveDifferentialEvolution,
    )
    from niapy.problems import Problem  # type: ignore[import-not-found, unused-ignore]
    from niapy.task import Task  # type: ignore[import-not-found, unused-ignore]

    class Function(Problem):  # type: ignore[misc, unused-ignore]
        def _evaluate(self, x: Floats) -> float:
            return float(FUNCTIONS[name](x))

    def given(task, population_size, rng, individual_type, **_):  # type: ignore[no-untyped-def]
        population = np.empty(population_size, dtype=object)
        population[:] = [individual_type(x=row, task=task) for row in start(name, seed)]
        return population, np.array([individual.f for individual in population])

    search = LpsrSuccessHistoryAdaptiveDifferentialEvolution(
        POPULATION_SIZE,
        extern_arc_rate=2.6,
        pbest_factor=0.11,
        hist_mem_size=HISTORY_SIZE,
        initialization_function=given,
        seed=seed,
    )
    task = Task(Function(DIM, *BOXES[name]), max_evals=BUDGET)
    loss = float(search.run(task)[1])
    assert task.evals == BUDGET
    return loss


if __name__ == "__main__":
    recorded = {
        "schema": 1,
        "package": "niapy",
        "version": version("niapy"),
        "algorithm": "LpsrSuccessHistoryAdaptiveDifferentialEvolution",
        "settings": {
            "dim": DIM,
            "population_size": POPULATION_SIZE,
            "history_size": HISTORY_SIZE,
            "budget": BUDGET,
            "extern_arc_rate": 2.6,
            "pbest_factor": 0.11,
        },
        "boxes": BOXES,
        "losses": {name: [niapy_loss(name, seed) for seed in range(SEEDS)] for name in FUNCTIONS},
    }
    ORACLE.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")
