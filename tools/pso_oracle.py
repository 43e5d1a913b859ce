"""Final losses of particle swarms that we did not write, to `tests/golden/pso_oracle.json`; a minute on 1 core.

Run it in an environment of its own:  pip install pymoo==0.6.2 inspyred==1.0.3; python tools/pso_oracle.py

Both packages let the swarm start where we say and at rest, move all particles before any is evaluated, and draw fresh
numbers for each coordinate. They differ in two things, and the settings of ours follow them:

- pymoo has one best point for all, and limits a velocity to a part of the width of the bounds. The bounds are set so
  wide that no particle meets them, as many deviations of the start wide as makes that part what we want.
- inspyred has a ring of three, and limits no velocity.

Each runs twice: with random numbers of its own, for a comparison of distributions, and for a few seeds with those that
`ParticleSwarm` draws, so that the results have to agree to rounding.
"""

import itertools
import json
import random
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "pso_oracle.json"
DIM, SIZE, GENERATIONS, SEEDS, SHARED_SEEDS = 10, 20, 100, range(25), range(3)
PULLS = {"inertia": 0.7298, "cognitive": 1.49618, "social": 1.49618}  # constriction
SETTINGS: dict[str, dict[str, Any]] = {  # of ours; what they are called there is said below
    "pymoo": {"topology": "global", "velocity_limit": 1.0, **PULLS},
    "inspyred": {"topology": "ring", "velocity_limit": 1e6, **PULLS},
}
WIDTH = 2000.0  # of the bounds in pymoo, in deviations of the start
RANGES = {  # of the uniform start in every coordinate, not centred on the minimum
    "sphere": (-5.0, 10.0),
    "rosenbrock": (-5.0, 10.0),
    "rastrigin": (-2.5, 5.0),
    "ackley": (-15.0, 30.0),
    "griewank": (-300.0, 600.0),
}


def losses_of(name: str, x: Floats) -> Floats:
    """Return the losses (P,) of the points `x` (P, dim); the minimum of each function is 0."""
    match name:
        case "sphere":
            losses = (x**2).sum(axis=1)
        case "rosenbrock":
            losses = (100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2).sum(axis=1)
        case "rastrigin":
            losses = (x**2 - 10 * np.cos(2 * np.pi * x) + 10).sum(axis=1)
        case "ackley":
            waves = np.exp(np.cos(2 * np.pi * x).mean(axis=1))
            losses = 20 - 20 * np.exp(-0.2 * np.sqrt((x**2).mean(axis=1))) + np.e - waves
        case "griewank":
            waves = np.cos(x / np.sqrt(np.arange(1, x.shape[1] + 1))).prod(axis=1)
            losses = (x**2).sum(axis=1) / 4000 - waves + 1
        case _:
            raise ValueError(f"want one of {', '.join(RANGES)}, got {name!r}")
    return np.asarray(losses)


def first_population(name: str, seed: int) -> Floats:
    """Return the start of every swarm with this function and seed, (SIZE, DIM)."""
    return np.random.default_rng([77, seed]).uniform(*RANGES[name], (SIZE, DIM))


def our_numbers(seed: int, generation: int) -> tuple[Floats, Floats]:
    """Return what `ParticleSwarm` draws for the pull to a particle's own best and to the shared one, (SIZE, DIM)."""
    own, shared = (np.random.default_rng([seed, generation, stream]).random((SIZE, DIM)) for stream in (1, 2))
    return own, shared


def by_pymoo(name: str, seed: int, ours_drawn: bool) -> float:
    """Return the final loss of pymoo's swarm; with `ours_drawn` it is given our random numbers."""
    from pymoo.algorithms.soo.nonconvex import pso  # type: ignore[import-not-found]
    from pymoo.core.problem import Problem  # type: ignore[import-not-found]
    from pymoo.optimize import minimize  # type: ignore[import-not-found]

    start, ours = first_population(name, seed), SETTINGS["pymoo"]
    reach = start.std(axis=0, ddof=1) * WIDTH / 2

    class Bench(Problem):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(n_var=DIM, n_obj=1, xl=-reach, xu=reach)

        def _evaluate(self, x: Floats, out: dict[str, Floats], *_: Any, **__: Any) -> None:
            out["F"] = losses_of(name, x)[:, None]

    swarm = pso.PSO(
        pop_size=SIZE,
        sampling=start,
        w=ours["inertia"],
        c1=ours["cognitive"],
        c2=ours["social"],
        adaptive=False,
        initial_velocity="zero",
        max_velocity_rate=ours["velocity_limit"] / WIDTH,
        pertube_best=False,
    )
    equation, generations = pso.pso_equation, itertools.count(1)

    def fed(*arrays: Any, **_: Any) -> Any:
        own, shared = our_numbers(seed, next(generations))
        return equation(*arrays, r1=own, r2=shared)

    with mock.patch.object(pso, "pso_equation", fed if ours_drawn else equation):
        found = minimize(Bench(), swarm, ("n_gen", 1 + GENERATIONS), seed=seed)
    assert found.algorithm.evaluator.n_eval == SIZE * (1 + GENERATIONS)
    return float(found.F[0])


class Fed(random.Random):
    """Gives our random numbers in the order in which inspyred asks for them: own, shared, for every coordinate."""

    def __init__(self, seed: int) -> None:
        """Start at generation 1 of this seed."""
        super().__init__(seed)
        pairs = (np.stack(our_numbers(seed, generation), axis=-1) for generation in itertools.count(1))
        self.numbers = (number for pair in pairs for number in pair.ravel().tolist())

    def random(self) -> float:
        """Return the next number."""
        return next(self.numbers)


def by_inspyred(name: str, seed: int, ours_drawn: bool) -> float:
    """Return the final loss of inspyred's swarm; with `ours_drawn` it is given our random numbers."""
    import inspyred  # type: ignore[import-not-found]

    start, ours = first_population(name, seed), SETTINGS["inspyred"]
    swarm = inspyred.swarm.PSO(Fed(seed) if ours_drawn else random.Random(seed))
    swarm.topology = inspyred.swarm.topologies.ring_topology
    swarm.terminator = inspyred.ec.terminators.generation_termination
    swarm.evolve(
        generator=lambda **_: None,  # the seeds are the whole swarm
        evaluator=lambda candidates, args: losses_of(name, np.array(candidates)).tolist(),
        seeds=start.tolist(),
        pop_size=SIZE,
        maximize=False,
        max_generations=GENERATIONS,
        neighborhood_size=3,
        inertia=ours["inertia"],
        cognitive_rate=ours["cognitive"],
        social_rate=ours["social"],
    )
    assert swarm.num_evaluations == SIZE * (1 + GENERATIONS)
    return float(min(particle.fitness for particle in swarm.archive))


def main() -> None:
    """Write the file."""
    rows = {
        package: {
            "version": version(package),
            "settings": SETTINGS[package],
            "final_losses": {name: [final(name, seed, False) for seed in SEEDS] for name in RANGES},
            "with_our_numbers": {name: [final(name, seed, True) for seed in SHARED_SEEDS] for name in RANGES},
        }
        for package, final in (("pymoo", by_pymoo), ("inspyred", by_inspyred))
    }
    budget = {"dim": DIM, "population_size": SIZE, "generations_after_the_start": GENERATIONS, "seeds": len(SEEDS)}
    GOLDEN.write_text(json.dumps({"schema": 1, **budget, "oracles": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
