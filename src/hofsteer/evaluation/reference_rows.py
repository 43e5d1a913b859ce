"""What the steered model has to be seen beside: baselines through the same model, and rows that need none."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from hofsteer.alignment.objective import Objective
from hofsteer.errors import HofsteerError
from hofsteer.evaluation.cells import BASELINES, Cell, Scoring
from hofsteer.evaluation.evidence import Evidence, Question
from hofsteer.respondent.base import Respondent

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

    A baseline that this target, instrument or model cannot have is left out, with the reason.
    """
    constants = next(iter(question.constants.values()))
    fitted, held_out = (
        Objective(respondent, forms, constants, question.target) for forms in (question.fitted, question.held_out)
    )
    scoring = Scoring(fitted, held_out, tokens)
    note = f"mean of {evidence.n_seeds} seeds" if evidence.n_seeds > 1 else "one seed"
    steered, held = (float(losses.mean()) for losses in (evidence.fitted_losses, evidence.held_out_losses))
    cells = [Cell(scoring.target, STEERED, None, steered, held, None, note)]
    left_out: dict[str, str] = {}
    for name in BASELINES:
        try:
            cells.append(scoring.baseline(name))
        except HofsteerError as error:
            left_out[name] = str(error)
    for cell in scoring.without_model():
        others = f"of the other {question.target.nouns}"
        cells.append(replace(cell, note=others) if cell.method == MEAN_COUNTRY else cell)
    return ReferenceRows(tuple(map(_row, scoring.read_against(cells))), left_out, question.noise_floor)


def _row(cell: Cell) -> ReferenceRow:
    known = [None if loss is None or np.isnan(loss) else loss for loss in (cell.fitted, cell.held_out)]
    return ReferenceRow(cell.method, known[0], known[1], cell.skill, cell.note)
