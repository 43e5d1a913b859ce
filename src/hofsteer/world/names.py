"""Names of invented countries: pronounceable, and no place that there is."""

from collections.abc import Iterable
from difflib import SequenceMatcher
from functools import cache

import numpy as np

from hofsteer.targets import all_coordinates, all_targets

ONSETS = (
    "b",
    "br",
    "d",
    "dr",
    "g",
    "gl",
    "k",
    "kl",
    "l",
    "m",
    "n",
    "pl",
    "qu",
    "r",
    "s",
    "sk",
    "t",
    "tr",
    "v",
    "w",
    "z",
    "zh",
)
VOWELS = ("a", "e", "i", "o", "u", "au", "ei", "uo")
MIDDLES = ("l", "m", "n", "r", "s", "v", "z", "lm", "nd", "rb", "rv", "sk", "xt", "zb")
ENDINGS = ("aqu", "aumpf", "eekk", "ezzip", "iqqa", "oogg", "ozbu", "umph", "uvvo", "yxx")  # of no place that there is
LIKENESS = 0.7  # to a real name; above it a name is drawn again

NAMES = 51  # random stream


def invented_name(stream: Iterable[int]) -> str:
    """Return the name that a random stream gives, such as "Glaundizuvvo": like that of no real country or region.

    >>> invented_name([1])
    'Tirbuoseekk'
    """
    rng = np.random.default_rng([*stream, NAMES])
    while True:
        parts = [rng.choice(ONSETS), rng.choice(VOWELS), rng.choice(MIDDLES)]
        if rng.random() < 0.5:
            parts += [rng.choice(VOWELS), rng.choice(MIDDLES)]
        name = "".join([*parts, rng.choice(ENDINGS)])
        if not resembles_real(name):
            return name.capitalize()


def resembles_real(name: str) -> bool:
    """Return whether a name is like that of a real country, territory or region, or holds one.

    >>> resembles_real("Germania"), resembles_real("Zoskumph")
    (True, False)
    """
    low = name.lower()
    return any(real in low or SequenceMatcher(None, low, real).ratio() > LIKENESS for real in _real_names())


@cache
def _real_names() -> frozenset[str]:
    rows = (*all_targets(), *all_coordinates())
    return frozenset(name.lower() for row in rows for name in (row.name, row.in_sentence.removeprefix("the ")))
