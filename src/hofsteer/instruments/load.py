"""Instrument files: one survey in one TOML file, checked before anything is asked."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hofsteer.errors import InstrumentError, did_you_mean
from hofsteer.files import hash_bytes
from hofsteer.instruments.base import Instrument, Item, Option
from hofsteer.instruments.dimensions import build_dimensions
from hofsteer.instruments.format import (
    FILL_IN,
    InstrumentFile,
    ItemFile,
    OptionFile,
    VariantFile,
    first_problem,
)

FORMAT = 1
DATA = Path(str(files("hofsteer.instruments"))) / "data"


@dataclass(frozen=True)
class InstrumentEntry:
    """One line of the list of bundled instruments."""

    id: str
    aliases: tuple[str, ...]
    title: str


def load_instrument(name: str | Path, unwritten: bool = False) -> Instrument:
    """Return a bundled instrument by id or alias in any case (`vsm13`), or the one in a TOML file by its path.

    Args:
        name: id, alias or path.
        unwritten: also take a file whose texts are still to be written; it can score answers, and is not to be asked.

    Raises:
        InstrumentError: nothing has that name, or the file is not a valid instrument.
    """
    text = str(name)
    if isinstance(name, Path) or text.endswith(".toml") or "/" in text:
        path = Path(name)
        if not path.is_file():
            raise InstrumentError(f"no instrument file at {text}")
        return read_instrument(path, unwritten)
    return _bundled(text.lower())


def bundled_instruments() -> tuple[InstrumentEntry, ...]:
    """Return id, aliases and title of every bundled instrument, sorted by id."""
    tables = [_read_toml(path) for path in sorted(DATA.glob("*.toml"))]
    return tuple(InstrumentEntry(t["id"], tuple(t.get("aliases", [])), t["title"]) for t in tables)


def read_instrument(path: Path, unwritten: bool = False) -> Instrument:
    """Return the instrument in a TOML file. Raises InstrumentError that names the file and what is wrong in it."""
    table = _read_toml(path)
    if table.get("format", FORMAT) != FORMAT:
        raise InstrumentError(f"{path.name}: want format {FORMAT}, got {table['format']!r}")
    model = VariantFile if "extends" in table else InstrumentFile
    try:
        file = model.model_validate(table)
    except ValidationError as error:
        raise InstrumentError(f"{path.name}: {first_problem(error, model)}") from None
    if isinstance(file, VariantFile):
        return _vary(file, path)
    instrument = _build(file, path)
    if not unwritten:
        _refuse_unwritten(instrument, path)
    return instrument


@cache
def _bundled(name: str) -> Instrument:
    names = {n: entry.id for entry in bundled_instruments() for n in (entry.id, *entry.aliases)}
    if name not in names:
        raise InstrumentError(
            f"unknown instrument {name!r}{did_you_mean(name, names)} (there are {', '.join(sorted(names))})"
        )
    return read_instrument(DATA / f"{names[name]}.toml")


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InstrumentError(f"{path.name} is not a TOML file: {error}") from None


def _build(file: InstrumentFile, path: Path) -> Instrument:
    _refuse_duplicates(path, "item", [item.id for item in file.items])
    _refuse_duplicates(path, "dimension", [dimension.id for dimension in file.dimensions])
    built = [_item(item, file.scales, path) for item in file.items]
    items = tuple(item for item, table in zip(built, file.items, strict=True) if not table.optional)
    optional = tuple(item for item, table in zip(built, file.items, strict=True) if table.optional)
    dimensions = build_dimensions(file.dimensions, items, optional, path, file.factors, file.person_centred)
    _check_wordings(items, optional, path)
    _check_neutral(file.neutral, items, path)
    return Instrument(
        id=file.id,
        title=file.title,
        source=file.source,
        licence=file.licence,
        language=file.language,
        neutral=file.neutral,
        items=items,
        dimensions=dimensions,
        hash=hash_bytes(path.read_bytes()),
        optional_items=optional,
        constants=file.constants,
        validated=file.validated,
        person_centred=file.person_centred,
    )


def _item(table: ItemFile, scales: Mapping[str, list[OptionFile]], path: Path) -> Item:
    place = f"{path.name}: item {table.id}"
    if (table.scale is None) == (table.options is None):
        given = "neither" if table.scale is None else "both"
        raise InstrumentError(f"{place} wants a scale or options of its own, got {given}")
    if table.scale is not None and table.scale not in scales:
        raise InstrumentError(f"{place} uses unknown scale {table.scale!r}{did_you_mean(table.scale, scales)}")
    options = table.options if table.scale is None else scales[table.scale]
    assert options is not None
    if len({option.text for option in options}) < len(options):
        raise InstrumentError(f"{place} wants options that differ, got one text twice")
    if not table.optional and len({option.value for option in options}) < 2:
        raise InstrumentError(f"{place} wants options with at least two values, got {options[0].value:g} throughout")
    return Item(
        id=table.id,
        construct=table.about,
        wordings=tuple(table.wordings),
        options=tuple(Option(option.text, float(option.value)) for option in options),
        scale=table.scale,
        domain=table.domain,
        deviation=float(table.deviation),
    )


def _check_wordings(items: Sequence[Item], optional: Sequence[Item], path: Path) -> None:
    """Raise if an optional item cannot be asked in every form that the others can."""
    wanted = min(len(item.wordings) for item in items)
    for item in optional:
        if len(item.wordings) < wanted:
            raise InstrumentError(
                f"{path.name}: optional item {item.id} wants {wanted} wordings like the others, "
                f"got {len(item.wordings)}"
            )


def _refuse_unwritten(instrument: Instrument, path: Path) -> None:
    for item in (*instrument.items, *instrument.optional_items):
        for text in (*item.wordings, *(option.text for option in item.options)):
            if text.startswith(FILL_IN):
                raise InstrumentError(f"{path.name}: item {item.id} has texts still to be written: {text!r}")


def _check_neutral(neutral: float | None, items: Sequence[Item], path: Path) -> None:
    for item in items:
        values = [option.value for option in item.options]
        if neutral is not None and not min(values) < neutral < max(values):
            raise InstrumentError(
                f"{path.name}: neutral = {neutral:g} is not inside the scale of item {item.id}, "
                f"{min(values):g} to {max(values):g}; leave it out where scales differ"
            )


def _vary(file: VariantFile, path: Path) -> Instrument:
    _refuse_duplicates(path, "dimension", [dimension.id for dimension in file.dimensions])
    base = _base(file.extends, path)
    changed = {
        d.id: d
        for d in build_dimensions(file.dimensions, base.items, base.optional_items, path, centred=base.person_centred)
    }
    for dimension_id in changed:
        if dimension_id not in base.dimension_ids:
            raise InstrumentError(
                f"{path.name}: {base.id} has no dimension {dimension_id!r}"
                f"{did_you_mean(dimension_id, base.dimension_ids)}"
            )
    return replace(
        base,
        id=file.id,
        title=file.title,
        source=file.source,
        dimensions=tuple(changed.get(d.id, d) for d in base.dimensions),
        hash=hash_bytes(base.hash.encode() + path.read_bytes()),
    )


def _base(name: str, path: Path) -> Instrument:
    """Return the instrument that the variant at `path` extends: a file beside it, else a bundled one."""
    beside = path.parent / f"{name}.toml"
    try:
        if not beside.is_file():
            return _bundled(name.lower())
        if "extends" not in _read_toml(beside):
            return read_instrument(beside)
    except InstrumentError as error:
        raise InstrumentError(f"{path.name} extends {name!r}: {error}") from None
    # A variant of a variant could be one of itself.
    raise InstrumentError(f"{path.name}: want to extend a whole instrument, got {name!r}, which is a variant itself")


def _refuse_duplicates(path: Path, kind: str, ids: list[str]) -> None:
    """Raise if two ids are the same but for case: tables of answers name their columns in any case."""
    seen: set[str] = set()
    for name in ids:
        if name.lower() in seen:
            raise InstrumentError(f"{path.name}: duplicate {kind} {name!r}")
        seen.add(name.lower())
