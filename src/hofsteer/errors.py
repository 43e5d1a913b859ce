"""The errors a user can meet. Each is one line: what was wanted, what came, the nearest valid name."""

from collections.abc import Iterable
from difflib import get_close_matches


class HofsteerError(Exception):
    """Root of all errors that hofsteer raises on purpose; the command line prints them in one line, exit code 2."""


class InstrumentError(HofsteerError, ValueError):
    """An instrument file, an item, or a table of answers is not what it should be."""


class TargetError(HofsteerError, ValueError):
    """A target is unknown or lacks what was asked of it."""


class ModelError(HofsteerError, ValueError):
    """A model folder, hub id, tokenizer or its answers cannot be used."""


class SoftPromptError(HofsteerError, ValueError):
    """A soft prompt has the wrong shape or its folder cannot be read."""


class ConfigError(HofsteerError, ValueError):
    """A setting is unknown or out of range."""


class RunError(HofsteerError, ValueError):
    """A run folder cannot be started, read or resumed."""


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for the nearest valid name in any case, else an empty string.

    >>> did_you_mean("jpan", ["JPN", "Japan"])
    "; did you mean 'Japan'?"
    >>> did_you_mean("xyzzy", ["JPN", "Japan"])
    ''
    """
    by_lower = {v.lower(): v for v in valid}
    close = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f"; did you mean {by_lower[close[0]]!r}?" if close else ""
