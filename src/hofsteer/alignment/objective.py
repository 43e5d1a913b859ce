"""What the search minimises: the distance between a model's scores and a target's, and what else may count."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from hofsteer.config import EXPECTED, PLAIN, ObjectiveSettings, ReadOut
from hofsteer.instruments import Administration, Instrument
from hofsteer.instruments.base import Floats
from hofsteer.respondent.base import NOT_NUMBERS, Respondent, Responses, SoftPrompts
from hofsteer.targets import ITEM_LOSSES, Constants, ItemGoal, ItemLoss, Target, index_loss, item_loss, noise_floor

PASSES_OF_A_GRADIENT_STEP = 3  # forward, and backward at about the price of two forward passes


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What P candidates answered, in numbers."""

    losses: Floats  # (P,), index points, mean over administrations, whatever is minimised; +inf = failed
    objectives: Floats  # (P,), what is minimised: the loss of the settings and penalties; +inf = failed
    errors: Floats  # (P, E), signed, vanish with what is minimised; see `Objective.errors`
    scores: Floats  # (P, M), index points, mean over administrations; NaN = failed
    form_scores: Floats  # (P, A, M), index points
    item_means: Floats  # (P, I), option values, mean over administrations; NaN = failed
    probabilities: Floats  # (P, I, K), mean over administrations; NaN = failed
    valid_mass: Floats  # (P, I), mean over administrations
    reasons: tuple[str | None, ...]  # (P,), why a candidate failed
    refused: Floats  # (P, I), share of the draws, mean over administrations
    unparsable: Floats  # (P, I), share of the draws, mean over administrations
    drift: Floats | None = None  # (P,), nats a token on neutral text; None where it is not penalised
    item_losses: Mapping[ItemLoss, Floats] = field(default_factory=dict)  # (P,) each; empty without an `item_goal`


@dataclass(frozen=True, eq=False)
class Objective:
    """A deterministic function of soft prompts."""

    respondent: Respondent
    administrations: tuple[Administration, ...]  # the fitted forms, all of one instrument
    constants: Constants
    target: Target | None = None  # without one every loss is NaN
    read_out: ReadOut = EXPECTED
    settings: ObjectiveSettings = PLAIN  # weights and penalties

    @property
    def instrument(self) -> Instrument:
        """The instrument of the administrations."""
        return self.administrations[0].instrument

    @property
    def weights(self) -> Floats | None:
        """Weights of the dimensions, (M,); None where all count alike."""
        weights = self.settings.weights
        return np.array([weights.get(d, 1.0) for d in self.instrument.dimension_ids]) if weights else None

    @cached_property
    def item_goal(self) -> ItemGoal | None:
        """The target's item distributions; None where it has none of the items that are asked."""
        return None if self.target is None else self.target.item_goal(self.instrument)

    @property
    def noise_floor(self) -> float:
        """Points by which two samples like the target's differ, on the dimensions that it has; NaN without one."""
        return np.nan if self.target is None else noise_floor(self.instrument, self.target).points

    def with_system(self, text: str) -> "Objective":
        """Return the same objective with a system text before every item, such as a persona."""
        return replace(self, administrations=tuple(replace(a, system=text) for a in self.administrations))

    def afresh(self) -> "Objective":
        """Return the same objective with draws that no search has seen."""
        return replace(self, read_out=self.read_out.afresh())

    def passes(self, evaluations: int) -> int:
        """Return the forward passes that evaluations count as: one an administration, and one for the neutral text.

        This is the one currency in which searches are compared; a gradient step is `PASSES_OF_A_GRADIENT_STEP` times
        the passes of one evaluation.
        """
        return evaluations * (len(self.administrations) + (self.settings.drift_penalty > 0))

    def losses_under(self, evaluation: Evaluation, constants: Constants) -> Floats:
        """Return the losses (P,) that the same answers have under other constants."""
        if self.target is None:
            return evaluation.losses
        scores = evaluation.form_scores - self.constants.values + constants.values
        losses = index_loss(scores, self.target.vector(self.instrument.dimension_ids)).mean(axis=1)
        return np.where(np.isinf(evaluation.losses), np.inf, losses)

    def evaluate(self, soft_prompts: SoftPrompts | None = None) -> Evaluation:
        """Administer to every candidate (P, L, W), or once without a soft prompt. A failure is +inf with its reason."""
        responses = self.respondent.respond(self.administrations, soft_prompts, self.read_out)
        return self.judge(responses, self._drift(soft_prompts))

    def judge(self, responses: Responses, drift: Floats | None = None) -> Evaluation:
        """Return what responses to the administrations come to, with the drift (P,) where it counts."""
        probabilities = responses.probabilities  # (P, A, I, K)
        scores = self.instrument.score(probabilities) + self.constants.values  # (P, A, M)
        reasons = responses.failures
        if drift is not None:
            named = zip(reasons, np.isfinite(drift), strict=True)
            reasons = tuple(reason or (None if finite else NOT_NUMBERS) for reason, finite in named)
        failed = np.array([reason is not None for reason in reasons])
        losses = objectives = np.full(len(failed), np.nan)
        item_losses = self.item_losses(probabilities)
        penalties = self._penalties(responses.valid_mass, drift)
        if self.target is not None:
            goal = self.target.vector(self.instrument.dimension_ids)
            losses = index_loss(scores, goal).mean(axis=1)
            objectives = losses if self.weights is None else index_loss(scores, goal, self.weights).mean(axis=1)
            if (minimised := self.settings.loss) != "index":
                assert item_losses, f"{minimised} without item distributions, which check_settings refuses"
                objectives = item_losses[minimised]
        return Evaluation(
            losses=np.where(failed, np.inf, losses),
            objectives=np.where(failed, np.inf, objectives + penalties),
            errors=self.errors(scores, probabilities, penalties),
            scores=scores.mean(axis=1),
            form_scores=scores,
            item_means=self.instrument.item_means(probabilities).mean(axis=1),
            probabilities=probabilities.mean(axis=1),
            valid_mass=responses.valid_mass.mean(axis=1),
            reasons=reasons,
            refused=responses.refused.mean(axis=1),
            unparsable=responses.unparsable.mean(axis=1),
            drift=drift,
            item_losses={kind: np.where(failed, np.inf, found) for kind, found in item_losses.items()},
        )

    def errors(self, scores: Floats, probabilities: Floats, penalties: Floats) -> Floats:
        """Return by how much answers miss the target, form by form, (P, E); none without a target.

        For the index loss the differences of scores (P, A, M), weighted so that the mean of their sizes is the loss.
        For losses between answers those of probabilities (P, A, I, K), in hundredths: both losses vanish with them.
        Where something has a price, the penalties (P,) are one error more, as large as all others would have to be.
        """
        if self.target is None:
            return np.zeros((len(scores), 0))
        if self.settings.loss == "index":
            goal = self.target.vector(self.instrument.dimension_ids)
            has = ~np.isnan(goal)
            weights = (np.ones(len(goal)) if self.weights is None else self.weights)[has]
            missed = (scores - goal)[..., has] * (weights / weights.mean())
        else:
            items = self.item_goal
            assert items is not None, "which check_settings refuses"
            asked = (probabilities - items.shares)[:, :, items.known]
            missed = 100 * asked[..., ~np.isnan(items.values[items.known])]
        missed = missed.reshape(len(missed), -1)
        if self.settings.mass_penalty or self.settings.drift_penalty:
            missed = np.column_stack([missed, missed.shape[1] * penalties])
        return np.asarray(missed)

    def item_losses(self, probabilities: Floats) -> dict[ItemLoss, Floats]:
        """Return the item losses (...) of answers (..., A, I, K), mean over administrations; empty without a goal."""
        goal = self.item_goal
        if goal is None:
            return {}
        return {kind: np.asarray(item_loss(kind, probabilities, goal).mean(axis=-1)) for kind in ITEM_LOSSES}

    def _drift(self, soft_prompts: SoftPrompts | None) -> Floats | None:
        """Return the drift (P,), which is not computed unless it costs something."""
        if self.settings.drift_penalty == 0:
            return None
        return np.zeros(1) if soft_prompts is None else self.respondent.drift(soft_prompts)

    def _penalties(self, valid_mass: Floats, drift: Floats | None) -> Floats:
        """Return the penalties (P,), in points of the loss, from the valid mass (P, A, I) and the drift (P,)."""
        lost = missing_mass(valid_mass, self.settings.mass_threshold)
        penalties = self.settings.mass_penalty * lost if self.settings.mass_penalty else np.zeros(len(valid_mass))
        return penalties if drift is None else penalties + self.settings.drift_penalty * drift


def missing_mass(valid_mass: Floats, threshold: float) -> Floats:
    """Return by how much valid mass (P, A, I) falls short of a threshold, mean over administrations and items, (P,).

    Each item counts by itself, so that one that is answered well does not make up for one that is not.

    >>> missing_mass(np.array([[[0.99, 0.5]], [[0.95, 0.95]]]), 0.9)
    array([0.2, 0. ])
    """
    return np.asarray(np.maximum(threshold - valid_mass, 0.0).mean(axis=(1, 2)))


def forms(
    instrument: Instrument, wordings: Sequence[int] | None, orders: Sequence[str], cue: str = ""
) -> tuple[Administration, ...]:
    """Return one administration for every wording in every order; by default of the first two wordings there are."""
    if wordings is None:
        wordings = range(min(2, *(len(item.wordings) for item in instrument.items)))
    return tuple(
        Administration(instrument, wording=wording, order=order, cue=cue)  # type: ignore[arg-type]
        for wording in wordings
        for order in orders
    )
