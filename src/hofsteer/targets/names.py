"""The names of countries and regions, and how a look-up sees them."""

import csv
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from unicodedata import normalize


def look_up_key(name: str) -> str:
    """Return `name` as the look-up sees it: letters and digits alone, lower case, no accents.

    >>> look_up_key("Saudi-Arabia") == look_up_key(" saudi_arabia ")
    True
    """
    return "".join(c for c in normalize("NFKD", name).casefold() if c.isalnum())


def names_of(code: str, name: str) -> tuple[str, ...]:
    """Return every accepted name of the place with this code, whose table calls it `name`."""
    record = name_records()[code]
    return tuple(filter(None, (code, name, record["in_sentence"], record["alpha2"], *record["aliases"].split(";"))))


def in_sentence(code: str, name: str) -> str:
    """Return a name as it stands in a sentence: "the United States"."""
    return name_records()[code]["in_sentence"] or name


@cache
def name_records() -> Mapping[str, Mapping[str, str]]:
    """Return code -> its line of `names.csv`."""
    return {record["code"]: record for record in read_lines("names.csv")}


def read_lines(file: str) -> Iterable[dict[str, str]]:
    """Return the lines of a data file, column -> text; an empty cell is an empty string."""
    return csv.DictReader((files("hofsteer.targets") / "data" / file).read_text(encoding="utf-8").splitlines())
