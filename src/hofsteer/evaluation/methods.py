"""Methods over all targets of a comparison: means, paired differences, and where the model alone is beaten.

Targets are fixed: they were chosen, and what is said is said of them. Search seeds and held-out wordings are drawn, and
crossed with the targets and each other: every seed is searched for every target and asked the same forms. So losses are
averaged over targets, and over the forms of a wording, first, and intervals are those of a table of seeds x wordings
(`mean_over_seeds_and_wordings`). What has no seed, such as a persona, has no interval; a difference between it and a
search has that of the search's seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np

from hofsteer.evaluation.cells import Cell
from hofsteer.evaluation.plan import Margins
from hofsteer.evaluation.statistics import (
    Mean,
    benjamini_hochberg,
    by_wording,
    holm,
    mean_over_seeds,
    mean_over_seeds_and_wordings,
)
from hofsteer.instruments.base import Floats
from hofsteer.targets import difference_loss

LEVEL = 0.05
LEAST_TARGETS = 10  # for a statement on how many of them
NAIVE = "naive"

Word = Literal["lower", "higher", "not told apart", "no verdict"]
BeatenWord = Literal["beaten", "not shown", "no verdict"]


@dataclass(frozen=True)
class Difference:
    """The held-out loss of one method less that of another, mean over targets, paired by target, seed and wording."""

    method: str
    other: str
    mean: Mean  # points; below 0 the first is nearer
    p: float | None  # two-sided t test; None without an interval
    p_adjusted: float | None  # Holm, over all differences of the comparison
    word: Word


@dataclass(frozen=True)
class Beaten:
    """By how much a method is nearer to one target than the model alone, one-sided."""

    method: str
    target: str
    mean: Mean  # points, loss of the model alone less that of the method
    p: float
    p_adjusted: float  # Benjamini-Hochberg, over the targets of the method
    word: BeatenWord


@dataclass(frozen=True)
class MethodStatistics:
    """What a comparison says of its methods, on held-out forms."""

    targets: tuple[str, ...]
    n_seeds: int  # of the searches; 0 without one
    means: dict[str, Mean]  # method -> held-out loss over targets, points
    between_targets: dict[str, Mean]  # method -> loss of the differences between targets, points; empty where none is
    differences: tuple[Difference, ...]
    beaten: tuple[Beaten, ...]  # empty below `LEAST_TARGETS`, without the model alone or an interval

    def to_json(self) -> dict[str, Any]:
        """Return them as JSON values."""
        return {"targets": len(self.targets), "seeds": self.n_seeds, "rows": self.rows()}

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each mean, loss between targets, difference and country, with the same columns."""
        return [
            *(_row("mean", name, None, None, mean) for name, mean in self.means.items()),
            *(_row("between-targets", name, None, None, mean) for name, mean in self.between_targets.items()),
            *(_row("difference", d.method, d.other, None, d.mean, d.p, d.p_adjusted, d.word) for d in self.differences),
            *(_row("beats-naive", b.method, NAIVE, b.target, b.mean, b.p, b.p_adjusted, b.word) for b in self.beaten),
        ]


def method_statistics(cells: Sequence[Cell], least_seeds: int = Margins().seeds_for_a_verdict) -> MethodStatistics:
    """Return the statistics of all methods that were asked the held-out forms for every target.

    Args:
        cells: of one comparison.
        least_seeds: for a verdict; with fewer every word is "no verdict".
    """
    asked = [cell for cell in cells if cell.held_out_forms]
    targets = tuple(dict.fromkeys(cell.target for cell in asked))
    tables = {name: _table(asked, name, targets) for name in dict.fromkeys(cell.method for cell in asked)}
    n_seeds = len({cell.seed for cell in asked if cell.seed is not None})
    given = n_seeds >= least_seeds
    return MethodStatistics(
        targets=targets,
        n_seeds=n_seeds,
        means={name: mean_over_seeds_and_wordings(table.mean(axis=0)) for name, table in tables.items()},
        between_targets={name: mean for name in tables if (mean := _between_targets(asked, name, targets)) is not None},
        differences=_differences(tables, given),
        beaten=_beaten(tables, targets, given),
    )


def _differences(tables: dict[str, Floats], given: bool) -> tuple[Difference, ...]:
    pairs = {f"{a} - {b}": (a, b) for a, b in combinations(tables, 2)}
    means = {key: mean_over_seeds_and_wordings((tables[a] - tables[b]).mean(axis=0)) for key, (a, b) in pairs.items()}
    p = {key: value for key, mean in means.items() if (value := mean.p_value()) is not None}
    adjusted = holm(p)
    return tuple(
        Difference(*pairs[key], mean, p.get(key), adjusted.get(key), _word(mean, adjusted.get(key), given))
        for key, mean in means.items()
    )


def _beaten(tables: dict[str, Floats], targets: tuple[str, ...], given: bool) -> tuple[Beaten, ...]:
    if NAIVE not in tables or len(targets) < LEAST_TARGETS:
        return ()
    found: list[Beaten] = []
    for method, table in tables.items():
        means = {t: mean_over_seeds_and_wordings(row) for t, row in zip(targets, tables[NAIVE] - table, strict=True)}
        p = {t: value for t, mean in means.items() if (value := mean.p_value(above=True)) is not None}
        for target, value in benjamini_hochberg(p).items():
            word: BeatenWord = "no verdict" if not given else "beaten" if value <= LEVEL else "not shown"
            found.append(Beaten(method, target, means[target], p[target], value, word))
    return tuple(found)


def _table(cells: Sequence[Cell], method: str, targets: tuple[str, ...]) -> Floats:
    """Return the held-out losses (T, S, W) of a method."""

    def losses(cell: Cell) -> Floats:
        return by_wording(np.array(cell.held_out_forms), cell.held_out_wordings)

    return np.array([[losses(c) for c in cells if (c.method, c.target) == (method, t)] for t in targets])


def _between_targets(cells: Sequence[Cell], method: str, targets: tuple[str, ...]) -> Mean | None:
    """Return how far differences between targets are from the published ones, in which constants cancel.

    The mean over dimensions of `difference_loss`, all targets of one seed together; its interval is that of the seeds.
    None where no two targets share a dimension.
    """
    mine = {target: [c for c in cells if (c.method, c.target) == (method, target)] for target in targets}
    errors = np.array([[c.held_out_errors for c in mine[t]] for t in targets], dtype=np.float64)  # (T, S, M)
    zero = np.where(np.isnan(errors), np.nan, 0.0)
    if not ((~np.isnan(errors[:, 0])).sum(axis=0) > 1).any():
        return None
    losses = [np.nanmean(difference_loss(errors[:, s], zero[:, s])) for s in range(errors.shape[1])]
    return mean_over_seeds(np.array(losses))


def _word(mean: Mean, p: float | None, given: bool) -> Word:
    if p is None or not given:
        return "no verdict"
    return "not told apart" if p > LEVEL else "lower" if mean.value < 0 else "higher"


def _row(
    kind: str, method: str, other: str | None, target: str | None, mean: Mean, *tested: float | str | None
) -> dict[str, Any]:
    lower, upper = (None, None) if mean.widest is None else mean.bounds()
    names = ("p", "p_adjusted", "word")
    return {
        "kind": kind,
        "method": method,
        "other": other,
        "target": target,
        "value": mean.value,
        "lower": lower,
        "upper": upper,
        "degrees_of_freedom": None if mean.widest is None else mean.widest[1],
        "seeds": mean.n,
        **dict(zip(names, tested or (None,) * len(names), strict=True)),
    }
