"""What the search minimises: the distance between a model's scores and a target's."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hofsteer.config import EXPECTED, ReadOut
from hofsteer.instruments import Administration, Instrument
from hofsteer.instruments.base import Floats
from hofsteer.respondent.base import Respondent, SoftPrompts
from hofsteer.targets import Constants, Target, index_loss


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What P candidates answered, in numbers."""

    losses: Floats  # (P,), index points, mean over administrations; +inf = failed
    scores: Floats  # (P, M), index points, mean over administrations; NaN = failed
    item_means: Floats  # (P, I), option values, mean over administrations; NaN = failed
    probabilities: Floats  # (P, I, K), mean over administrations; NaN = failed
    valid_mass: Floats  # (P, I), mean over administrations
    reasons: tuple[str | None, ...]  # (P,), why a candidate failed
    refused: Floats  # (P, I), share of the draws, mean over administrations
    unparsable: Floats  # (P, I), share of the draws, mean over administrations


@dataclass(frozen=True, eq=False)
class Objective:
    """A deterministic function of soft prompts."""

    respondent: Respondent
    administrations: tuple[Administration, ...]  # the fitted forms, all of one instrument
    constants: Constants
    target: Target | None = None  # without one every loss is NaN
    read_out: ReadOut = EXPECTED

    @property
    def instrument(self) -> Instrument:
        """The instrument of the administrations."""
        return self.administrations[0].instrument

    def with_system(self, text: str) -> "Objective":
        """Return the same objective with a system text before every item, such as a persona."""
        return replace(self, administrations=tuple(replace(a, system=text) for a in self.administrations))

    def afresh(self) -> "Objective":
        """Return the same objective with draws that no search has seen."""
        return replace(self, read_out=self.read_out.afresh())

    def evaluate(self, soft_prompts: SoftPrompts | None = None) -> Evaluation:
        """Administer to every candidate (P, L, W), or once without a soft prompt. A failure is +inf with its reason."""
        responses = self.respondent.respond(self.administrations, soft_prompts, self.read_out)
        probabilities = responses.probabilities  # (P, A, I, K)
        scores = self.instrument.score(probabilities) + self.constants.values  # (P, A, M)
        failed = np.array([reason is not None for reason in responses.failures])
        losses = np.full(len(failed), np.nan)
        if self.target is not None:
            losses = index_loss(scores, self.target.vector(self.instrument.dimension_ids)).mean(axis=1)
        return Evaluation(
            losses=np.where(failed, np.inf, losses),
            scores=scores.mean(axis=1),
            item_means=self.instrument.item_means(probabilities).mean(axis=1),
            probabilities=probabilities.mean(axis=1),
            valid_mass=responses.valid_mass.mean(axis=1),
            reasons=responses.failures,
            refused=responses.refused.mean(axis=1),
            unparsable=responses.unparsable.mean(axis=1),
        )


def forms(
    instrument: Instrument, wordings: Sequence[int], orders: Sequence[str], cue: str = ""
) -> tuple[Administration, ...]:
    """Return one administration for every wording in every order."""
    return tuple(
        Administration(instrument, wording=wording, order=order, cue=cue)  # type: ignore[arg-type]
        for wording in wordings
        for order in orders
    )
