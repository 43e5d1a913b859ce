"""Tables, figures and the words that go with them."""

from hofsteer.report.constants import constants_note, losses_note, policies_note, weak_constants
from hofsteer.report.figure import convergence_figure
from hofsteer.report.html import adapter_card, run_report
from hofsteer.report.statement import (
    MINI_STATEMENT,
    NOT_CONCLUDED,
    item_losses_in_words,
    item_losses_note,
    noise_floor_note,
    outcome,
    polish_note,
    read_out_floor_note,
    skill_note,
    statement,
    target_notes,
    wording_note,
)
from hofsteer.report.table import ESTIMATE_NOTE, points, results_table

__all__ = [
    "ESTIMATE_NOTE",
    "MINI_STATEMENT",
    "NOT_CONCLUDED",
    "adapter_card",
    "constants_note",
    "convergence_figure",
    "item_losses_in_words",
    "item_losses_note",
    "losses_note",
    "noise_floor_note",
    "outcome",
    "points",
    "policies_note",
    "polish_note",
    "read_out_floor_note",
    "results_table",
    "run_report",
    "skill_note",
    "statement",
    "target_notes",
    "weak_constants",
    "wording_note",
]
