"""The countries of the world, real and invented: what is true of each on every instrument, and what is known of it.

Real countries have their published survey profile. On the Inglehart-Welzel map they stand where people put them; where
a country has no coordinates, respondents still have to answer something, which is what its survey profile makes likely,
and the country is *not testable* there. On the vignettes nobody has asked people: true shares are drawn, and correlate
about 0.7 with the survey profile. So no other instrument is a function of the survey.

What is *true* of a country and what a simulated respondent *knows* of it are two things: one who has learnt only the
survey answers of a country says elsewhere what everybody says.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Literal
from zlib import crc32

import numpy as np

from hofsteer.errors import InstrumentError, TargetError, did_you_mean
from hofsteer.instruments import Administration, Instrument, load_instrument
from hofsteer.instruments.base import Floats
from hofsteer.targets import COORDINATES, all_coordinates, complete_countries
from hofsteer.world.base import RESIDUAL_DEVIATION, ItemModel, World, make_items, make_world, place

WORLD_SEED = 2013
LEANS_TO = "USA"  # where respondents without a persona come from, more than from anywhere else
NAIVE_SHARE = 0.75  # of them; the rest is every real country alike
CORRELATION = 0.7  # of the vignettes with the survey profile
SHARE_MEAN, SHARE_DEVIATION = 50.0, 15.0  # of the vignettes' true shares over countries, in percent
SHARE_RANGE = (8.0, 92.0)

INVENTED, VIGNETTES = 11, 12  # random streams

Known = Literal["all", "survey", "nothing"]


@dataclass(frozen=True)
class Style:
    """How a respondent answers whatever is asked, in steps of a scale from 1 to 5."""

    directional: float = 0.0  # added to every answer, towards high values
    extreme: float = 0.0  # by how much distances from the middle grow
    position: float = 0.0  # added towards the option that is shown last

    def move(self, means: Floats, items: ItemModel, order: str) -> Floats:
        """Return item means (..., I) in this style, cut to the scales."""
        return in_style(means, items, order, self.directional, self.extreme, self.position)


@dataclass(frozen=True, eq=False)
class Country:
    """What is true of a country's people, and what simulated respondents know of it."""

    code: str
    name: str
    in_sentence: str
    profiles: Mapping[str, Floats]  # instrument id -> true scores (M,), in points
    untested: frozenset[str] = frozenset()  # instruments on which no people were asked
    known: Known = "all"  # "survey": respondents say elsewhere what everybody says; "nothing": everywhere
    wordings: tuple[int, ...] | None = None  # known in these wordings alone
    style: Style | None = None

    def known_in(self, administration: Administration, survey: bool) -> bool:
        """Return whether a respondent who is told to live there answers this form like its people."""
        wording = self.wordings is None or administration.wording in self.wordings
        return wording and (self.known == "all" or (self.known == "survey" and survey))


@dataclass(frozen=True, eq=False)
class Census:
    """Every country of the world and its answers to each instrument; countries and rows of all worlds correspond."""

    seed: int
    countries: tuple[Country, ...]
    worlds: Mapping[str, World]  # instrument id -> world; the first is the survey that is steered on
    n_real: int  # of the countries, which stand first

    @property
    def survey(self) -> World:
        """The world of the survey."""
        return next(iter(self.worlds.values()))

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of all countries, in the order of the rows."""
        return tuple(country.code for country in self.countries)

    @cached_property
    def shares(self) -> Floats:
        """The mixture that answers where no persona is named, (C,): of real countries, leaning to one."""
        shares = np.zeros(len(self.countries))
        shares[: self.n_real] = (1 - NAIVE_SHARE) / self.n_real
        shares[self.codes.index(LEANS_TO)] += NAIVE_SHARE
        return shares

    def country(self, code: str) -> Country:
        """Return the country of this code. Raises TargetError with the nearest valid one."""
        if code not in self.codes:
            raise TargetError(f"want a country of the census by its code, got {code!r}{did_you_mean(code, self.codes)}")
        return self.countries[self.codes.index(code)]

    def with_countries(self, invented: Iterable[Country]) -> "Census":
        """Return the census with more countries; their residuals depend on the seed and their own code alone."""
        new = [country for country in invented if country.code not in self.codes]
        if not new:
            return self
        worlds = {name: _extend(world, name, new, self.seed) for name, world in self.worlds.items()}
        return Census(self.seed, (*self.countries, *new), worlds, self.n_real)

    def known_instrument(self, instrument: Instrument) -> str | None:
        """Return the id that an instrument has in this world; None if it is about nothing that countries differ in.

        Another scoring of the same items, or the same with optional items at the end, is the same instrument.
        """
        return self._names.get(instrument.item_ids)

    @cached_property
    def _names(self) -> dict[tuple[str, ...], str]:
        forms = {name: (w.instrument, w.instrument.with_optional()) for name, w in self.worlds.items()}
        return {form.item_ids: name for name, both in forms.items() for form in both}

    def items(self, instrument: Instrument) -> ItemModel:
        """Return how the items of any instrument answer; items that the world does not know follow no profile."""
        name = self.known_instrument(instrument)
        if name is None:
            return _contentless(instrument, self.seed)
        own = self.worlds[name].items
        if instrument.item_ids == own.instrument.item_ids:
            return own
        return _with_optional(own.instrument, instrument_seed(self.seed, name, self.survey.instrument.id))

    def values(self, name: str) -> Floats:
        """Return true scores and residuals of every country on an instrument, side by side: (C, M + I)."""
        world = self.worlds[name]
        return np.concatenate([world.profiles, world.residuals], axis=1)

    def naive_scores(self, name: str) -> Floats:
        """Return the scores (M,) of the mixture that answers where no persona is named."""
        return np.asarray(self.shares @ self.worlds[name].profiles)

    def answers(self, code: str, administration: Administration) -> Floats:
        """Return the answers (I, K) under a persona of this country: its people's, as far as it is known."""
        country, name = self.country(code), self._name(administration)
        if not country.known_in(administration, name == self.survey.instrument.id):
            return self.naive(administration)
        return self._distributions(name, administration, self.codes.index(code), country.style)

    def naive(self, administration: Administration) -> Floats:
        """Return the answers (I, K) where no persona is named: the mixture of those of the real countries."""
        name = self._name(administration)
        return np.asarray(
            sum(
                share * self._distributions(name, administration, row) for row, share in enumerate(self.shares) if share
            )
        )

    def _distributions(self, name: str, form: Administration, row: int, style: Style | None = None) -> Floats:
        world = self.worlds[name]
        means = world.item_means[row]
        if style is not None:
            means = style.move(means, world.items, form.order)
        return np.asarray(np.exp(world.items.curves.log_probabilities(means)))

    def _name(self, administration: Administration) -> str:
        name, asked = self.known_instrument(administration.instrument), administration.instrument
        if name is None or asked.item_ids != self.worlds[name].instrument.item_ids:
            raise InstrumentError(f"want an instrument of the census, {', '.join(self.worlds)}, got {asked.id}")
        return name


@cache
def load_census() -> Census:
    """Return the world of this seed with its real countries, on all bundled instruments that countries differ in."""
    survey = load_instrument("vsm13-own")
    real = complete_countries()
    profiles = {target.code: target.vector(survey.dimension_ids) for target in real}
    coordinates = {row.code.partition("@")[0]: row.vector(COORDINATES) for row in all_coordinates()}
    placed = filled({code: coordinates.get(code) for code in profiles}, profiles)
    shares = correlated(profiles, WORLD_SEED)
    tables = {"ivs10": placed, "vignettes": shares}
    worlds = {survey.id: make_world(survey, profiles, WORLD_SEED)}
    for name, table in tables.items():
        worlds[name] = make_world(load_instrument(name), table, instrument_seed(WORLD_SEED, name, survey.id))
    countries = tuple(
        Country(
            target.code,
            target.name,
            target.in_sentence,
            {survey.id: profiles[target.code], "ivs10": placed[target.code], "vignettes": shares[target.code]},
            frozenset({"vignettes"} | (set() if target.code in coordinates else {"ivs10"})),
        )
        for target in real
    )
    return Census(WORLD_SEED, countries, worlds, len(countries))


def filled(coordinates: Mapping[str, Floats | None], profiles: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return coordinates (M,) of every country; a missing one is what its profile makes likely (least squares)."""
    there = [code for code, row in coordinates.items() if row is not None]
    known = np.array([row for row in coordinates.values() if row is not None])
    design = np.column_stack([np.ones(len(there)), np.stack([profiles[code] for code in there])])
    slopes = np.linalg.lstsq(design, known, rcond=None)[0]
    likely = {code: np.concatenate([[1.0], profile]) @ slopes for code, profile in profiles.items()}
    return {code: likely[code] if row is None else row for code, row in coordinates.items()}


def correlated(profiles: Mapping[str, Floats], seed: int) -> dict[str, Floats]:
    """Return shares (M,), in percent, that correlate about 0.7 with the profiles over countries and follow no formula.

    What a country has of its own depends on the seed and its code alone.
    """
    matrix = np.stack(list(profiles.values()))
    standard = (matrix - matrix.mean(axis=0)) / matrix.std(axis=0)
    own = np.stack(
        [np.random.default_rng([seed, VIGNETTES, _number(c)]).normal(size=len(p)) for c, p in profiles.items()]
    )
    mixed = CORRELATION * standard + np.sqrt(1 - CORRELATION**2) * own
    shares = np.clip(SHARE_MEAN + SHARE_DEVIATION * mixed, *SHARE_RANGE)
    return dict(zip(profiles, shares, strict=True))


def instrument_seed(seed: int, name: str, survey: str) -> int:
    """Return the seed of an instrument's items: the world's own for the survey, another for each other instrument."""
    return seed if name == survey else seed + _number(name)


def in_style(
    means: Floats,
    items: ItemModel,
    order: str,
    directional: float | Floats = 0.0,
    extreme: float | Floats = 0.0,
    position: float | Floats = 0.0,
) -> Floats:
    """Return item means (..., I) moved by a `Style`, whose numbers may be arrays (..., 1), and cut to the scales."""
    values, last = items.instrument.option_values, items.instrument.option_mask.sum(axis=1) - 1
    ascends = np.sign(values[np.arange(len(last)), last] - values[:, 0])
    shown = ascends if order == "listed" else -ascends
    moved = items.middle + (1 + extreme) * (means - items.middle)
    moved = moved + (directional + position * shown) * items.unit
    return np.asarray(np.clip(moved, items.lowest, items.highest))


def _extend(world: World, name: str, countries: list[Country], seed: int) -> World:
    profiles = np.stack([country.profiles[name] for country in countries])
    streams = ([seed, INVENTED, _number(country.code), _number(name)] for country in countries)
    drawn = np.stack([np.random.default_rng(s).normal(0.0, RESIDUAL_DEVIATION, len(world.noise)) for s in streams])
    means = place(world.items, profiles, world.items.hidden(drawn))
    for row in np.flatnonzero(world.items.off_scale(means)):
        raise ValueError(f"{countries[row].code}: its profile on {name} cannot be answered within the scales")
    return replace(
        world,
        codes=(*world.codes, *(country.code for country in countries)),
        profiles=np.concatenate([world.profiles, profiles]),
        item_means=np.concatenate([world.item_means, means]),
    )


@cache
def _with_optional(instrument: Instrument, seed: int) -> ItemModel:
    """Return the items of an instrument with the optional ones at the end: the others are drawn as without them."""
    return make_items(instrument.with_optional(), seed)


@cache
def _contentless(instrument: Instrument, seed: int) -> ItemModel:
    """Return items that differ in their level alone."""
    items = make_items(instrument, instrument_seed(seed, instrument.id, ""))
    level = np.random.default_rng([seed, INVENTED, _number(instrument.id)]).uniform(-1.0, 1.0, len(items.unit))
    return replace(items, intercepts=level * items.unit, tilt=np.zeros_like(items.tilt))


def _number(text: str) -> int:
    return crc32(text.encode())
