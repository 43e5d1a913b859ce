"""How groups answered, item by item: the whole distributions that `hofsteer targets fit` keeps beside its table.

A table of targets (CSV) names the file of its distributions (JSON) and its SHA-256 in the columns `items` and
`items_sha256`. The file holds, for each group and item, the weighted share of each option among those who answered, how
many these are, and Kish's effective number of them. Below `FEWEST_EFFECTIVE` an item has no shares, as a group that
small has no scores.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hofsteer.errors import TargetError
from hofsteer.files import dump_json, hash_bytes
from hofsteer.instruments import Instrument
from hofsteer.instruments.base import Floats

FEWEST_EFFECTIVE = 50  # respondents of a group, or of a group's answers to an item, that may be a target
SCHEMA = 1
REMEDY = (
    "make both again with `hofsteer targets fit`, or drop the table's columns items and items_sha256 for scores alone"
)
SUM_ERROR = 1e-6  # by which the shares of an item may miss 1


@dataclass(frozen=True)
class ItemShares:
    """The answers of one group to one item."""

    n: int  # respondents who answered
    n_effective: float  # Kish's effective number of them
    shares: tuple[float, ...] | None  # weighted, of each option in canonical order; None: too few, or not to be told


@dataclass(frozen=True, eq=False)
class ItemGoal:
    """The distributions of one group in the order of an instrument's items and options."""

    shares: Floats  # (I, K); NaN at options that an item has not, and throughout where it has no distribution
    n_effective: Floats  # (I,)
    values: Floats  # (I, K), option values of the instrument; NaN at options that an item has not

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether an item has a distribution, (I,)."""
        return np.asarray(~np.isnan(self.shares).all(axis=1))


@dataclass(frozen=True, eq=False)
class ItemDistributions:
    """How one group answered each item of the instrument that it was asked."""

    file: str
    sha256: str  # of the file
    options: Mapping[str, tuple[float, ...]]  # item -> option values, in the order of the shares
    items: Mapping[str, ItemShares]  # the same keys

    def on(self, instrument: Instrument) -> ItemGoal:
        """Return them in the order of an instrument's items and options; an option is known by its value.

        Raises:
            TargetError: the instrument has other items, or an item has other option values.
        """
        asked = instrument.item_ids
        if odd := [item for item in (*asked, *self.options) if (item in self.options) != (item in asked)]:
            whose = instrument.id if odd[0] in asked else self.file
            raise TargetError(
                f"want the items of {self.file} ({len(self.options)}) and of {instrument.id} ({len(asked)}) to be the "
                f"same, got {odd[0]} in {whose} alone"
            )
        shares = np.full(instrument.option_values.shape, np.nan)
        for i, item in enumerate(instrument.items):
            own, other = [option.value for option in item.options], self.options[item.id]
            if sorted(own) != sorted(other):
                counts = [", ".join(f"{value:g}" for value in values) for values in (other, own)]
                raise TargetError(
                    f"want one scale for {item.id}, got options {counts[0]} in {self.file} and {counts[1]} in "
                    f"{instrument.id}"
                )
            if (found := self.items[item.id].shares) is not None:
                shares[i, : len(own)] = [found[other.index(value)] for value in own]
        if np.isnan(shares).all():
            raise TargetError(
                f"want an item that {FEWEST_EFFECTIVE} respondents answered in effect, got none in {self.file}"
            )
        effective = np.array([self.items[item].n_effective for item in asked])
        return ItemGoal(shares, effective, instrument.option_values)

    def to_json(self) -> dict[str, Any]:
        """Return them as JSON values."""
        items = {name: {"options": list(self.options[name]), **_plain(one)} for name, one in self.items.items()}
        return {"file": self.file, "sha256": self.sha256, "items": items}


def kish(weights: Floats) -> float:
    """Return the effective number of respondents, (sum w)^2 / sum w^2 (Kish 1965).

    >>> kish(np.array([1.0, 1.0, 2.0])).__round__(3)
    2.667
    """
    return float(weights.sum() ** 2 / (weights**2).sum())


def item_shares(answers: Floats, weights: Floats, values: Sequence[float]) -> ItemShares:
    """Return how respondents answered an item.

    Args:
        answers: (n,), option values; NaN = missing.
        weights: (n,), design weights above 0.
        values: of the options, in canonical order. Where two are alike the answers do not tell the options apart, and
            there are no shares.

    >>> item_shares(np.tile([1.0, 1.0, 2.0, np.nan], 40), np.ones(160), [1.0, 2.0, 3.0])
    ItemShares(n=120, n_effective=120.0, shares=(0.6666666666666666, 0.3333333333333333, 0.0))
    """
    there = ~np.isnan(answers)
    if not there.any():
        return ItemShares(0, 0.0, None)
    mine, weights = answers[there], weights[there]
    effective = kish(weights)
    shares = tuple(float(weights[mine == value].sum() / weights.sum()) for value in values)
    told = effective >= FEWEST_EFFECTIVE and len(set(values)) == len(values)
    return ItemShares(int(there.sum()), effective, shares if told else None)


class _Answered(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def items(self) -> tuple[ItemShares, ...]: ...


def items_text(groups: Sequence[_Answered], instrument: Instrument, source: str) -> str:
    """Return the file (JSON) of the distributions of groups, whose items are in the order of the instrument's."""
    options = {item.id: [option.value for option in item.options] for item in instrument.items}
    return distributions_text(instrument.id, source, options, {group.name: group.items for group in groups})


def distributions_text(
    instrument_id: str, source: str, options: Mapping[str, Sequence[float]], groups: Mapping[str, Sequence[ItemShares]]
) -> str:
    """Return the file (JSON) of distributions by group, each in the order of `options`, the option values by item."""
    table = {
        "schema": SCHEMA,
        "instrument": instrument_id,
        "source": source,
        "options": {item: list(values) for item, values in options.items()},
        "groups": {
            group: {item: _plain(one) for item, one in zip(options, shares, strict=True)}
            for group, shares in groups.items()
        },
    }
    return dump_json(table) + "\n"


def items_path(table: Path) -> Path:
    """Return where the distributions of a table's groups are kept."""
    return table.with_suffix(".items.json")


def read_items(path: Path, sha256: str) -> dict[str, ItemDistributions]:
    """Return group -> its distributions.

    Raises:
        TargetError: the file is not there, is not the one with this SHA-256, or holds something else; one line.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TargetError(f"cannot read the item distributions {path}: {error.strerror}; {REMEDY}") from None
    if (now := hash_bytes(data)) != sha256:
        raise TargetError(
            f"{path.name} is not what its table names: want SHA-256 {sha256[:12]}, got {now[:12]}; {REMEDY}"
        )
    try:
        table = json.loads(data)
        if table["schema"] != SCHEMA:
            raise ValueError(f"want schema {SCHEMA}, got {table['schema']!r}")
        options = {item: tuple(map(float, values)) for item, values in table["options"].items()}
        found = {}
        for group, answered in table["groups"].items():
            items = {item: _checked(answered[item], len(options[item]), f"{group}, {item}") for item in options}
            found[group] = ItemDistributions(path.name, sha256, options, items)
        return found
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        said = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise TargetError(f"{path.name} holds no item distributions: {said}") from None


def _plain(one: ItemShares) -> dict[str, Any]:
    return {**asdict(one), "shares": None if one.shares is None else list(one.shares)}


def _checked(table: Mapping[str, Any], options: int, place: str) -> ItemShares:
    shares = table["shares"]
    if shares is not None:
        shares = tuple(map(float, shares))
        whole = all(math.isfinite(share) and share >= 0 for share in shares) and abs(sum(shares) - 1) <= SUM_ERROR
        if len(shares) != options or not whole:
            raise ValueError(f"{place}: want {options} shares that add up to 1, got {list(shares)}")
    return ItemShares(int(table["n"]), float(table["n_effective"]), shares)
