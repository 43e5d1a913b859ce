"""From microdata to the answers that a factor analysis takes: items, weights, groups, and what was left out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hofsteer.errors import InstrumentError
from hofsteer.instruments.base import Floats
from hofsteer.instruments.factor.undeclared import undeclared_codes
from hofsteer.instruments.microdata import Column, Microdata, shorten

Level = Literal["pooled", "within", "between"]
Codes = NDArray[np.intp]

MOST_OPTIONS = 10  # different values of a column that is taken as an item when none are named
FEWEST_GROUPS = 20  # for the level between
FILLERS = ("don't know", "dont know", "do not know", "no answer", "refus", "not asked", "missing", "inapplicable")


@dataclass(frozen=True, eq=False)
class Sample:
    """Answers, and what was done to get them."""

    items: tuple[Column, ...]  # I, their numbers over all rows of the file
    answers: Floats  # (n, I), NaN = missing
    weights: Floats  # (n,), with a mean of 1
    groups: tuple[str, ...]  # their names; empty without a group column
    codes: Codes  # (n,), index into `groups`; zeros without a group column
    notes: tuple[str, ...] = ()  # what was left out, one line each
    warnings: tuple[str, ...] = ()  # what may be wrong with the answers, one line each

    @property
    def item_ids(self) -> tuple[str, ...]:
        """The items in the order of the I axis."""
        return tuple(item.name for item in self.items)

    @property
    def n_effective(self) -> float:
        """Kish's effective number of respondents, (sum w)^2 / sum w^2."""
        return float(self.weights.sum() ** 2 / (self.weights**2).sum())


def take_sample(
    data: Microdata, items: Sequence[str] | None = None, weights: str | None = None, group: str | None = None
) -> Sample:
    """Return the answers in microdata.

    Rows without a positive weight, a group or a single answer are left out, and said. Where a group never answered an
    item, it is not compared with others by what it was not asked: the item or the group is left out, whichever lacks
    more, and said. Values of unlabelled items that look like codes for no answer count as answers, with a warning.

    Args:
        data: one row a respondent.
        items: names or patterns (`q*`) of the columns; by default all columns of numbers with at most ten values.
        weights: column of design weights, not negative.
        group: column of groups.

    Raises:
        InstrumentError: an item is constant, has no answer at all, or a value outside its labelled scale; there are
            fewer respondents than items; a column is not there or holds texts.
    """
    used = [data.column(name).name for name in (weights, group) if name is not None]
    names, notes = _item_names(data, items, used)
    answers = data.answers(names)
    weight = _weights(data, weights)
    groups, codes = data.groups(group) if group is not None else ((), np.zeros(data.n, dtype=np.intp))
    keep = (weight > 0) & (codes >= 0)
    notes += _said(int((~keep).sum()), "rows without a positive weight or a group are left out")
    silent = keep & np.isnan(answers).all(axis=1)
    notes += _said(int(silent.sum()), "rows without any answer are left out")
    keep &= ~silent
    columns = tuple(data.column(name) for name in names)
    if not keep.all():  # no copy of a million rows for nothing
        answers, weight, codes = answers[keep], weight[keep], codes[keep]
    sample = Sample(columns, answers, weight, groups, codes, tuple(notes))
    for item, column in zip(sample.items, sample.answers.T, strict=True):
        _check_item(item, column, data.name)
    sample = _without_gaps(sample) if groups else sample
    if len(sample.answers) <= len(sample.items):
        raise InstrumentError(
            f"{data.name}: want more respondents than items, got {len(sample.answers)} respondents and "
            f"{len(sample.items)} items"
        )
    unlabelled = [i for i, item in enumerate(sample.items) if len(item.value_labels) < 2]  # others were checked above
    warnings = undeclared_codes([sample.item_ids[i] for i in unlabelled], sample.answers[:, unlabelled])
    return replace(sample, weights=sample.weights / sample.weights.mean(), warnings=warnings)


def level_answers(sample: Sample, level: Level) -> tuple[Floats, Floats]:
    """Return what the correlations of a level are made of, (rows, I), and the weights of the rows.

    `pooled` takes answers as they are, `within` less the mean of their group, `between` the group means, which count
    alike.

    Raises:
        InstrumentError: fewer than 20 groups for `between`, no more groups than items, or an item without variance.
    """
    if level == "pooled":
        return sample.answers, sample.weights
    means = group_means(sample)
    if level == "within":
        return sample.answers - means[sample.codes], sample.weights
    if len(means) < FEWEST_GROUPS:
        raise InstrumentError(
            f"the level between wants at least {FEWEST_GROUPS} groups, got {len(means)}: factors of so few are chance"
        )
    if len(means) <= len(sample.items):
        raise InstrumentError(
            f"the level between wants more groups than items, got {len(means)} groups and {len(sample.items)} items; "
            "name fewer with --items"
        )
    return means, np.ones(len(means))


def group_means(sample: Sample) -> Floats:
    """Return the weighted mean answer of each group, (G, I)."""
    there = ~np.isnan(sample.answers)
    size = max(len(sample.groups), 1)
    weight = there * sample.weights[:, None]
    values = np.where(there, sample.answers, 0.0) * weight
    sums, totals = np.zeros((2, size, len(sample.items)))
    np.add.at(sums, sample.codes, values)
    np.add.at(totals, sample.codes, weight)
    return np.asarray(sums / totals)


def _item_names(data: Microdata, items: Sequence[str] | None, used: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the columns that are items, and what is to be said of the others."""
    if items is None:
        numbers = [c for c in data.columns.values() if c.numbers is not None and c.name not in used]
        few = [c.name for c in numbers if _values(data.numbers(c.name)) <= MOST_OPTIONS]
        others = [name for name in data.columns if name not in few and name not in used]
        notes = [
            *_listed("items, as none were named", few),
            *_listed("not taken as items (texts, or more than ten values)", others),
        ]
        names = few
    else:
        found: list[str] = []
        for wanted in items:
            matching = [name for name in data.columns if fnmatchcase(name, wanted)] if "*" in wanted else []
            found += matching or [data.column(wanted).name]
        names, notes = list(dict.fromkeys(found)), []
    clash = [name for name in names if name in used]
    if clash:
        raise InstrumentError(f"{data.name}: column {clash[0]} cannot be an item and the weight or the group too")
    if len(names) < 3:
        raise InstrumentError(f"{data.name}: want at least 3 items, got {', '.join(names) or 'none'}")
    return names, notes


def _values(numbers: Floats) -> int:
    return len(np.unique(numbers[~np.isnan(numbers)]))


def _weights(data: Microdata, name: str | None) -> Floats:
    if name is None:
        return np.ones(data.n)
    weights = data.numbers(name)
    if (weights < 0).any():
        raise InstrumentError(f"{data.name}: want weights of at least 0 in column {name}, got {np.nanmin(weights):g}")
    if not (weights > 0).any():
        raise InstrumentError(f"{data.name}: want positive weights in column {name}, got none")
    return np.nan_to_num(weights)


def _check_item(item: Column, answers: Floats, file: str) -> None:
    values, counts = np.unique(answers[~np.isnan(answers)], return_counts=True)
    if not len(values):
        raise InstrumentError(f"{file}: item {item.name} has no answer in any row; leave it out with --items")
    if len(values) == 1:
        raise InstrumentError(
            f"{file}: item {item.name} is constant, everybody answered {values[0]:g}; leave it out with --items"
        )
    labelled = np.array(sorted(item.value_labels))
    if len(labelled) < 2:
        return
    outside = (values < labelled[0]) | (values > labelled[-1])
    if outside.any():
        raise InstrumentError(
            f"{file}: item {item.name} has value {values[outside][0]:g} in {counts[outside][0]} rows, outside of its "
            f"labelled scale {labelled[0]:g} to {labelled[-1]:g}; name it with --missing if it is no answer"
        )
    fillers = [v for v in (labelled[0], labelled[-1]) if any(f in item.value_labels[v].lower() for f in FILLERS)]
    if fillers and fillers[0] in values:
        raise InstrumentError(
            f"{file}: item {item.name} counts {fillers[0]:g} as an answer, which is labelled "
            f"{shorten(item.value_labels[fillers[0]])!r}; name it with --missing {fillers[0]:g}"
        )


def _without_gaps(sample: Sample) -> Sample:
    """Leave out items and groups until every group answered every item."""
    items, groups = len(sample.items), len(sample.groups)
    asked = np.zeros((groups, items), dtype=bool)
    np.logical_or.at(asked, sample.codes, ~np.isnan(sample.answers))
    there = np.bincount(sample.codes, minlength=groups) > 0
    kept_items, kept_groups = np.ones(items, dtype=bool), there.copy()
    while not asked[np.ix_(kept_groups, kept_items)].all():
        lacking = ~asked & kept_groups[:, None] & kept_items
        by_item, by_group = lacking.sum(axis=0) / kept_groups.sum(), lacking.sum(axis=1) / kept_items.sum()
        if by_item.max() >= by_group.max():
            kept_items[by_item.argmax()] = False
        else:
            kept_groups[by_group.argmax()] = False
    lost_items = [item.name for item, kept in zip(sample.items, kept_items, strict=True) if not kept]
    lost_groups = [name for name, kept, was in zip(sample.groups, kept_groups, there, strict=True) if was and not kept]
    rows = kept_groups[sample.codes]
    rank = np.cumsum(kept_groups) - 1
    kept_sample = replace(
        sample,
        items=tuple(item for item, kept in zip(sample.items, kept_items, strict=True) if kept),
        answers=sample.answers[rows][:, kept_items],
        weights=sample.weights[rows],
        groups=tuple(name for name, kept in zip(sample.groups, kept_groups, strict=True) if kept),
        codes=rank[sample.codes[rows]],
        notes=(
            *sample.notes,
            *_listed("items left out, not asked in some group", lost_items),
            *_listed("groups left out, some item not asked in them", lost_groups),
        ),
    )
    if len(kept_sample.items) < 3:
        raise InstrumentError("want at least 3 items that were asked in every group, got fewer; name some with --items")
    return kept_sample


def _said(count: int, what: str) -> list[str]:
    return [f"{count} {what}"] if count else []


def _listed(what: str, names: Sequence[str]) -> list[str]:
    return [f"{what}: {', '.join(names)}"] if names else []
