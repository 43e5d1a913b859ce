"""The search itself: ask, decode, administer, tell, commit."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from hofsteer.alignment.objective import Evaluation, Objective
from hofsteer.alignment.run import Record, RunFolder
from hofsteer.alignment.space import Space
from hofsteer.alignment.start import starting_population
from hofsteer.alignment.stop import Rule, stopped_by
from hofsteer.errors import RunError
from hofsteer.instruments.base import named_scores
from hofsteer.search import Optimizer, State

Watcher = Callable[[Record], None]


def search(
    run: RunFolder,
    objective: Objective,
    optimizer: Optimizer[Any],
    space: Space,
    environment: dict[str, Any],
    watch: Watcher | None = None,
) -> tuple[State, Rule]:
    """Go on from the run's last committed generation until a rule ends the search; return the last state and the rule.

    `watch` is called after every generation. The budget counts evaluations; a generation that would pass it is not
    begun. The other rules are those of `stop.py`.

    Raises:
        RunError: every candidate of the first generation failed, so there is nothing to search from.
    """
    config = run.config()
    state = run.restore(optimizer)
    if state is None:
        size, seed = optimizer.population_size, config.search.seed
        start = starting_population(space, config.space, objective.respondent, size, seed)
        state = optimizer.init(start, blocks=space.blocks)
    history, durations, noise_floor = run.history(), run.durations(), objective.noise_floor
    while True:
        if (rule := stopped_by(config.stop, history, sum(durations), noise_floor)) is not None:
            return state, rule
        began = time.monotonic()
        candidates = optimizer.ask(state)
        if state.evaluations + len(candidates) > config.search.budget:
            return state, "evaluations"
        evaluation = objective.evaluate(space.decode(candidates))
        best_before = state.best_loss
        state = optimizer.tell(state, candidates, evaluation.objectives)
        record = _record(state, evaluation, best_before, history[-1] if history else None, objective)
        if record.best is None and record.generation == 1:
            raise RunError(f"every candidate of the first generation failed; the first one: {evaluation.reasons[0]}")
        durations.append(round(time.monotonic() - began, 4))  # as committed: a resume adds up the same numbers
        run.commit(state, record, durations[-1], environment)
        history.append(record)
        if watch is not None:
            watch(record)


def _record(
    state: State, evaluation: Evaluation, best_before: float, last: Record | None, objective: Objective
) -> Record:
    losses, objectives = evaluation.losses, evaluation.objectives
    finite = losses[np.isfinite(losses)]
    leader = int(objectives.argmin())
    best, scores, valid_mass, drift = (last.best, last.scores, last.valid_mass, last.drift) if last else (None,) * 4
    if objectives[leader] < best_before:
        best = float(losses[leader])
        scores = named_scores(evaluation.scores[leader], objective.instrument.dimension_ids)
        valid_mass = float(evaluation.valid_mass[leader].mean())
        drift = float(evaluation.drift[leader]) if evaluation.drift is not None else None
    return Record(
        generation=state.generation,
        evaluations=state.evaluations,
        best=best,
        mean=float(finite.mean()) if len(finite) else None,
        scores=scores,
        valid_mass=valid_mass,
        failed=len(losses) - len(finite),
        reasons=tuple(dict.fromkeys(reason for reason in evaluation.reasons if reason is not None)),
        objective=float(state.best_loss) if np.isfinite(state.best_loss) else None,
        drift=drift,
        passes=objective.passes(state.evaluations),
    )
