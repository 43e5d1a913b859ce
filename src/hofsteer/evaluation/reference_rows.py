"""What the steered model has to be seen beside: baselines through the same model, and rows that need none."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hofsteer.alignment.objective import Objective
from hofsteer.baselines import random_prompt
from hofsteer.errors import HofsteerError
from hofsteer.evaluation.base import answered_row
from hofsteer.evaluation.cells import BASELINES, Scoring
from hofsteer.evaluation.evidence import Evidence, Question
from hofsteer.respondent.base import Respondent, SoftPrompts

STEERED, MEAN_COUNTRY = "steered", "mean-country"


@dataclass(frozen=True)
class ReferenceRow:
    """One row: losses in points, under the run's own constants."""

    name: str
    fitted: float | None  # on the fitted forms; None where it is unknown
    held_out: float | None  # on the held-out forms; None for rows without a model
    skill: float | None  # 1 - loss / loss of the mean country, by the held-out loss if there is one; None: unknown
    note: str = ""  # what was chosen or constructed


@dataclass(frozen=True)
class ReferenceRows:
    """The steered model, baselines, and rows without a model."""

    rows: tuple[ReferenceRow, ...]
    left_out: Mapping[str, str]  # baseline -> why there is no such row
    noise_floor: float  # points

    def to_json(self) -> dict[str, Any]:
        """Return them as JSON values."""
        return {
            "rows": [asdict(row) for row in self.rows],
            "left_out": dict(self.left_out),
            "noise_floor": self.noise_floor,
        }


def measure_reference_rows(
    respondent: Respondent, question: Question, evidence: Evidence, tokens: int
) -> ReferenceRows:
    """Return the rows beside which soft prompts of so many tokens stand; the steered one is the mean over their seeds.

    What is known from the evidence is not asked again. A baseline that this target, instrument or model cannot have is
    left out, with the reason.
    """
    constants = next(iter(question.constants.values()))
    fitted, held_out = (
        Objective(respondent, forms, constants, question.target) for forms in (question.fitted, question.held_out)
    )
    scoring = Scoring(fitted, held_out, tokens)
    without = scoring.without_model()
    scale = next(cell.fitted for cell in without if cell.method == MEAN_COUNTRY)
    seeds = f"mean of {evidence.n_seeds} seeds" if evidence.n_seeds > 1 else "one seed"
    rows = [_row(scale, STEERED, evidence.fitted_losses.mean(), evidence.held_out_losses.mean(), seeds)]
    left_out: dict[str, str] = {}
    for name in BASELINES:
        try:
            rows.append(_row(scale, name, *_baseline(name, question, evidence, scoring)))
        except HofsteerError as error:
            left_out[name] = str(error)
    for cell in without:
        note = f"of the other {question.target.nouns}" if cell.method == MEAN_COUNTRY else cell.note
        rows.append(_row(scale, cell.method, cell.fitted, None, note))
    return ReferenceRows(tuple(rows), left_out, question.noise_floor)


def _baseline(name: str, question: Question, evidence: Evidence, scoring: Scoring) -> tuple[float, float, str]:
    """Return fitted and held-out loss of a baseline, and what was chosen or constructed.

    The model alone and a random soft prompt are asked with the system texts that the forms have, as the steered model
    is; all others have one of their own.
    """
    if name == "naive":
        return _loss(scoring.fitted), float(evidence.naive_losses.mean()), ""
    if name == "random":
        prompt = random_prompt(scoring.fitted.respondent, scoring.tokens, 0)
        return _loss(scoring.fitted, prompt), _loss(scoring.held_out, prompt), f"{scoring.tokens} tokens"
    if name == "persona":
        return _loss(scoring.fitted.with_system(question.persona)), evidence.persona_loss, question.persona
    cell = scoring.baseline(name)
    assert cell.held_out is not None, "which only rows without a model lack"
    return cell.fitted, cell.held_out, cell.note


def _loss(objective: Objective, soft_prompt: SoftPrompts | None = None) -> float:
    return answered_row("a reference row", objective.evaluate(soft_prompt)).loss


def _row(scale: float, name: str, fitted: float, held_out: float | None, note: str) -> ReferenceRow:
    """Return a row with its skill beside a mean country of the loss `scale`."""
    loss = fitted if held_out is None else held_out
    skill = 1 - loss / scale if scale > 0 else np.nan
    known = [None if number is None or np.isnan(number) else float(number) for number in (fitted, held_out, skill)]
    return ReferenceRow(name, known[0], known[1], known[2], note)
