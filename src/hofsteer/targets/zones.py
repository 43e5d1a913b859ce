"""The cultural zones of the Inglehart-Welzel map: which countries stand together on it; see `data/SOURCES.md`."""

from collections.abc import Mapping
from functools import cache

from hofsteer.errors import TargetError
from hofsteer.targets.base import all_targets, load_target
from hofsteer.targets.names import name_records, read_lines

SHORTEST_NAME = 3  # of a group of a table that is taken for a country: `me` need not be Montenegro


def country_of(code: str) -> str | None:
    """Return the country that a target is, by its code, `CODE@SOURCE` or FILE.csv:GROUP; None if it is none.

    Regions, groups that are no country, mirrors and shuffles are none.

    >>> country_of("JPN@tao2024"), country_of("controls.csv:Japan"), country_of("controls.csv:JPN-mirror-1")
    ('JPN', 'JPN', None)
    """
    name = code.rpartition(":")[2].partition("@")[0]
    if name not in name_records():
        if len(name) < SHORTEST_NAME:
            return None
        try:
            name = load_target(name).code
        except TargetError:
            return None
    return None if name in _regions() else name


def zone_of(code: str) -> str | None:
    """Return the zone of a target by its code, `CODE@SOURCE` or FILE.csv:GROUP; None where it is in none.

    Regions, groups that are no country, mirrors and shuffles are in none, nor are countries that the source leaves out.

    >>> zone_of("JPN"), zone_of("controls.csv:CHN"), zone_of("controls.csv:CHN-mirror-1")
    ('Confucian', 'Confucian', None)
    """
    return None if (country := country_of(code)) is None else _zones().get(country)


@cache
def _regions() -> frozenset[str]:
    return frozenset(target.code for target in all_targets() if target.kind == "region")


@cache
def _zones() -> Mapping[str, str]:
    return {record["code"]: record["zone"] for record in read_lines("zones.csv")}
