"""One survey of one respondent: scores, items, and the distance to a target if one is named."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hofsteer.alignment.objective import Evaluation, Objective
from hofsteer.errors import ModelError
from hofsteer.evaluation.floor import read_out_floor
from hofsteer.instruments.base import Floats, named_scores
from hofsteer.respondent.soft_prompt import SoftPrompt
from hofsteer.targets import Constants, difference_loss


@dataclass(frozen=True, eq=False)
class Survey:
    """What a respondent answered, mean over the administrations."""

    objective: Objective
    evaluation: Evaluation  # of one candidate
    soft_prompt: SoftPrompt | None = None  # what stood in front
    policies: tuple[Constants, ...] = ()  # of constants, to give the loss under; the objective's own first

    @property
    def loss(self) -> float | None:
        """Mean distance to the target in index points; None without a target, or without constants to compare by."""
        return float(self.evaluation.losses[0]) if self._compares(self.objective.constants) else None

    @property
    def losses(self) -> dict[str, float]:
        """The loss under each policy of constants that has one, the objective's own first."""
        policies = self.policies or (self.objective.constants,)
        return {
            c.kind: float(self.objective.losses_under(self.evaluation, c)[0]) for c in policies if self._compares(c)
        }

    @property
    def item_losses(self) -> dict[str, float]:
        """The losses to the target's item distributions, which no constants enter; empty where it has none."""
        return {kind: float(losses[0]) for kind, losses in self.evaluation.item_losses.items()}

    @property
    def read_out_floor(self) -> float | None:
        """The loss that the target's own scores would have, read the same way; None where there is no loss."""
        objective = self.objective
        if self.loss is None or objective.target is None:
            return None
        return read_out_floor(objective.administrations, objective.constants, objective.target, objective.read_out)

    @property
    def valid_mass(self) -> float:
        """Mean over items of what the model gave to the options."""
        return float(self.evaluation.valid_mass.mean())

    def _compares(self, constants: Constants) -> bool:
        on_its_scale = constants.kind != "none" or self.objective.instrument.constants == "fixed"
        return self.objective.target is not None and on_its_scale

    def to_json(self) -> dict[str, Any]:
        """Return the survey as `hofsteer survey --json` prints it."""
        instrument, evaluation, target = self.objective.instrument, self.evaluation, self.objective.target
        policies = self.policies or (self.objective.constants,)
        return {
            "schema": 1,
            "model": self.objective.respondent.settings.id,
            "instrument": instrument.id,
            "constants": self.objective.constants.kind,
            "policies": [constants.summary(instrument.dimension_ids) for constants in policies],
            "administrations": [
                {
                    "wording": a.wording,
                    "order": a.order,
                    "labels": a.labels,
                    "numbering": a.numbering,
                    "layout": a.layout,
                    "system": a.system,
                    "cue": a.cue,
                    "conversation": a.conversation,
                    "shuffle": a.shuffle,
                }
                for a in self.objective.administrations
            ],
            "read_out": self.objective.read_out.model_dump(),
            "soft_prompt": self.soft_prompt.identity() if self.soft_prompt else None,
            "scores": named_scores(evaluation.scores[0], instrument.dimension_ids),
            "items": {
                item.id: {
                    "mean": float(evaluation.item_means[0, i]),
                    "probabilities": evaluation.probabilities[0, i, : len(item.options)].tolist(),
                    "valid_mass": float(evaluation.valid_mass[0, i]),
                    "refused": float(evaluation.refused[0, i]),
                    "unparsable": float(evaluation.unparsable[0, i]),
                }
                for i, item in enumerate(instrument.items)
            },
            "target": target.code if target else None,
            "n": target.n if target else None,
            "standard_errors": {d: target.errors.get(d) for d in target.scores} if target else {},
            "loss": self.loss,
            "losses": self.losses,
            "item_losses": self.item_losses,
            "read_out_floor": self.read_out_floor,
        }


def survey(objective: Objective, soft_prompt: SoftPrompt | None = None, policies: Sequence[Constants] = ()) -> Survey:
    """Administer once. Raises ModelError with the reason if the model gives no usable answers."""
    evaluation = objective.evaluate(None if soft_prompt is None else soft_prompt.values[None])
    if evaluation.reasons[0] is not None:
        raise ModelError(f"{objective.respondent.settings.id}: {evaluation.reasons[0]}")
    return Survey(objective, evaluation, soft_prompt, tuple(policies))


def differences(surveys: Sequence[Survey]) -> Floats | None:
    """Return how far differences between surveys are from those of their targets (M,); None where that says nothing.

    Constants cancel in it: see `difference_loss`. Each survey stands for its own target.
    """
    goals = {survey.objective.target.code: survey for survey in surveys if survey.objective.target is not None}
    if len(goals) < 2 or len(goals) < len(surveys):
        return None
    instrument = surveys[0].objective.instrument
    targets = [survey.objective.target.vector(instrument.dimension_ids) for survey in surveys]  # type: ignore[union-attr]
    return difference_loss(np.stack([survey.evaluation.scores[0] for survey in surveys]), np.stack(targets))
