"""A user's own copy of an instrument: the official wording, or a translation, in place of ours.

`template` writes a table with a row an item; the user fills in the texts; `own_instrument` makes an instrument of them
with the same items, values and formulas. Our own wording stands in the table as an example and is not taken for theirs.
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hofsteer.errors import InstrumentError, did_you_mean
from hofsteer.files import hash_bytes
from hofsteer.instruments.base import Instrument, Item, Option

WORDING, OPTION = "wording", "option_"
FIXED = ("id", "construct", "example")  # columns that the user leaves as they are
DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True)
class OwnTexts:
    """What a user filled in for one item."""

    wordings: tuple[str, ...]
    options: tuple[str, ...]


def template(instrument: Instrument) -> str:
    """Return a CSV table: id, construct, an example (our wording), an empty `wording`, and the options as we have them.

    A column `wording_2`, and so on, may be added for more wordings. Options are replaced or left.
    """
    most = max(len(item.options) for item in _items(instrument))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*FIXED, WORDING, *(f"{OPTION}{k}" for k in range(1, most + 1))])
    for item in _items(instrument):
        writer.writerow([item.id, item.construct, item.wordings[0], "", *(option.text for option in item.options)])
    return text.getvalue()


def read_own(path: Path, base: Instrument) -> dict[str, OwnTexts]:
    """Return the texts in a filled-in template, by item id. Optional items that were left empty are left out.

    Files of spreadsheets are taken as they come: with a byte order mark, with semicolons or tabs.

    Raises:
        InstrumentError: the file cannot be read, a column or an item is missing, unknown or double, or a text is empty.
    """
    rows = _rows(path)
    items = {item.id.lower(): item for item in _items(base)}
    optional = {item.id for item in base.optional_items}
    found: dict[str, OwnTexts] = {}
    for line, row in rows:
        name = row["id"].strip()
        place = f"{path.name}, line {line}"
        if name.lower() not in items:
            raise InstrumentError(
                f"{place}: {base.id} has no item {name!r}{did_you_mean(name, [i.id for i in items.values()])}"
            )
        item = items[name.lower()]
        if item.id in found:
            raise InstrumentError(f"{place}: item {item.id} stands there twice")
        wordings = tuple(text.strip() for key, text in row.items() if key.startswith(WORDING) and text.strip())
        if not wordings and item.id in optional:
            continue
        if not wordings:
            raise InstrumentError(
                f"{place}: item {item.id} has no {WORDING}; the example is ours and is not taken for yours"
            )
        options = [text.strip() for key, text in row.items() if key.startswith(OPTION)]
        while options and not options[-1]:
            options.pop()
        if len(options) != len(item.options) or not all(options):
            raise InstrumentError(
                f"{place}: item {item.id} wants {len(item.options)} options, since its values belong to them, "
                f"got {sum(map(bool, options))}"
            )
        found[item.id] = OwnTexts(wordings, tuple(options))
    if missing := [item.id for item in base.items if item.id not in found]:
        raise InstrumentError(f"{path.name}: want all {len(base.items)} items of {base.id}, {missing[0]} is missing")
    return found


def own_instrument(base: Instrument, texts: Mapping[str, OwnTexts], name: str, title: str, language: str) -> str:
    """Return an instrument file (TOML) with a user's texts and the formulas of `base`; its hash is that of the file."""
    import tomli_w

    table: dict[str, Any] = {
        "format": 1,
        "id": name,
        "title": title,
        "source": f"Formulas as in {base.id} ({base.source}) Wording: the user's own copy.",
        "licence": "Item texts: as the owner of the wording allows. Not hofsteer's.",
        "language": language,
        "constants": base.constants,
        "validated": base.validated,
        "person_centred": base.person_centred,
    }
    if base.neutral is not None:
        table["neutral"] = base.neutral
    table["dimensions"] = [
        {"id": d.id, "name": d.name, "weights": dict(d.weights), "intercept": d.intercept} for d in base.dimensions
    ]
    optional = {item.id for item in base.optional_items}
    table["items"] = [_item(item, texts[item.id], item.id in optional) for item in _items(base) if item.id in texts]
    return tomli_w.dumps(table)


def same_scoring(one: Instrument, other: Instrument) -> bool:
    """Return whether two instruments score the same items by the same formulas, whatever their words."""

    def formulas(instrument: Instrument) -> list[tuple[str, tuple[tuple[str, float], ...], float]]:
        return [(d.id, tuple(sorted(d.weights)), d.intercept) for d in instrument.dimensions]

    return formulas(one) == formulas(other) and one.item_ids == other.item_ids


def wording_hash(instrument: Instrument) -> str:
    """Return the SHA-256 of all texts of an instrument: two of one hash ask in the same words."""
    texts = [(item.id, item.wordings, [option.text for option in item.options]) for item in instrument.items]
    return hash_bytes(repr(texts).encode())


def _items(instrument: Instrument) -> tuple[Item, ...]:
    return (*instrument.items, *instrument.optional_items)


def _item(item: Item, texts: OwnTexts, optional: bool) -> dict[str, Any]:
    options = [Option(text, option.value) for text, option in zip(texts.options, item.options, strict=True)]
    table: dict[str, Any] = {
        "id": item.id,
        "construct": item.construct,
        "wordings": list(texts.wordings),
        "options": [{"text": option.text, "value": option.value} for option in options],
        "deviation": item.deviation,
    }
    if item.domain is not None:
        table["domain"] = item.domain
    return {**table, "optional": True} if optional else table


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Return line number and cells by column of every row that is not empty."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InstrumentError(f"{path.name} is not UTF-8: save it as CSV UTF-8") from None
    except OSError as error:
        raise InstrumentError(f"cannot read {path}: {error.strerror}") from None
    head = text.split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        columns = [name.strip().lower() for name in next(reader, [])]
        wanted = ("id", WORDING, f"{OPTION}1")
        if lacking := [name for name in wanted if name not in columns]:
            raise InstrumentError(f"{path.name} wants a column {lacking[0]!r}, got {', '.join(columns) or 'nothing'}")
        if double := [name for name in columns if columns.count(name) > 1]:
            raise InstrumentError(f"{path.name} has the column {double[0]!r} twice")
        rows = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise InstrumentError(f"{path.name} cannot be read as CSV: {error}") from None
    for line, cells in rows:
        if len(cells) > len(columns):
            raise InstrumentError(f"{path.name}, line {line} has {len(cells)} cells, the head has {len(columns)}")
    return [(line, dict(zip(columns, [*cells, *[""] * len(columns)], strict=False))) for line, cells in rows]
