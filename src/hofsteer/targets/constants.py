"""The scale constants C: where the zero of the scores lies.

An index is a weighted sum of differences of item means, plus a constant C of its dimension. Theory does not give C.
The VSM 2013 manual leaves it to the researcher: it is the same for all samples of one study, depends on how they were
drawn, and may be chosen to bring the scores between 0 and 100 or to tie them to published ones (as read by Masoud et
al., arXiv:2309.12342, who cite the manual). Only differences between samples of one study therefore have a meaning; the
score of one sample alone, such as one model, moves with C. So the choice is explicit, fixed before a search, and
recorded with every result.

Two policies need no answers: `midpoint` and `none`. Two tie the scores to published ones: `anchor:USA,JPN,...` takes
some countries, as answered under their personas, to score as published on average, `fitted` all measured countries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hofsteer.errors import TargetError, did_you_mean
from hofsteer.instruments import Instrument
from hofsteer.targets.base import Target, load_target
from hofsteer.targets.coverage import human_dimensions
from hofsteer.targets.reference import measured_countries

Floats = NDArray[np.float64]

# kind -> (C of every dimension in index points, where it is from)
_UNIFORM = {
    "midpoint": (50.0, "C = 50: neutral answers throughout score 50, as in the code of CulturePark (hofstede_test.py)"),
    "none": (0.0, "C = 0: the weighted sums as they stand, neutral answers throughout score 0"),
}
DEFAULT = "fitted"  # where countries have published scores and the zero is the researcher's choice
FITTED = "fitted"
ANCHOR = "anchor:"  # and names of countries
LEAST_SLOPE = 0.2  # below it a constant has next to nothing to tie: the answers hardly go with the countries
ROUNDING = 1e-12  # squared points
LEAST_SPREAD = 10.0  # points, deviation over the countries: of those that are more alike no slope can be told


@dataclass(frozen=True, eq=False)
class Tie:
    """What `anchor` and `fitted` rest on: scores of countries as computed here, without constants, and as published."""

    countries: tuple[str, ...]  # codes (N,)
    computed: Floats  # (N, M), index points
    published: Floats  # (N, M), index points; NaN = no published score
    left_out: tuple[str, ...] = ()  # codes of countries whose persona gave no usable answers

    @cached_property
    def there(self) -> NDArray[np.bool_]:
        """Where a country has both scores, (N, M)."""
        return np.asarray(~np.isnan(self.published) & ~np.isnan(self.computed))

    @cached_property
    def differences(self) -> Floats:
        """Published minus computed (M,), mean over the countries that have both: least squares at slope 1."""
        return _mean(self.published - self.computed, self.there)

    @cached_property
    def spreads(self) -> Floats:
        """Standard deviation of the published scores over the countries (M,), in points; NaN if there are none."""
        return np.sqrt(_mean(_centered(self.published, self.there) ** 2, self.there))

    @cached_property
    def slopes(self) -> Floats:
        """Points by which a computed score rises for a published point (M,): 1 is ideal; NaN if it cannot be said."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self._covariances / self.spreads**2)

    @cached_property
    def r_squared(self) -> Floats:
        """Share of the variance over countries that computed and published scores have in common (M,)."""
        variances = _mean(_centered(self.computed, self.there) ** 2, self.there)
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = self._covariances**2 / (variances * self.spreads**2)
        return np.where((self._covariances == 0) & (self.spreads > 0), 0.0, shares)

    @cached_property
    def _covariances(self) -> Floats:
        computed = _centered(self.computed, self.there)
        flat = _mean(computed**2, self.there) <= ROUNDING  # no country answers unlike another
        return np.where(flat, 0.0, _mean(computed * _centered(self.published, self.there), self.there))


@dataclass(frozen=True, eq=False)
class Constants:
    """What is added to the weighted sums of an instrument: scores = weights @ item means + values."""

    kind: str  # the policy, as in a config file
    values: Floats  # (M,), index points, in the order of the instrument's dimensions
    source: str  # one line on where the values are from
    tie: Tie | None = field(default=None, repr=False)  # None for policies that need no answers

    def weak(self, dimensions: Sequence[str]) -> tuple[str, ...]:
        """Return the dimensions on which the answers hardly go with the countries: there no constant helps."""
        if self.tie is None:
            return ()
        with np.errstate(invalid="ignore"):
            weak = (self.tie.slopes < LEAST_SLOPE) & (self.tie.spreads >= LEAST_SPREAD)
        return tuple(d for d, is_weak in zip(dimensions, weak, strict=True) if is_weak)

    def summary(self, dimensions: Sequence[str]) -> dict[str, Any]:
        """Return what a result says of its constants, as JSON values by dimension; None where nothing can be said."""
        named: dict[str, Floats] = {"values": self.values}
        if self.tie is not None:
            named |= {"slopes": self.tie.slopes, "r_squared": self.tie.r_squared}
        said: dict[str, Any] = {"kind": self.kind, "source": self.source}
        said |= {name: dict(zip(dimensions, _nulls(values), strict=True)) for name, values in named.items()}
        if self.tie is not None:
            said |= {"countries": list(self.tie.countries), "left_out": list(self.tie.left_out)}
        return said

    def to_json(self) -> dict[str, Any]:
        """Return all that there is as JSON values, in the order of the dimensions; `from_json` reads it back."""
        table: dict[str, Any] = {"kind": self.kind, "values": self.values.tolist(), "source": self.source}
        if self.tie is not None:
            table["countries"] = {
                code: {"computed": computed.tolist(), "published": _nulls(published)}
                for code, computed, published in zip(
                    self.tie.countries, self.tie.computed, self.tie.published, strict=True
                )
            }
            table["left_out"] = list(self.tie.left_out)
        return table

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> "Constants":
        """Return what `to_json` wrote."""
        tie, countries = None, table.get("countries")
        if countries is not None:
            computed, published = (
                np.array([row[key] for row in countries.values()], dtype=np.float64)
                for key in ("computed", "published")
            )
            tie = Tie(tuple(countries), computed, published, tuple(table["left_out"]))
        return cls(table["kind"], np.array(table["values"], dtype=np.float64), table["source"], tie)


def load_constants(kind: str, dimensions: Sequence[str]) -> Constants:
    """Return the constants (M,) of a policy that needs no answers: `midpoint` (C = 50) or `none` (C = 0).

    Raises:
        TargetError: `kind` is neither.

    >>> load_constants("midpoint", ["PDI", "IDV"]).values
    array([50., 50.])
    """
    if kind not in _UNIFORM:
        if kind == FITTED or kind.startswith(ANCHOR):
            raise TargetError(f"constants {kind} are fitted to a model's answers: want midpoint or none here")
        raise TargetError(f"want constants of kind {', '.join(_UNIFORM)}, got {kind!r}{did_you_mean(kind, _UNIFORM)}")
    value, source = _UNIFORM[kind]
    return Constants(kind, np.full(len(dimensions), value), source)


def constants_for(instrument: Instrument, kind: str | None = None) -> Constants:
    """Return the constants (M,) of an instrument without asking anybody: by default `midpoint`, or `none`.

    Raises:
        TargetError: the kind is unknown or needs answers, or the instrument has its own zero and takes no constants.
    """
    fixed = instrument.constants == "fixed"
    kind = kind if kind is not None else "none" if fixed else "midpoint"
    if fixed and kind != "none" and (kind in _UNIFORM or kind == FITTED or kind.startswith(ANCHOR)):
        raise TargetError(f"{instrument.id} has its own zero: want constants none, got {kind!r}")
    constants = load_constants(kind, instrument.dimension_ids)
    return replace(constants, source="C = 0: the instrument has its own zero") if fixed else constants


def policy_for(instrument: Instrument, kind: str | None = None) -> str:
    """Return the policy that a model is scored by, countries by their codes.

    By default `fitted`, `none` where the instrument has its own zero, `midpoint` where no country has scores on it.

    Raises:
        TargetError: the kind is unknown, or cannot be had on this instrument.

    >>> from hofsteer.instruments import load_instrument
    >>> policy_for(load_instrument("vsm13"), "anchor: japan, USA")
    'anchor:JPN,USA'
    """
    if kind is None:
        if instrument.constants == "fixed":
            return "none"
        return DEFAULT if human_dimensions(instrument) else "midpoint"
    if kind in _UNIFORM or instrument.constants == "fixed":
        return constants_for(instrument, kind).kind
    if kind != FITTED and not kind.startswith(ANCHOR):
        known = (*_UNIFORM, FITTED, "anchor:USA,JPN,...")
        hint = did_you_mean(kind, (*_UNIFORM, FITTED)) or did_you_mean(kind.partition(":")[0], (ANCHOR,))
        raise TargetError(f"want constants {', '.join(known)}, got {kind!r}{hint}")
    if not human_dimensions(instrument):
        raise TargetError(f"{instrument.id} has no published country scores: want constants midpoint, got {kind!r}")
    if kind == FITTED:
        return kind
    countries = anchors(kind)
    names = [country.code for country in countries]
    for dimension in human_dimensions(instrument):
        if not any(dimension in country.scores for country in countries):
            raise TargetError(f"none of the anchors {', '.join(names)} has a published score on {dimension}")
    return ANCHOR + ",".join(names)


def anchors(policy: str) -> tuple[Target, ...]:
    """Return the countries of an `anchor` policy. Raises TargetError unless there are two or more, each once."""
    names = [name.strip() for name in policy.removeprefix(ANCHOR).split(",") if name.strip()]
    countries = tuple(load_target(name) for name in names)
    codes = [country.code.partition("@")[0] for country in countries]
    if len(countries) < 2 or len(set(codes)) < len(codes):
        raise TargetError(f"{ANCHOR} wants two or more countries, each once, as in anchor:USA,JPN; got {policy!r}")
    return countries


def tied_countries(policy: str, instrument: Instrument) -> tuple[Target, ...]:
    """Return the countries whose personas a policy asks: none for `midpoint` and `none`."""
    if policy == FITTED:
        return measured_countries(human_dimensions(instrument))
    return anchors(policy) if policy.startswith(ANCHOR) else ()


def tie_constants(policy: str, instrument: Instrument, tie: Tie, who: str = "personas") -> Constants:
    """Return the constants (M,) that make the countries score as published on average.

    The slope stays 1, as the formulas have it: C is the mean difference, the least-squares intercept at that slope. A
    dimension on which no country has a published score keeps C = 50.
    """
    values, unpublished = tie.differences, np.isnan(tie.differences)
    source = f"the {who} of {len(tie.countries)} countries score as published on average"
    if unpublished.any():
        without = [d for d, gap in zip(instrument.dimension_ids, unpublished, strict=True) if gap]
        source += f"; C = 50 for {', '.join(without)}, where none has a published score"
    return Constants(policy, np.where(unpublished, _UNIFORM["midpoint"][0], values), source, tie)


def _mean(values: Floats, there: NDArray[np.bool_]) -> Floats:
    """Return the mean (M,) of values (N, M) over the rows that are there; NaN if none is."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(there, values, 0.0).sum(axis=0) / there.sum(axis=0))


def _centered(values: Floats, there: NDArray[np.bool_]) -> Floats:
    return values - _mean(values, there)


def _nulls(values: Floats) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]
