"""How well scores of country conditions hold over the wordings and orders of a survey.

The conditions are countries (personas), crossed with every wording and both orders of the options, asked once each.
What varies is split into components by analysis of variance with random effects: the scores of countries may differ
(country), all may shift with a form (wording, order, and both together), and countries may change places with it
(country x wording, country x order, rest). Reliability is the share that belongs to countries.

There is no alpha here: the items of one model under one text are no sample, and how they go together says nothing about
how well a score holds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from hofsteer.baselines import persona_text
from hofsteer.config import ReadOut
from hofsteer.errors import InstrumentError, ModelError, TargetError
from hofsteer.instruments import Administration, Instrument
from hofsteer.instruments.base import Floats, named_scores
from hofsteer.respondent.base import Respondent
from hofsteer.respondent.soft_prompt import SoftPrompt
from hofsteer.targets import DIMENSIONS, Target, measured_countries

FEWEST = 10  # countries; a variance of fewer is hardly known
ROUNDING = 1e-12  # squared points
SPACING = 5  # every fifth measured country is asked unless others are named
COMPONENTS = ("country", "wording", "order", "country x wording", "country x order", "wording x order", "rest")


@dataclass(frozen=True, eq=False)
class Reliability:
    """Scores of C countries in W wordings and O orders, and what their variance consists of."""

    dimensions: tuple[str, ...]
    countries: tuple[str, ...]  # codes (C,)
    scores: Floats  # (C, W, O, M), points, without constants, which cancel

    @cached_property
    def components(self) -> Floats:
        """Variance components (7, M) in the order of `COMPONENTS`, squared points; a negative estimate is 0."""
        found = variance_components(self.scores)
        return np.where(found > ROUNDING, found, 0.0)

    def error(self, wordings: int = 1, orders: int = 1, relative: bool = False) -> Floats:
        """Return the error variance (M,) of a country's mean over so many wordings and orders, squared points.

        Args:
            wordings: that a score is the mean of.
            orders: that a score is the mean of.
            relative: of differences between countries asked alike, from which shifts that all share drop out.
        """
        _, w, o, cw, co, wo, rest = self.components
        shared = 0.0 if relative else w / wordings + o / orders + wo / (wordings * orders)
        return np.asarray(shared + cw / wordings + co / orders + rest / (wordings * orders))

    def generalizability(self, wordings: int = 1, orders: int = 1) -> Floats:
        """Return the generalizability coefficient (M,), in [0, 1]: the share of countries in what tells them apart.

        E rho^2 for relative decisions (Brennan 2001, Generalizability Theory, ch. 4). NaN where nothing varies.
        """
        country = self.components[0]
        with np.errstate(invalid="ignore"):
            return np.asarray(country / (country + self.error(wordings, orders, relative=True)))

    @cached_property
    def icc2(self) -> tuple[Floats, Floats]:
        """ICC(2,1) and ICC(2,k) over the k forms (M,): agreement of one form, and of the mean of all."""
        return icc2(self.scores.reshape(len(self.countries), -1, len(self.dimensions)))

    @property
    def forms(self) -> tuple[int, int]:
        """W and O."""
        return self.scores.shape[1], self.scores.shape[2]

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values, points by dimension."""
        wordings, orders = self.forms
        single, average = self.icc2

        def both(one: Floats, mean: Floats) -> dict[str, Any]:
            return {"one_form": named_scores(one, self.dimensions), "all_forms": named_scores(mean, self.dimensions)}

        return {
            "schema": 1,
            "countries": list(self.countries),
            "wordings": wordings,
            "orders": orders,
            "variance": {
                name: named_scores(values, self.dimensions)
                for name, values in zip(COMPONENTS, self.components, strict=True)
            },
            "generalizability": both(self.generalizability(), self.generalizability(wordings, orders)),
            "icc2": both(single, average),
            "standard_error": both(np.sqrt(self.error()), np.sqrt(self.error(wordings, orders))),
            "standard_error_relative": both(
                np.sqrt(self.error(relative=True)), np.sqrt(self.error(wordings, orders, relative=True))
            ),
        }


def measure_reliability(
    respondent: Respondent,
    form: Administration,
    countries: Sequence[Target],
    read_out: ReadOut,
    soft_prompt: SoftPrompt | None = None,
    watch: Callable[[int, int], None] | None = None,
) -> Reliability:
    """Ask every country condition every wording in both orders, otherwise as the form says.

    Raises:
        TargetError, InstrumentError: see `check_conditions`.
        ModelError: a condition gives no usable answers.
    """
    instrument = form.instrument
    wordings = check_conditions(countries, instrument)
    forms = [replace(form, wording=w, order=o) for w in range(wordings) for o in ("listed", "reversed")]
    prompts = None if soft_prompt is None else soft_prompt.values[None]
    rows = []
    for number, country in enumerate(countries, start=1):
        asked = [replace(one, system=persona_text(country)) for one in forms]
        responses = respondent.respond(asked, prompts, read_out)
        if (reason := responses.failures[0]) is not None:
            raise ModelError(f"{respondent.settings.id}, {persona_text(country)!r}: {reason}")
        rows.append(instrument.score(responses.probabilities[0]).reshape(wordings, 2, -1))
        if watch is not None:
            watch(number, len(countries))
    return Reliability(instrument.dimension_ids, tuple(country.code for country in countries), np.stack(rows))


def check_conditions(countries: Sequence[Target], instrument: Instrument) -> int:
    """Return how many wordings the instrument has.

    Raises:
        TargetError: fewer than ten countries, or one twice.
        InstrumentError: some item has one wording.
    """
    codes = [country.code for country in countries]
    if len(codes) < FEWEST or len(set(codes)) < len(codes):
        raise TargetError(f"reliability wants at least {FEWEST} countries, each once; got {', '.join(codes) or 'none'}")
    wordings = min(len(item.wordings) for item in instrument.items)
    if wordings < 2:
        raise InstrumentError(f"reliability wants two wordings or more of every item, {instrument.id} has 1 of some")
    return wordings


def usual_countries() -> tuple[Target, ...]:
    """Return the countries that are asked unless others are named: every fifth measured one, by code."""
    return measured_countries(DIMENSIONS)[::SPACING]


def variance_components(scores: Floats) -> Floats:
    """Return estimates of the variance components (7, ...) of scores (C, W, O, ...), all effects random.

    From the expected mean squares of the fully crossed design with one observation a cell (Cornfield and Tukey 1956,
    doi:10.1214/aoms/1177728067; Brennan 2001, ch. 3), in the order of `COMPONENTS`. They are unbiased, and so may be
    negative.
    """
    c, w, o = scores.shape[:3]

    def mean(*over: int) -> Floats:
        return np.asarray(scores.mean(axis=over, keepdims=True))

    grand = mean(0, 1, 2)
    country, wording, order = mean(1, 2) - grand, mean(0, 2) - grand, mean(0, 1) - grand
    country_wording = mean(2) - grand - country - wording
    country_order = mean(1) - grand - country - order
    wording_order = mean(0) - grand - wording - order
    rest = scores - grand - country - wording - order - country_wording - country_order - wording_order

    def mean_square(effect: Floats, repeated: int, freedom: int) -> Floats:
        return np.asarray((effect**2).sum(axis=(0, 1, 2)) * repeated / freedom)

    ms_c, ms_w = mean_square(country, w * o, c - 1), mean_square(wording, c * o, w - 1)
    ms_o, ms_cw = mean_square(order, c * w, o - 1), mean_square(country_wording, o, (c - 1) * (w - 1))
    ms_co, ms_wo = (
        mean_square(country_order, w, (c - 1) * (o - 1)),
        mean_square(wording_order, c, (w - 1) * (o - 1)),
    )
    ms_rest = mean_square(rest, 1, (c - 1) * (w - 1) * (o - 1))
    return np.stack(
        [
            (ms_c - ms_cw - ms_co + ms_rest) / (w * o),
            (ms_w - ms_cw - ms_wo + ms_rest) / (c * o),
            (ms_o - ms_co - ms_wo + ms_rest) / (c * w),
            (ms_cw - ms_rest) / o,
            (ms_co - ms_rest) / w,
            (ms_wo - ms_rest) / c,
            ms_rest,
        ]
    )


def icc2(ratings: Floats) -> tuple[Floats, Floats]:
    """Return ICC(2,1) and ICC(2,k) of ratings (n targets, k judges, ...): absolute agreement, both random.

    Shrout and Fleiss 1979 (doi:10.1037/0033-2909.86.2.420). NaN where nothing varies.

    >>> shrout_fleiss = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    >>> [round(float(value), 2) for value in icc2(np.array(shrout_fleiss, dtype=float))]
    [0.29, 0.62]
    """
    n, k = ratings.shape[:2]
    grand = ratings.mean(axis=(0, 1), keepdims=True)
    targets, judges = ratings.mean(axis=1, keepdims=True) - grand, ratings.mean(axis=0, keepdims=True) - grand
    between = (targets**2).sum(axis=(0, 1)) * k / (n - 1)
    of_judges = (judges**2).sum(axis=(0, 1)) * n / (k - 1)
    error = ((ratings - grand - targets - judges) ** 2).sum(axis=(0, 1)) / ((n - 1) * (k - 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        single = (between - error) / (between + (k - 1) * error + k * (of_judges - error) / n)
        average = (between - error) / (between + (of_judges - error) / n)
    still = between + of_judges + error <= ROUNDING
    return np.where(still, np.nan, single), np.where(still, np.nan, average)
