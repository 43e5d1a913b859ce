"""A whole factor analysis of respondents' answers, from correlations to reliability."""

from dataclasses import dataclass, replace

import numpy as np

from hofsteer.errors import InstrumentError
from hofsteer.instruments.base import Floats
from hofsteer.instruments.factor.correlation import Correlations, Kind, Missing, correlations, kind_for
from hofsteer.instruments.factor.extraction import Extracted, Extraction, degrees_of_freedom, extract
from hofsteer.instruments.factor.number import DRAWS, NumberOfFactors, number_of_factors
from hofsteer.instruments.factor.reliability import (
    DETERMINATE,
    Sphericity,
    cronbach_alpha,
    determinacy,
    intraclass,
    mcdonald_omega,
    sampling_adequacy,
    sphericity,
)
from hofsteer.instruments.factor.rotation import Rotated, Rotation, matched_congruence, rotate
from hofsteer.instruments.factor.sample import FEWEST_GROUPS, Level, Sample, level_answers


@dataclass(frozen=True)
class FitSettings:
    """How to analyse. The defaults suit ordinal answers."""

    level: Level | None = None  # None: pooled, only where there are no groups
    factors: int | None = None  # None: as many as the rules agree on
    extraction: Extraction = "minres"
    rotation: Rotation = "oblimin"
    kind: Kind | None = None  # None: polychoric where it pays
    missing: Missing = "em"
    seed: int = 0
    draws: int = DRAWS  # of the parallel analysis


def inglehart_welzel(settings: FitSettings) -> FitSettings:
    """Return settings changed to how the cultural map of Inglehart & Welzel is made.

    That is Pearson correlations, pairwise, principal components, varimax.
    """
    return replace(settings, kind="pearson", missing="pairwise", extraction="components", rotation="varimax")


@dataclass(frozen=True)
class Scale:
    """The items that load most on one factor."""

    items: tuple[int, ...]
    reversed: tuple[bool, ...]  # where the loading is negative
    alpha: float  # NaN for a single item
    omega: float  # NaN for fewer than three


@dataclass(frozen=True, eq=False)
class FitIndices:
    """How well the factors reproduce the correlations. Chi-square and what follows from it hold for Pearson only."""

    rmsr: float  # root mean square of the residual correlations
    degrees_of_freedom: int
    chi_square: float  # NaN for polychoric correlations and for components
    rmsea: float
    tli: float


@dataclass(frozen=True, eq=False)
class Analysis:
    """Everything that a factor analysis found."""

    sample: Sample
    level: Level
    n: int  # rows that the correlations were made of: respondents, or groups
    n_effective: float
    correlations: Correlations
    other: Correlations | None  # of the kind that was not chosen, for comparison
    number: NumberOfFactors
    extraction: Extraction
    rotation: Rotation
    extracted: Extracted
    rotated: Rotated
    adequacy: float  # Kaiser-Meyer-Olkin
    item_adequacy: Floats  # (I,)
    sphericity: Sphericity
    indices: FitIndices
    determinacy: Floats  # (M,)
    scales: tuple[Scale, ...]  # one a factor
    intraclass: tuple[Floats, Floats] | None  # ICC(1), ICC(2), (I,) each; None without groups
    congruence: dict[Level, Floats]  # with the factors of other levels, (M,)
    warnings: tuple[str, ...]

    @property
    def loadings(self) -> Floats:
        """Pattern loadings (I, M)."""
        return self.rotated.loadings

    @property
    def communalities(self) -> Floats:
        """Share of each item's variance that the factors explain, (I,)."""
        return 1 - self.extracted.uniquenesses


def analyse(sample: Sample, settings: FitSettings) -> Analysis:
    """Return the factor analysis of a sample.

    Raises:
        InstrumentError: groups without a level, too few groups for it, or rules that disagree on the number of factors
            when none is given.
    """
    level = _level(sample, settings)
    answers, weights = level_answers(sample, level)
    kind = settings.kind or (kind_for(answers) if level == "pooled" else "pearson")
    if kind == "polychoric" and level != "pooled":
        raise InstrumentError(f"polychoric correlations want answers as given, at the level pooled, got level {level}")
    _check_variance(sample, answers, level)
    found = correlations(answers, weights, kind, settings.missing)
    n_effective = float(weights.sum() ** 2 / (weights**2).sum())
    number = number_of_factors(found.matrix, answers, weights, kind, settings.seed, settings.draws)
    factors = settings.factors or number.agreed
    if factors is None:
        low, high = number.span
        raise InstrumentError(
            f"how many factors? parallel analysis finds {number.parallel}, Velicer's MAP {number.map}: "
            f"name --factors, from {low} to {high}"
        )
    extracted = extract(found.matrix, factors, settings.extraction)
    rotated = rotate(extracted.loadings, settings.rotation, settings.seed)
    analysis = Analysis(
        sample=sample,
        level=level,
        n=len(answers),
        n_effective=n_effective,
        correlations=found,
        other=_other(answers, weights, kind, settings, level),
        number=number,
        extraction=settings.extraction,
        rotation=settings.rotation,
        extracted=extracted,
        rotated=rotated,
        adequacy=(adequacy := sampling_adequacy(found.matrix))[0],
        item_adequacy=adequacy[1],
        sphericity=sphericity(found.matrix, n_effective),
        indices=_indices(found.matrix, rotated, n_effective, settings.extraction, kind),
        determinacy=determinacy(found.matrix, rotated.loadings, rotated.correlations),
        scales=_scales(rotated.loadings, answers, weights),
        intraclass=intraclass(sample.answers, sample.codes, sample.weights) if sample.groups else None,
        congruence=_other_levels(sample, level, rotated.loadings, settings) if sample.groups else {},
        warnings=(),
    )
    return replace(analysis, warnings=_warnings(analysis))


def _level(sample: Sample, settings: FitSettings) -> Level:
    if settings.level is None:
        if sample.groups:
            raise InstrumentError(
                "with groups, name the --level: between (factors of group means), within (of differences inside) "
                "or pooled; factors of respondents applied to group means are the ecological fallacy"
            )
        return "pooled"
    if settings.level != "pooled" and not sample.groups:
        raise InstrumentError(f"the level {settings.level} wants a column of groups; name it with --group")
    return settings.level


def _check_variance(sample: Sample, answers: Floats, level: Level) -> None:
    for item, spread in zip(sample.item_ids, np.nanstd(answers, axis=0), strict=True):
        if spread < 1e-12:
            raise InstrumentError(f"item {item} does not vary at the level {level}; leave it out with --items")


def _other(answers: Floats, weights: Floats, kind: Kind, settings: FitSettings, level: Level) -> Correlations | None:
    """Return correlations of the other kind where that makes sense: answers as given, of few categories."""
    if kind == "polychoric":
        return correlations(answers, weights, "pearson", settings.missing)
    if level == "pooled" and kind_for(answers) == "polychoric":
        return correlations(answers, weights, "polychoric", settings.missing)
    return None


def _indices(matrix: Floats, rotated: Rotated, n: float, extraction: Extraction, kind: Kind) -> FitIndices:
    items, factors = rotated.loadings.shape
    implied = rotated.loadings @ rotated.correlations @ rotated.loadings.T
    np.fill_diagonal(implied, 1.0)
    off = np.triu_indices(items, 1)
    rmsr = float(np.sqrt(((matrix - implied)[off] ** 2).mean()))
    freedom = degrees_of_freedom(items, factors)
    nan = float("nan")
    if kind != "pearson" or extraction != "minres" or freedom <= 0 or np.linalg.eigvalsh(implied)[0] <= 0:
        return FitIndices(rmsr, freedom, nan, nan, nan)
    discrepancy = float(
        np.trace(np.linalg.solve(implied, matrix)) - np.linalg.slogdet(np.linalg.solve(implied, matrix))[1] - items
    )
    chi_square = (n - 1 - (2 * items + 5) / 6 - 2 * factors / 3) * discrepancy
    null = sphericity(matrix, n)
    ratio, null_ratio = chi_square / freedom, null.chi_square / null.degrees_of_freedom
    return FitIndices(
        rmsr,
        freedom,
        chi_square,
        float(np.sqrt(max(discrepancy / freedom - 1 / (n - 1), 0.0))),
        (null_ratio - ratio) / (null_ratio - 1),
    )


def _scales(loadings: Floats, answers: Floats, weights: Floats) -> tuple[Scale, ...]:
    home = np.abs(loadings).argmax(axis=1)
    scales = []
    for factor in range(loadings.shape[1]):
        items = np.flatnonzero(home == factor)
        turned = loadings[items, factor] < 0
        if not len(items):
            scales.append(Scale((), (), float("nan"), float("nan")))
            continue
        signs = np.where(turned, -1.0, 1.0)
        pearson = correlations(answers[:, items], weights, "pearson", "pairwise").matrix * np.outer(signs, signs)
        middle = np.nansum(answers[:, items] * weights[:, None], axis=0)
        total = (~np.isnan(answers[:, items]) * weights[:, None]).sum(axis=0)
        spread = np.sqrt(np.nansum((answers[:, items] - middle / total) ** 2 * weights[:, None], axis=0) / total)
        covariance = pearson * np.outer(spread, spread)
        scales.append(
            Scale(tuple(items.tolist()), tuple(turned.tolist()), cronbach_alpha(covariance), mcdonald_omega(pearson))
        )
    return tuple(scales)


def _other_levels(sample: Sample, level: Level, loadings: Floats, settings: FitSettings) -> dict[Level, Floats]:
    """Return the congruence with Pearson factors of each other level that can be had, as many and rotated alike."""
    found: dict[Level, Floats] = {}
    levels: tuple[Level, ...] = ("pooled", "within", "between")
    for other in levels:
        few = len(sample.groups) < max(FEWEST_GROUPS, len(sample.items) + 1)
        if other == level or (other == "between" and few):
            continue
        answers, weights = level_answers(sample, other)
        if np.nanstd(answers, axis=0).min() < 1e-12:
            continue
        matrix = correlations(answers, weights, "pearson", "pairwise").matrix
        extracted = extract(matrix, loadings.shape[1], settings.extraction)
        rotated = rotate(extracted.loadings, settings.rotation, settings.seed)
        found[other] = matched_congruence(loadings, rotated.loadings)
    return found


def _warnings(analysis: Analysis) -> tuple[str, ...]:
    ids = analysis.sample.item_ids
    said = []
    if analysis.extracted.heywood:
        names = ", ".join(ids[i] for i in analysis.extracted.heywood)
        said.append(f"Heywood case: the factors explain all of {names}; fewer factors, or leave an item out")
    if not analysis.extracted.converged:
        said.append("the extraction did not converge: do not trust the loadings")
    if not analysis.rotated.converged:
        said.append("the rotation did not converge: do not trust the loadings")
    if not analysis.correlations.converged:
        said.append("EM did not converge: too many answers are missing")
    if analysis.correlations.smoothed is not None:
        change = analysis.correlations.smoothed
        said.append(f"correlations were not positive definite and were smoothed, by at most {change:.3f}")
    low = [f"F{m + 1} {value:.2f}" for m, value in enumerate(analysis.determinacy) if value < DETERMINATE]
    if low:
        said.append(f"determinacy below {DETERMINATE}: {', '.join(low)}; scores on these say little of the factor")
    rotated = analysis.rotated
    if rotated.starts > 1 and rotated.best_starts < rotated.starts / 3:
        said.append(
            f"only {rotated.best_starts} of {rotated.starts} starts led to this rotation: others fit almost as well"
        )
    if analysis.adequacy < 0.5:
        said.append(f"sampling adequacy (KMO) {analysis.adequacy:.2f} is below 0.5: the items have little in common")
    if not analysis.number.parallel:
        said.append("parallel analysis finds no factor that stands out of chance")
    if analysis.sample.groups and analysis.level != "between":
        said.append(
            f"factors of respondents ({analysis.level}) need not be those of groups: reading group means on them may "
            "be the ecological fallacy"
        )
    return tuple(said)
