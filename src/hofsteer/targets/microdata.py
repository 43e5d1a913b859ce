"""From respondents to targets: weighted group means, their scores, and standard errors that the design calls for.

A score is a sum of ratios, weighted sums of answers over sums of weights. Its variance is linearised (Taylor), summed
to clusters and taken about the mean of each stratum, as for clusters drawn with replacement (Woodruff 1971,
doi:10.1080/01621459.1971.10482279; Binder 1983, doi:10.2307/1402588), or found by the rescaled bootstrap of clusters
(Rao & Wu 1988, doi:10.1080/01621459.1988.10478591, with one cluster fewer drawn than there are). Each group is a sample
of its own: strata and clusters lie within groups.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hofsteer.errors import TargetError
from hofsteer.instruments import Instrument
from hofsteer.instruments.base import Floats
from hofsteer.targets.constants import Constants
from hofsteer.targets.items import FEWEST_EFFECTIVE, ItemShares, item_shares, kish

Codes = NDArray[np.intp]
Estimator = Literal["linearised", "bootstrap"]
Weighting = Literal["equal-groups", "population"]

BOOTSTRAP = 6  # stream of random numbers


@dataclass(frozen=True, eq=False)
class Sample:
    """Answers of n respondents and how they were drawn."""

    answers: Floats  # (n, I), option values, in the order of the instrument's items; NaN = missing
    groups: tuple[str, ...]
    codes: Codes  # (n,), index into `groups`
    weights: Floats  # (n,), design weights above 0
    strata: Codes  # (n,), all alike without strata
    clusters: Codes  # (n,), all different without clusters


@dataclass(frozen=True, eq=False)
class GroupEstimate:
    """The scores of one group, and how well they are known."""

    name: str
    n: int
    n_effective: float  # Kish: what weights cost; what clusters cost is in the errors
    weight: float  # sum of the design weights
    item_means: Floats  # (I,), option values; NaN = never asked
    scores: Floats  # (M,), points
    errors: Floats  # (M,), standard errors in points; NaN where one cluster is all there is
    clusters: int = 0  # respondents count where there are no clusters
    lonely: int = 0  # strata with a single cluster, which counts about the group's mean; 0 if it is the only cluster
    items: tuple[ItemShares, ...] = ()  # (I,), how the group answered each item

    @property
    def usable(self) -> bool:
        """Whether the group may be a target."""
        return self.n_effective >= FEWEST_EFFECTIVE and not np.isnan(self.scores).all()


def estimate_groups(
    sample: Sample,
    instrument: Instrument,
    constants: Constants,
    estimator: Estimator = "linearised",
    replicates: int = 500,
    seed: int = 0,
) -> tuple[GroupEstimate, ...]:
    """Return the estimate of each group that has respondents, in the order of the groups."""
    found = []
    for g, name in enumerate(sample.groups):
        mine = sample.codes == g
        if not mine.any():
            continue
        answers, weights = sample.answers[mine], sample.weights[mine]
        means = _means(*_sums(answers, weights))
        strata = np.unique(sample.strata[mine], return_inverse=True)[1]
        pairs = np.stack([sample.strata[mine], sample.clusters[mine]], axis=1)
        first, clusters = np.unique(pairs, axis=0, return_index=True, return_inverse=True)[1:]
        of_cluster = strata[first]  # stratum of each cluster
        clusters = clusters.ravel()
        if len(first) < 2:
            errors = np.full(len(instrument.dimensions), np.nan)
        elif estimator == "linearised":
            errors = _linearised(answers, weights, means, instrument, clusters, of_cluster)
        else:
            rng = np.random.default_rng([seed, g, BOOTSTRAP])
            errors = _bootstrapped(answers, weights, instrument, clusters, of_cluster, replicates, rng)
        scores = instrument.score_means(means) + constants.values
        errors = np.where(np.isnan(scores), np.nan, errors)
        found.append(
            GroupEstimate(
                name=name,
                n=len(answers),
                n_effective=kish(weights),
                weight=float(weights.sum()),
                item_means=means,
                scores=scores,
                errors=errors,
                clusters=len(first),
                lonely=int((np.bincount(of_cluster) == 1).sum()) if len(first) > 1 else 0,
                items=_items(answers, weights, instrument),
            )
        )
    return tuple(found)


def overall_scores(groups: Sequence[GroupEstimate], weighting: Weighting) -> Floats:
    """Return the mean scores (M,) over groups, which count alike or by their design weights."""
    weights = np.array([group.weight if weighting == "population" else 1.0 for group in groups])
    return np.asarray(np.average([group.scores for group in groups], axis=0, weights=weights))


def shrunken(groups: Sequence[GroupEstimate]) -> Floats:
    """Return scores (G, M) drawn towards their mean, to be shown and never aimed at.

    score -> mean + tau^2 / (tau^2 + error^2) (score - mean), where tau^2 is the variance between groups less the mean
    squared error, at least 0 (moments; Efron & Morris 1973, doi:10.1080/01621459.1973.10481350). NaN where the error is
    unknown.
    """
    scores, squares = np.stack([g.scores for g in groups]), np.stack([g.errors for g in groups]) ** 2
    if len(groups) < 2:
        return scores
    known = ~np.isnan(squares)
    mean_square = np.where(known, squares, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    between = np.maximum(scores.var(axis=0, ddof=1) - mean_square, 0.0)
    with np.errstate(invalid="ignore"):
        keep = np.where(between + squares == 0, 1.0, between / (between + squares))
    return np.asarray(scores.mean(axis=0) + keep * (scores - scores.mean(axis=0)))


def table_text(
    groups: Sequence[GroupEstimate], dimensions: Sequence[str], source: str, constants: str, items: tuple[str, str]
) -> str:
    """Return the table of targets (CSV) of the groups that may be one.

    `items` are the name and the SHA-256 of the file of their item distributions.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    about = ("group", "n", "n_effective", "source", "constants", "items", "items_sha256")
    writer.writerow([*about, *(f"{d}{end}" for d in dimensions for end in ("", "_se"))])
    for group in groups:
        if group.usable:
            numbers = np.stack([group.scores, group.errors], axis=1).ravel()
            cells = ["" if np.isnan(number) else f"{number:.6f}" for number in numbers]
            writer.writerow([group.name, group.n, f"{group.n_effective:.1f}", source, constants, *items, *cells])
    return text.getvalue()


def check_weights(weights: Floats, name: str) -> None:
    """Raise TargetError unless weights are at least 0 or missing, and some above 0."""
    if (weights < 0).any() or np.isinf(weights).any():
        raise TargetError(f"want weights of at least 0 in column {name}, got {np.nanmin(weights):g}")
    if not (weights > 0).any():
        raise TargetError(f"want positive weights in column {name}, got none")


def _items(answers: Floats, weights: Floats, instrument: Instrument) -> tuple[ItemShares, ...]:
    return tuple(
        item_shares(column, weights, [option.value for option in item.options])
        for column, item in zip(answers.T, instrument.items, strict=True)
    )


def _sums(answers: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return (n, I) each: what a respondent adds to the sum of weighted answers, and to the sum of weights."""
    there = ~np.isnan(answers)
    return np.where(there, answers, 0.0) * weights[:, None], there * weights[:, None]


def _means(values: Floats, totals: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.asarray(values.sum(axis=0) / totals.sum(axis=0))


def _linearised(
    answers: Floats, weights: Floats, means: Floats, instrument: Instrument, clusters: Codes, of_cluster: Codes
) -> Floats:
    values, totals = _sums(answers, weights)
    with np.errstate(invalid="ignore"):
        effects = np.nan_to_num((values - totals * np.nan_to_num(means)) / totals.sum(axis=0)) @ instrument.weights.T
    sums = np.zeros((len(of_cluster), effects.shape[1]))
    np.add.at(sums, clusters, effects)
    variance = np.zeros(effects.shape[1])
    for stratum in np.unique(of_cluster):
        own = sums[of_cluster == stratum]
        n = len(own)
        # a cluster alone in its stratum counts about the mean of all clusters, which is 0
        variance += (own**2).sum(axis=0) if n == 1 else n / (n - 1) * ((own - own.mean(axis=0)) ** 2).sum(axis=0)
    return np.asarray(np.sqrt(variance))


def _bootstrapped(
    answers: Floats,
    weights: Floats,
    instrument: Instrument,
    clusters: Codes,
    of_cluster: Codes,
    replicates: int,
    rng: np.random.Generator,
) -> Floats:
    size = len(of_cluster)
    values, totals = np.zeros((2, size, answers.shape[1]))
    for sums, parts in zip((values, totals), _sums(answers, weights), strict=True):
        np.add.at(sums, clusters, parts)
    factors = np.ones((replicates, size))
    sizes = np.bincount(of_cluster)
    lonely = np.flatnonzero(sizes[of_cluster] == 1)
    pools = [np.flatnonzero(of_cluster == stratum) for stratum in np.flatnonzero(sizes > 1)]
    if len(lonely) > 1:
        pools.append(lonely)  # strata of one cluster are drawn from together
    for own in pools:
        n = len(own)
        factors[:, own] = rng.multinomial(n - 1, np.full(n, 1 / n), size=replicates) * (n / (n - 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (factors @ values) / (factors @ totals)
    scores = instrument.score_means(means)
    return np.asarray(np.nanstd(scores, axis=0, ddof=1))
