"""A model as a sample of respondents: means over the cells of a grid, and the spread between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hofsteer.alignment.objective import Objective
from hofsteer.errors import ModelError
from hofsteer.evaluation.survey import Survey
from hofsteer.instruments.base import Floats, Instrument, named_scores
from hofsteer.instruments.sample import Sample
from hofsteer.respondent.base import Responses
from hofsteer.respondent.soft_prompt import SoftPrompt
from hofsteer.targets import Constants


@dataclass(frozen=True, eq=False)
class SampleSurvey:
    """What a sample answered: the survey of its mean answers, and each cell's own."""

    survey: Survey  # of the weighted mean over cells
    sample: Sample
    cell_scores: Floats  # (N, M), points, constants included, mean over forms
    cell_means: Floats  # (N, I), option values, mean over forms
    cell_variances: Floats  # (N, I), of an answer within a cell, in squared option values
    cell_mass: Floats  # (N,), valid mass, mean over items and forms

    @property
    def item_spread(self) -> Floats:
        """Standard deviation of item means between cells (I,), in option values."""
        return self._deviation(self.cell_means)

    @property
    def answer_spread(self) -> Floats:
        """Standard deviation of single answers over the whole sample (I,): that of people is near 1 on five points."""
        within = self.sample.shares @ self.cell_variances
        return np.asarray(np.sqrt(within + self.item_spread**2))

    @property
    def score_spread(self) -> Floats:
        """Standard deviation of scores between cells (M,), in points: the formula applied to each cell."""
        return self._deviation(self.cell_scores)

    def _deviation(self, values: Floats) -> Floats:
        shares = self.sample.shares
        return np.asarray(np.sqrt(shares @ (values - shares @ values) ** 2))

    def to_json(self) -> dict[str, Any]:
        """Return the survey of the means as JSON values, with the sample below `sample`."""
        instrument = self.survey.objective.instrument
        return {**self.survey.to_json(), "sample": self._sample_json(instrument)}

    def _sample_json(self, instrument: Instrument) -> dict[str, Any]:
        named = {"between_cells": self.item_spread, "answers": self.answer_spread}
        spread: dict[str, Any] = {"scores": named_scores(self.score_spread, instrument.dimension_ids)}
        spread |= {key: dict(zip(instrument.item_ids, v.tolist(), strict=True)) for key, v in named.items()}
        return {
            "id": self.sample.id,
            "effective_cells": self.sample.effective_cells,
            "spread": spread,
            "cells": [
                {
                    **dict(cell.levels),
                    "weight": cell.weight,
                    "text": cell.text,
                    "scores": named_scores(scores, instrument.dimension_ids),
                    "valid_mass": float(mass),
                }
                for cell, scores, mass in zip(self.sample.cells, self.cell_scores, self.cell_mass, strict=True)
            ],
        }


def survey_sample(
    objective: Objective, sample: Sample, soft_prompt: SoftPrompt | None = None, policies: Sequence[Constants] = ()
) -> SampleSurvey:
    """Administer every form of an objective to every cell.

    A system text of the forms, such as a persona, stands before that of the cell. The scores, the loss and the item
    distributions are those of the weighted mean over cells.

    Raises:
        ModelError: a cell gives no usable answers.
    """
    prompts = None if soft_prompt is None else soft_prompt.values[None]
    answered, forms = [], [sample.administrations(form) for form in objective.administrations]
    for number, cell in enumerate(sample.cells):
        asked = [cells[number] for cells in forms]
        responses = objective.respondent.respond(asked, prompts, objective.read_out)
        if (reason := responses.failures[0]) is not None:
            raise ModelError(f"{objective.respondent.settings.id}, as {cell.text!r}: {reason}")
        answered.append(responses)
    instrument, values = objective.instrument, np.nan_to_num(objective.instrument.option_values)
    probabilities = np.stack([responses.probabilities[0] for responses in answered])  # (N, A, I, K)
    means = instrument.item_means(probabilities)
    squares = np.where(instrument.option_mask, probabilities * values**2, 0.0).sum(axis=-1)
    return SampleSurvey(
        survey=Survey(objective, objective.judge(_mean(answered, sample.shares)), soft_prompt, tuple(policies)),
        sample=sample,
        cell_scores=instrument.score(probabilities).mean(axis=1) + objective.constants.values,
        cell_means=means.mean(axis=1),
        cell_variances=np.maximum(squares - means**2, 0.0).mean(axis=1),
        cell_mass=np.array([responses.valid_mass[0].mean() for responses in answered]),
    )


def _mean(answered: Sequence[Responses], shares: Floats) -> Responses:
    """Return the responses of the whole sample: means over its cells, weighted by their shares."""

    def mean(name: str) -> Floats:
        return np.asarray(np.tensordot(shares, np.stack([getattr(one, name) for one in answered]), axes=1))

    return Responses(
        mean("probabilities"),
        mean("valid_mass"),
        answered[0].option_mask,
        (None,),
        mean("refused"),
        mean("unparsable"),
    )
