"""The anytime curve: the loss that a search had reached, against what it had cost by then."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from hofsteer.alignment.run import Record


@dataclass(frozen=True)
class Curve:
    """One entry for each generation after which the best had changed, and one for the last."""

    evaluations: tuple[int, ...]  # so far
    passes: tuple[int | None, ...]  # forward passes so far, as `Objective.passes` counts them
    seconds: tuple[float, ...]  # so far
    loss: tuple[float | None, ...]  # of the best so far, index points; None while every evaluation failed

    @classmethod
    def of(cls, history: Sequence[Record], durations: Sequence[float]) -> "Curve":
        """Return the curve of generations that took `durations` seconds each."""
        spent = list(accumulate(durations))
        kept = [
            place
            for place, record in enumerate(history)
            if place in (0, len(history) - 1) or record.best != history[place - 1].best
        ]
        return cls(
            evaluations=tuple(history[place].evaluations for place in kept),
            passes=tuple(history[place].passes for place in kept),
            seconds=tuple(round(spent[place], 4) for place in kept),
            loss=tuple(history[place].best for place in kept),
        )

    def to_json(self) -> dict[str, Any]:
        """Return four lists of one length."""
        return {name: list(values) for name, values in self.__dict__.items()}
