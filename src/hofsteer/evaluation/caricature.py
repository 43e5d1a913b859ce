"""Does a steered model exaggerate its country? How far its answers overshoot the country's, away from the world's mean.

The *caricature index* is the slope, through the origin, of the steered scores on the target's, both less the mean of
the other countries and in their deviations: 1 is as far out as the country stands, above 1 is beyond it, and what goes
in another direction does not count. On the survey the search itself stops at 1, so the other instruments decide.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from hofsteer.evaluation.evidence import Question, answers_to
from hofsteer.evaluation.statistics import Mean, mean_over_seeds
from hofsteer.instruments import Administration, load_instrument
from hofsteer.instruments.base import Floats
from hofsteer.respondent.base import Respondent, SoftPrompts
from hofsteer.targets import Target, countries_on

LEAST_APART = 0.5  # deviations, root mean square over dimensions; a target nearer to the mean has no direction
LEAST_OTHERS = 10  # that are a world to be apart from

Word = Literal["caricature", "no caricature", "undecided"]


@dataclass(frozen=True, eq=False)
class Index:
    """The caricature index on some dimensions."""

    steered: Floats  # (S,)
    naive: float
    persona: float

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"steered": self.steered.tolist(), "naive": self.naive, "persona": self.persona}


@dataclass(frozen=True, eq=False)
class Caricature:
    """The caricature index of S soft prompts by instrument, and on all dimensions that were not fitted together."""

    by_instrument: Mapping[str, Index]  # the survey's held-out forms first; those that cannot tell are left out
    together: Index | None  # on the dimensions of all other instruments; None: they cannot tell, or there are none
    margin: float  # so much above 1 is a caricature

    @property
    def mean(self) -> Mean | None:
        """The index of the other instruments together, over seeds."""
        return None if self.together is None else mean_over_seeds(self.together.steered)

    @property
    def word(self) -> Word | None:
        """What one-sided 95 % bounds over seeds say beside the margin; None where no other instrument can tell."""
        if (mean := self.mean) is None:
            return None
        if mean.lower() > 1 + self.margin:
            return "caricature"
        return "no caricature" if mean.upper() <= 1 + self.margin else "undecided"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "word": self.word,
            "margin": self.margin,
            "together": None if self.together is None else self.together.to_json(),
            "by_instrument": {name: index.to_json() for name, index in self.by_instrument.items()},
        }


def measure_caricature(
    respondent: Respondent, soft_prompts: SoftPrompts, question: Question, margin: float
) -> Caricature:
    """Return the caricature index of soft prompts (S, L, W), with that of the model alone and of a persona.

    Args:
        respondent: the frozen model.
        soft_prompts: one of each search seed.
        question: where they should lead; its held-out forms and other instruments are asked.
        margin: so much above 1 is a caricature.

    Raises:
        ModelError: answers cannot be used.
    """
    own = next(iter(question.constants.values())).values
    asked = {question.instrument.id: (question.held_out, question.target, own)}
    for name, place in question.elsewhere.items():
        other = load_instrument(name)
        forms = tuple(Administration(other, order=order) for order in ("listed", "reversed"))
        asked[name] = (forms, place, np.zeros(len(other.dimension_ids)))
    parts = {name: _rows(respondent, soft_prompts, question.persona, *about) for name, about in asked.items()}
    indices = {name: index for name, rows in parts.items() if (index := caricature_index(rows)) is not None}
    rest = [parts[name] for name in question.elsewhere]
    return Caricature(indices, caricature_index(np.concatenate(rest, axis=1)) if rest else None, margin)


def standardised(rows: Floats, world: Floats) -> Floats:
    """Return scores less the mean of other countries and in their deviations.

    Args:
        rows: (N, M), the target's first, NaN where it has none.
        world: (C, M), scores of other countries; NaN where there is none.

    Returns:
        (N, M'), on the dimensions that the target and at least `LEAST_OTHERS` others have; there may be none.
    """
    there = ~np.isnan(rows[0]) & ((~np.isnan(world)).sum(axis=0) >= LEAST_OTHERS)
    world = world[:, there]
    return np.asarray((rows[:, there] - np.nanmean(world, axis=0)) / np.nanstd(world, axis=0, ddof=1))


def caricature_index(rows: Floats) -> Index | None:
    """Return the slopes of standardised scores on the target's, the first row; then model, persona and soft prompts.

    None where there is no dimension, or the target is too near the mean to lie in a direction from it.

    >>> caricature_index(np.array([[1.0, 1.0], [0.0, 0.0], [0.5, 0.5], [1.5, 0.9]])).steered
    array([1.2])
    """
    goal = rows[0]
    if len(goal) == 0 or np.sqrt((goal**2).mean()) < LEAST_APART:
        return None
    naive, persona, *steered = rows[1:] @ goal / (goal @ goal)
    return Index(np.array(steered), float(naive), float(persona))


def _rows(
    respondent: Respondent,
    soft_prompts: SoftPrompts,
    persona: str,
    forms: Sequence[Administration],
    place: Target,
    constants: Floats,
) -> Floats:
    """Return the standardised scores (3 + S, M) of target, model alone, persona and soft prompts."""
    instrument = forms[0].instrument
    countries = place.beside or countries_on(instrument.dimension_ids)
    own = place.code.partition("@")[0]
    world = [row.vector(instrument.dimension_ids) for row in countries if row.code.partition("@")[0] != own]
    named = [replace(form, system=persona) for form in forms]
    scores = [
        instrument.score(answers_to(respondent, asked, prompts).probabilities).mean(axis=1) + constants
        for asked, prompts in ((forms, None), (named, None), (forms, soft_prompts))
    ]
    return standardised(np.concatenate([place.vector(instrument.dimension_ids)[None], *scores]), np.array(world))
