"""The search itself: one generation after the other, each committed."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from hofsteer.alignment.objective import Evaluation, Objective
from hofsteer.alignment.run import Record, RunFolder
from hofsteer.alignment.space import Space
from hofsteer.alignment.start import starting_population
from hofsteer.alignment.stop import Rule, stopped_by
from hofsteer.config import RunConfig, StopSettings
from hofsteer.errors import RunError
from hofsteer.instruments.base import named_scores
from hofsteer.search import Optimizer, State

Watcher = Callable[[Record], None]


class Method(Protocol):
    """A way to search: where it begins, and one generation after the other."""

    @property
    def state_type(self) -> type[Any]:
        """The class whose `from_arrays` reads a saved state."""

    @property
    def space(self) -> Space:
        """Where it searches."""

    def init(self) -> Any:
        """Return the state at generation 0."""

    def advance(self, state: Any) -> tuple[Any, Evaluation] | None:
        """Return the next state and what was evaluated for it; None if that would pass the budget."""


@dataclass(frozen=True, eq=False)
class BlackBox:
    """A search with ask and tell. The budget counts evaluations; a generation that would pass it is not begun."""

    optimizer: Optimizer[Any]
    objective: Objective
    space: Space
    config: RunConfig

    @property
    def state_type(self) -> type[Any]:
        """That of the optimizer."""
        return self.optimizer.state_type

    def init(self) -> State:
        """Return the optimizer's state around the starting population."""
        settings, seed = self.config.space, self.config.search.seed
        size = self.optimizer.population_size
        start = starting_population(self.space, settings, self.objective.respondent, size, seed)
        begun: State = self.optimizer.init(start, blocks=self.space.blocks)
        return begun

    def advance(self, state: State) -> tuple[State, Evaluation] | None:
        """Ask, decode, administer, tell."""
        candidates = self.optimizer.ask(state)
        if state.evaluations + len(candidates) > self.config.search.budget:
            return None
        evaluation = self.objective.evaluate(self.space.decode(candidates))
        return self.optimizer.tell(state, candidates, evaluation.objectives, evaluation.errors), evaluation


def search(
    run: RunFolder,
    objective: Objective,
    method: Method,
    stop: StopSettings,
    environment: dict[str, Any],
    watch: Watcher | None = None,
) -> tuple[State, Rule]:
    """Go on from the run's last committed generation until a rule ends the search; return the last state and the rule.

    `watch` is called after every generation. The best soft prompt is kept whenever the evaluations reach another power
    of two. The method keeps to its budget; the other rules are those of `stop.py`.

    Raises:
        RunError: every candidate of the first generation failed, so there is nothing to search from.
    """
    restored = run.restore(method)
    state: State = method.init() if restored is None else restored
    history, durations, noise_floor = run.history(), run.durations(), objective.noise_floor
    while True:
        if (rule := stopped_by(stop, history, sum(durations), noise_floor)) is not None:
            return state, rule
        began = time.monotonic()
        advanced = method.advance(state)
        if advanced is None:
            return state, "evaluations"
        best_before, spent_before = state.best_loss, state.evaluations
        state, evaluation = advanced
        record = _record(state, evaluation, best_before, history[-1] if history else None, objective)
        if record.best is None and record.generation == 1:
            raise RunError(f"every candidate of the first generation failed; the first one: {evaluation.reasons[0]}")
        durations.append(round(time.monotonic() - began, 4))  # as committed: a resume adds up the same numbers
        passed = int(state.evaluations).bit_length() > int(spent_before).bit_length()  # a power of two
        kept = method.space.decode(state.best[None])[0] if passed and record.best is not None else None
        run.commit(state, record, durations[-1], environment, kept)
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
