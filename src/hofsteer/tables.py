"""Nested tables of settings: read from TOML, named by dotted keys as flags and `--set` do, merged."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hofsteer.errors import ConfigError


def read_toml(path: Path) -> dict[str, Any]:
    """Return the table in a TOML file. Raises ConfigError if there is none."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a TOML file: {error}") from None
    except OSError as error:
        raise ConfigError(f"cannot read settings from {path}: {error.strerror}") from None


def parse_set(text: str, flag: str = "--set") -> tuple[str, Any]:
    """Return key and value of a text `key=value`, the value in TOML syntax or a bare word. Raises ConfigError."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"{flag} wants key=value, got {text!r}")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def by_dotted_key(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of nested tables, as flags and `--set` name them.

    >>> by_dotted_key({"wordings": [0], "search": {"seed": 3}})
    {'wordings': [0], 'search.seed': 3}
    """
    found: dict[str, Any] = {}
    for key, value in table.items():
        found |= by_dotted_key(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def nested(key: str, value: Any) -> dict[str, Any]:
    """Return the nested tables that a dotted key and its value stand for.

    >>> nested("search.seed", 3)
    {'search': {'seed': 3}}
    """
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)


def merge(into: dict[str, Any], table: Mapping[str, Any]) -> None:
    """Put a table's values into another, table by table, over those that are there."""
    for key, value in table.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = dict(value) if isinstance(value, Mapping) else value
