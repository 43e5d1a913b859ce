"""Instrument files: one survey in one TOML file, checked before anything is asked."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hofsteer.errors import InstrumentError, did_you_mean
from hofsteer.files import hash_bytes
from hofsteer.instruments.base import Dimension, Instrument, Item, Option

FORMAT = 1
DATA = Path(str(files("hofsteer.instruments"))) / "data"

Text = Annotated[str, Field(min_length=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ItemFile(_Strict):
    """One `[[items]]` table."""

    id: Text
    about: Text = Field(alias="construct")
    scale: Text
    wordings: Annotated[list[Text], Field(min_length=1)]


class DimensionFile(_Strict):
    """One `[[dimensions]]` table: points per scale step for each item that enters."""

    id: Text
    name: Text
    weights: Annotated[dict[str, Finite], Field(min_length=1)]


class InstrumentFile(_Strict):
    """A whole instrument file. Scales are lists of option texts, which count 1, 2, ... in the order given."""

    format: int
    id: Text
    aliases: list[Text] = []
    title: Text
    source: Text
    licence: Text
    language: Text
    neutral: Finite
    scales: dict[str, Annotated[list[Text], Field(min_length=2, max_length=10)]]
    dimensions: Annotated[list[DimensionFile], Field(min_length=1)]
    items: Annotated[list[ItemFile], Field(min_length=1)]


class VariantFile(_Strict):
    """A file that takes another one and scores some of its dimensions differently."""

    format: int
    extends: Text
    id: Text
    title: Text
    source: Text
    dimensions: Annotated[list[DimensionFile], Field(min_length=1)]


@dataclass(frozen=True)
class InstrumentEntry:
    """One line of the list of bundled instruments."""

    id: str
    aliases: tuple[str, ...]
    title: str


def load_instrument(name: str | Path) -> Instrument:
    """Return a bundled instrument by id or alias in any case (`vsm13`), or the one in a TOML file by its path.

    Raises:
        InstrumentError: nothing has that name, or the file is not a valid instrument.
    """
    text = str(name)
    if isinstance(name, Path) or text.endswith(".toml") or "/" in text:
        path = Path(name)
        if not path.is_file():
            raise InstrumentError(f"no instrument file at {text}")
        return read_instrument(path)
    return _bundled(text.lower())


def bundled_instruments() -> tuple[InstrumentEntry, ...]:
    """Return id, aliases and title of every bundled instrument, sorted by id."""
    tables = [_read_toml(path) for path in sorted(DATA.glob("*.toml"))]
    return tuple(InstrumentEntry(t["id"], tuple(t.get("aliases", [])), t["title"]) for t in tables)


def read_instrument(path: Path) -> Instrument:
    """Return the instrument in a TOML file. Raises InstrumentError that names the file and what is wrong in it."""
    table = _read_toml(path)
    if table.get("format", FORMAT) != FORMAT:
        raise InstrumentError(f"{path.name}: want format {FORMAT}, got {table['format']!r}")
    model = VariantFile if "extends" in table else InstrumentFile
    try:
        file = model.model_validate(table)
    except ValidationError as error:
        raise InstrumentError(f"{path.name}: {_first_problem(error, model)}") from None
    return _vary(file, path) if isinstance(file, VariantFile) else _build(file, path)


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
    items = []
    for item in file.items:
        if item.scale not in file.scales:
            raise InstrumentError(
                f"{path.name}: item {item.id} uses unknown scale {item.scale!r}{did_you_mean(item.scale, file.scales)}"
            )
        options = tuple(Option(text, float(i)) for i, text in enumerate(file.scales[item.scale], start=1))
        items.append(Item(item.id, item.about, tuple(item.wordings), options))
    return Instrument(
        id=file.id,
        title=file.title,
        source=file.source,
        licence=file.licence,
        language=file.language,
        neutral=file.neutral,
        items=tuple(items),
        dimensions=_dimensions(file.dimensions, [item.id for item in items], path),
        hash=hash_bytes(path.read_bytes()),
    )


def _vary(file: VariantFile, path: Path) -> Instrument:
    _refuse_duplicates(path, "dimension", [dimension.id for dimension in file.dimensions])
    base = _base(file.extends, path)
    changed = {d.id: d for d in _dimensions(file.dimensions, list(base.item_ids), path)}
    for dimension_id in changed:
        if dimension_id not in base.dimension_ids:
            raise InstrumentError(
                f"{path.name}: {base.id} has no dimension {dimension_id!r}"
                f"{did_you_mean(dimension_id, base.dimension_ids)}"
            )
    return Instrument(
        id=file.id,
        title=file.title,
        source=file.source,
        licence=base.licence,
        language=base.language,
        neutral=base.neutral,
        items=base.items,
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


def _dimensions(tables: list[DimensionFile], item_ids: list[str], path: Path) -> tuple[Dimension, ...]:
    for dimension in tables:
        for item_id in dimension.weights:
            if item_id not in item_ids:
                raise InstrumentError(
                    f"{path.name}: the formula of {dimension.id} names item {item_id!r}, which is not in the instrument"
                    f"{did_you_mean(item_id, item_ids)}"
                )
    return tuple(Dimension(d.id, d.name, tuple((i, float(w)) for i, w in d.weights.items())) for d in tables)


def _refuse_duplicates(path: Path, kind: str, ids: list[str]) -> None:
    """Raise if two ids are the same but for case: tables of answers name their columns in any case."""
    seen: set[str] = set()
    for name in ids:
        if name.lower() in seen:
            raise InstrumentError(f"{path.name}: duplicate {kind} {name!r}")
        seen.add(name.lower())


def _first_problem(error: ValidationError, model: type[_Strict]) -> str:
    """Say the first of pydantic's complaints in one line, with the nearest valid key where one is unknown."""
    problem = error.errors(include_url=False)[0]
    place = ".".join(str(part + 1) if isinstance(part, int) else part for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        tables: dict[str, type[_Strict]] = {"items": ItemFile, "dimensions": DimensionFile}
        fields = (tables[str(problem["loc"][0])] if len(problem["loc"]) > 1 else model).model_fields
        keys = [field.alias or name for name, field in fields.items()]
        return f"unknown key {place!r}{did_you_mean(str(problem['loc'][-1]), keys)}"
    if problem["type"] == "missing":
        return f"missing key {place!r}"
    return f"{place}: {problem['msg']}, got {problem['input']!r}"
