"""Do groups answer by the same factors? Congruence of each group's own solution, and items that favour a group.

Where a group's factors are others, its scores are not on the same scale: no group is then higher than another, whatever
the numbers. Below 0.85 Tucker's congruence is taken for another factor (Lorenzo-Seva & ten Berge 2006,
doi:10.1027/1614-2241.2.2.57).
"""

from dataclasses import dataclass

import numpy as np

from hofsteer.instruments.base import Floats
from hofsteer.instruments.factor.correlation import pairwise_pearson, smoothed
from hofsteer.instruments.factor.extraction import extract
from hofsteer.instruments.factor.rotation import congruence, rotate
from hofsteer.instruments.factor.sample import Sample, level_answers

SAME_FACTOR = 0.85
LEAST_RESPONDENTS = 100  # of a group, and three an item: factors of fewer are chance
NOTABLE = 0.035  # share of an item's variance


@dataclass(frozen=True, eq=False)
class ItemBias:
    """How far an item's answers depend on the group at equal scores on the other items of its factor."""

    factor: int
    uniform: float  # share of variance that the groups add to the score of the other items: shifted alike everywhere
    non_uniform: float  # share that different slopes of the groups add

    @property
    def notable(self) -> bool:
        """Whether either is worth a look; the line is that of Jodoin & Gierl 2001 for logistic regression."""
        return max(self.uniform, self.non_uniform) >= NOTABLE


@dataclass(frozen=True, eq=False)
class Invariance:
    """What groups have in common."""

    loadings: Floats  # (I, M), of differences within groups, varimax
    congruences: dict[str, Floats]  # group -> (M,), of its own factors turned towards these
    too_few: tuple[str, ...]  # groups with fewer than `least` respondents, or an item that all in them answered alike
    bias: tuple[ItemBias | None, ...]  # (I,); None for an item that is alone on its factor, or without tested groups
    least: int  # respondents that a group wants for factors of its own

    @property
    def fails(self) -> tuple[str, ...]:
        """The groups whose factors are others."""
        return tuple(group for group, found in self.congruences.items() if np.min(found) < SAME_FACTOR)


def invariance(sample: Sample, factors: int) -> Invariance:
    """Return congruence and bias of the groups of a sample, with so many factors.

    Factors are minres of Pearson correlations, pairwise. A group's loadings are turned to those within groups by
    orthogonal Procrustes rotation (Schoenemann 1966, doi:10.1007/BF02289451), which can only make them more alike.

    Raises:
        InstrumentError: too many factors for the number of items, or an item without variance.
    """
    answers, weights = level_answers(sample, "within")
    pooled = rotate(_loadings(answers, weights, factors), "varimax").loadings
    least = max(LEAST_RESPONDENTS, 3 * len(sample.items))
    congruences, too_few = {}, []
    for code, group in enumerate(sample.groups):
        mine = sample.codes == code
        if mine.sum() < least or not (np.nanstd(sample.answers[mine], axis=0) > 0).all():
            too_few.append(group)
        else:
            congruences[group] = _congruence(sample.answers[mine], sample.weights[mine], pooled)
    bias = _bias(sample, pooled) if congruences else (None,) * len(sample.items)
    return Invariance(pooled, congruences, tuple(too_few), bias, least)


def _loadings(answers: Floats, weights: Floats, factors: int) -> Floats:
    matrix, _ = smoothed(pairwise_pearson(answers, weights))
    return extract(matrix, factors, "minres").loadings


def _congruence(answers: Floats, weights: Floats, pooled: Floats) -> Floats:
    from scipy.linalg import orthogonal_procrustes

    own = _loadings(answers, weights, pooled.shape[1])
    turn, _ = orthogonal_procrustes(own, pooled)
    return np.diag(congruence(own @ turn, pooled))


def _bias(sample: Sample, loadings: Floats) -> tuple[ItemBias | None, ...]:
    """Return the bias of every item by regression on the rest score, the groups, and both together.

    The analysis of van de Vijver & Leung 1997 (Methods and Data Analysis for Cross-Cultural Research, chapter 4) with
    the score as a line, not in levels: R2 of the item on the rest score, then with groups, then with their own slopes.
    """
    standard = (sample.answers - np.nanmean(sample.answers, axis=0)) / np.nanstd(sample.answers, axis=0)
    factor = np.abs(loadings).argmax(axis=1)
    groups = np.eye(len(sample.groups))[sample.codes][:, 1:]
    found: list[ItemBias | None] = []
    for i in range(len(loadings)):
        others = np.flatnonzero((factor == factor[i]) & (np.arange(len(loadings)) != i))
        if not len(others):
            found.append(None)
            continue
        rest = (standard[:, others] * np.sign(loadings[others, factor[i]])).mean(axis=1)
        there = ~np.isnan(rest) & ~np.isnan(standard[:, i])
        y, score, member = standard[there, i], rest[there, None], groups[there]
        weights = sample.weights[there]
        shares = [
            _share(y, np.hstack(columns), weights)
            for columns in ([score], [score, member], [score, member, score * member])
        ]
        found.append(ItemBias(int(factor[i]), shares[1] - shares[0], shares[2] - shares[1]))
    return tuple(found)


def _share(y: Floats, columns: Floats, weights: Floats) -> float:
    """Return R2 of weighted least squares with an intercept."""
    root = np.sqrt(weights)
    design = np.hstack([np.ones((len(y), 1)), columns]) * root[:, None]
    residual = y * root - design @ np.linalg.lstsq(design, y * root, rcond=None)[0]
    centered = (y - np.average(y, weights=weights)) * root
    return float(1 - residual @ residual / (centered @ centered))
