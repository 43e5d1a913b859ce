"""What a simulated respondent knows of countries: who they are by name, and what goes with a survey profile."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from zlib import crc32

import numpy as np

from hofsteer.instruments import Administration
from hofsteer.instruments.base import Floats
from hofsteer.world.census import Census, Style

BIAS_LEFT = 0.1  # of the answers without a persona, still there under one: real models are not freed of theirs either
SHARPNESS = 1.0  # squared points; how near a profile must be to a country's before all else is that country's
N_WAYS = 8  # directions in which items and other instruments can go ways of their own

WAYS = 31  # random stream


@dataclass(frozen=True, eq=False)
class Stand:
    """Where a respondent stands without a soft prompt."""

    profile: Floats  # (M,), on the survey
    values: Mapping[str, Floats]  # instrument id -> scores and residuals (M + I,)
    style: Style | None = None


class Knowledge:
    """Everything a respondent can draw on; made once for a census."""

    def __init__(self, census: Census, bias_left: float = BIAS_LEFT) -> None:
        self.census = census
        self.bias_left = bias_left
        self.survey = census.survey.instrument.id
        self.n_dimensions = census.survey.profiles.shape[1]
        self.table = {name: census.values(name) for name in census.worlds}
        self.naive = Stand(census.naive_scores(self.survey), {n: census.shares @ v for n, v in self.table.items()})
        # Who stands for what goes together: each country that is known in full, and the naive mixture.
        self._rows = np.array([c.known == "all" and c.wordings is None for c in census.countries])
        self._profiles = np.concatenate([census.survey.profiles[self._rows], self.naive.profile[None]])
        self._values = {n: np.concatenate([v[self._rows], self.naive.values[n][None]]) for n, v in self.table.items()}
        self._stands: dict[tuple[str, str, int], Stand] = {}
        self._ways: dict[str, Floats] = {}

    def of(self, code: str, name: str) -> Floats:
        """Return the scores and residuals (M + I,) of a country on an instrument."""
        return np.asarray(self.table[name][self.census.codes.index(code)])

    def around(self, profiles: Floats, name: str) -> Floats:
        """Return what goes along with survey profiles (P, M) on an instrument: (P, M + I).

        A mean over the countries known, weighted by (d^2 + 1)^-3 with d^2 the mean squared distance on the survey, in
        points (Shepard's interpolation): at a country's own profile it is that country's, far from all a mean of many.
        """
        squares = ((profiles[:, None, :] - self._profiles) ** 2).mean(axis=-1)
        weights = (squares + SHARPNESS) ** -3.0
        weights /= weights.sum(axis=1, keepdims=True)
        return np.asarray(np.einsum("pc,cv->pv", weights, self._values[name]))

    def ways(self, name: str) -> Floats:
        """Return directions (N_WAYS, M + I) in which countries differ, each of about one standard deviation."""
        if name not in self._ways:
            values = self._values[name] - self._values[name].mean(axis=0)
            rng = np.random.default_rng([self.census.seed, WAYS, crc32(name.encode())])
            mix = rng.normal(0.0, 1 / np.sqrt(len(values)), size=(N_WAYS, len(values)))
            self._ways[name] = np.asarray(mix @ values)
        return self._ways[name]

    def persona(self, system: str, form: Administration, on_survey: bool) -> Stand:
        """Return where a respondent stands who is told this: the country named first, if it is known in this form."""
        key = (system, "survey" if on_survey else "elsewhere", form.wording)
        if key not in self._stands:
            found = self._names.search(system)
            code = None if found is None else self._codes[found.group().casefold()]
            self._stands[key] = self._stand(code, form, on_survey)
        return self._stands[key]

    def _stand(self, code: str | None, form: Administration, on_survey: bool) -> Stand:
        if code is None or not self.census.country(code).known_in(form, on_survey):
            return self.naive
        country, row = self.census.country(code), self.census.codes.index(code)
        own, naive = 1 - self.bias_left, self.naive
        profile = own * self.census.survey.profiles[row] + self.bias_left * naive.profile
        values = {n: own * table[row] + self.bias_left * naive.values[n] for n, table in self.table.items()}
        return Stand(profile, values, country.style)

    @cached_property
    def _codes(self) -> dict[str, str]:
        known = [country for country in self.census.countries if country.known != "nothing"]
        return {name.casefold(): c.code for c in known for name in (c.name, c.in_sentence)}

    @cached_property
    def _names(self) -> re.Pattern[str]:
        longest_first = sorted(self._codes, key=len, reverse=True)
        return re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, longest_first)) + r")(?!\w)", re.IGNORECASE)
