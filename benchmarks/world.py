"""What a candidate costs on `WorldRespondent`, and what searches on its cases find; under a minute on 1 core.

    OMP_NUM_THREADS=1 python benchmarks/world.py [--cases] [--budget 800] [--seeds 6]

The figures of `--cases` show that the truth of a case is also what searches meet; they are no evaluation.
"""

import argparse
import time

import numpy as np

from hofsteer.alignment.objective import Objective
from hofsteer.alignment.space import FullSpace
from hofsteer.instruments import Administration, load_instrument
from hofsteer.respondent.base import SoftPrompts
from hofsteer.search import DifferentialEvolution
from hofsteer.targets import index_loss, load_constants
from hofsteer.world import Case, WorldRespondent, load_cases, load_census
from hofsteer.world.findings import fitted_and_held_out, gain

TOKENS, REPEATS = 8, 50


def microseconds(respondent: WorldRespondent, form: Administration, count: int) -> float:
    """Return the microseconds a candidate and form, in batches of `count`: the best of several batches."""
    prompts = np.random.default_rng([count, 1]).normal(size=(count, TOKENS, respondent.width)).astype(np.float32)
    respondent.respond([form], prompts)
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        respondent.respond([form], prompts)
        times.append(time.perf_counter() - started)
    return 1e6 * min(times) / count


def searched(case: Case, budget: int, seeds: int) -> SoftPrompts:
    """Return the soft prompts that Differential Evolution finds for a case, one a seed."""
    respondent = case.respondent()
    survey = respondent.census.survey.instrument
    fitted, _ = fitted_and_held_out(survey)
    constants = load_constants("midpoint", survey.dimension_ids)
    objective = Objective(respondent, (fitted,), constants, case.target())
    space = FullSpace(TOKENS, respondent.width, respondent.spread)
    found = []
    for seed in range(seeds):
        optimizer = DifferentialEvolution(population_size=20, strategy="best/1", seed=seed)
        state = optimizer.init(space.noise(20, 1.0, seed), blocks=space.blocks)
        while (state.generation + 1) * 20 <= budget:
            candidates = optimizer.ask(state)
            state = optimizer.tell(state, candidates, objective.evaluate(space.decode(candidates)).losses)
        found.append(space.decode(state.best[None])[0])
    return np.stack(found)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="What a candidate costs on WorldRespondent.")
    parser.add_argument("--cases", action="store_true", help="search every case of truth.json as well")
    parser.add_argument("--budget", type=int, default=800)
    parser.add_argument("--seeds", type=int, default=6)
    arguments = parser.parse_args()
    respondent = WorldRespondent(load_census())
    print("microseconds a candidate and form\ninstrument    batch of 1       20      200")
    for name in ("vsm13-own", "ivs10", "vignettes", "style12"):
        form = Administration(load_instrument(name))
        print(f"{name:12}", *(f"{microseconds(respondent, form, count):11.1f}" for count in (1, 20, 200)))
    if not arguments.cases:
        return
    print("\ncase             naive  held-out loss   map gain        vignettes gain  verdict")
    for case in load_cases().values():
        respondent = case.respondent()
        survey = respondent.census.survey
        prompts = searched(case, arguments.budget, arguments.seeds)
        _, held_out = fitted_and_held_out(survey.instrument)
        answers = respondent.respond(held_out, prompts).probabilities
        goal = case.country.profiles[survey.instrument.id]
        losses = index_loss(survey.instrument.score(answers) + survey.constants, goal).mean(axis=1)
        moved = [gain(respondent, case, name, prompts) for name in ("ivs10", "vignettes")]
        naive = float(index_loss(respondent.knowledge.naive.profile, goal))
        held = [claim for claim, word in case.verdict.items() if word == "supported"]
        print(
            f"{case.id:16} {naive:5.1f}  {losses.mean():13.1f} ",
            *(f"{g.mean():6.2f} ± {g.std(ddof=1):4.2f} " for g in moved),
            f" {', '.join(held) or 'nothing'}" + (f" (gate {', '.join(case.gates)})" if case.gates else ""),
            flush=True,
        )


if __name__ == "__main__":
    main()
