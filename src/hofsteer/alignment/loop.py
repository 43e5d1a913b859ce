"""The search itself: ask, decode, administer, tell, commit."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from hofsteer.alignment.objective import Evaluation, Objective
from hofsteer.alignment.run import Record, RunFolder
from hofsteer.alignment.space import Space
from hofsteer.alignment.start import starting_population
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
) -> State:
    """Go on from the run's last committed generation until its budget is spent; return the last state.

    `watch` is called after every generation. The budget counts evaluations; a generation that would pass it is not
    begun.

    Raises:
        RunError: every candidate of the first generation failed, so there is nothing to search from.
    """
    settings, config = run.config().space, run.config().search
    state = run.restore(optimizer)
    if state is None:
        start = starting_population(space, settings, objective.respondent, optimizer.population_size, config.seed)
        state = optimizer.init(start, blocks=space.blocks)
    history = run.history()
    record = history[-1] if history else None
    while True:
        began = time.monotonic()
        candidates = optimizer.ask(state)
        if state.evaluations + len(candidates) > config.budget:
            return state
        evaluation = objective.evaluate(space.decode(candidates))
        best_before = state.best_loss
        state = optimizer.tell(state, candidates, evaluation.objectives)
        record = _record(state, evaluation, best_before, record, objective)
        if record.best is None and record.generation == 1:
            raise RunError(f"every candidate of the first generation failed; the first one: {evaluation.reasons[0]}")
        run.commit(state, record, time.monotonic() - began, environment)
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
