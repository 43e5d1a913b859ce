"""The cultural zones of the Inglehart-Welzel map: which countries stand together on it; see `data/SOURCES.md`."""

from collections.abc import Mapping
from functools import cache

from hofsteer.errors import TargetError
from hofsteer.targets.base import load_target
from hofsteer.targets.names import read_lines

SHORTEST_NAME = 3  # of a group of a table that is taken for a country: `me` need not be Montenegro


def zone_of(code: str) -> str | None:
    """Return the zone of a target by its code, `CODE@SOURCE` or FILE.csv:GROUP; None where it is in none.

    Regions, groups that are no country, mirrors and shuffles are in none, nor are countries that the source leaves out.

    >>> zone_of("JPN"), zone_of("controls.csv:CHN"), zone_of("controls.csv:CHN-mirror-1")
    ('Confucian', 'Confucian', None)
    """
    name = code.rpartition(":")[2].partition("@")[0]
    if (zone := _zones().get(name)) is not None or len(name) < SHORTEST_NAME:
        return zone
    try:
        return _zones().get(load_target(name).code)
    except TargetError:
        return None


@cache
def _zones() -> Mapping[str, str]:
    return {record["code"]: record["zone"] for record in read_lines("zones.csv")}
