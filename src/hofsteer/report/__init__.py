"""Tables, figures and the words that go with them."""

from hofsteer.report.figure import convergence_figure
from hofsteer.report.html import adapter_card, run_report
from hofsteer.report.statement import MINI_STATEMENT, NOT_CONCLUDED, statement
from hofsteer.report.table import points, results_table

__all__ = [
    "MINI_STATEMENT",
    "NOT_CONCLUDED",
    "adapter_card",
    "convergence_figure",
    "points",
    "results_table",
    "run_report",
    "statement",
]
