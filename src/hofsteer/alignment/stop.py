"""What ends a search before its budget does.

A rule looks at what was committed and at nothing else, before a generation is begun: a resumed search ends where it
would have ended, and a finished one is not gone on with. A generation that has begun is finished.
"""

from collections.abc import Sequence
from typing import Literal

from hofsteer.alignment.run import Record
from hofsteer.config import StopSettings

Rule = Literal["evaluations", "seconds", "loss", "noise-floor", "stagnation"]


def stopped_by(settings: StopSettings, history: Sequence[Record], seconds: float, noise_floor: float) -> Rule | None:
    """Return the first rule that ends the search now, None if it goes on.

    Args:
        settings: the rules.
        history: the committed generations, oldest first.
        seconds: that they took.
        noise_floor: of the target, index points.
    """
    if not history:
        return None
    loss = history[-1].best
    if loss is not None and settings.loss is not None and loss <= settings.loss:
        return "loss"
    if loss is not None and settings.noise_floor and loss <= noise_floor:
        return "noise-floor"
    if settings.stagnation is not None and _stagnates(history, settings.stagnation, settings.improvement):
        return "stagnation"
    if settings.seconds is not None and seconds >= settings.seconds:
        return "seconds"
    return None


def in_words(rule: Rule, settings: StopSettings) -> str:
    """Return why a search ended, in a few words.

    >>> in_words("loss", StopSettings(loss=2.5))
    'its loss came to 2.5 points'
    """
    match rule:
        case "evaluations":
            return "its budget was spent"
        case "seconds":
            return f"its {settings.seconds:g} seconds were over"
        case "loss":
            return f"its loss came to {settings.loss:g} points"
        case "noise-floor":
            return "its loss came to the noise floor"
        case "stagnation":
            return f"no gain of more than {settings.improvement:g} points in {settings.stagnation} evaluations"


def _stagnates(history: Sequence[Record], evaluations: int, improvement: float) -> bool:
    """Whether what is minimised fell by no more than `improvement` over the last so many evaluations."""
    now = history[-1]
    before = [record for record in history if record.evaluations <= now.evaluations - evaluations]
    if not before:
        return False
    if before[-1].objective is None or now.objective is None:  # every evaluation had failed by then
        return now.objective is None
    return before[-1].objective - now.objective <= improvement
