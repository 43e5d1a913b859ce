"""A comparison as a table: methods by targets, on fitted and on held-out forms."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from hofsteer.evaluation.cells import Cell, summary
from hofsteer.evaluation.plan import Margins
from hofsteer.report.statement import MINI_STATEMENT

TITLE = "Mean distance to the target in points: fitted forms | held-out forms (deviation over seeds)"


def comparison_rows(cells: Sequence[Cell]) -> tuple[list[str], list[list[str]]]:
    """Return the headings and a row a method, those that need no model last."""
    targets = list(dict.fromkeys(cell.target for cell in cells))
    table = summary(cells)
    order = sorted(table, key=lambda method: all(cell["held_out"] is None for cell in table[method].values()))
    return ["method", *targets], [[method, *(_shown(table[method].get(t)) for t in targets)] for method in order]


def comparison_table(cells: Sequence[Cell]) -> Table:
    """Return the comparison for a terminal."""
    heads, rows = comparison_rows(cells)
    table = Table(title=TITLE, box=SIMPLE_HEAD, padding=0)
    for column, head in enumerate(heads):
        table.add_column(head, justify="right" if column else "left")
    for row in rows:
        table.add_row(*row)
    return table


def comparison_markdown(cells: Sequence[Cell], simulated: bool) -> str:
    """Return the comparison as a Markdown page."""
    heads, rows = comparison_rows(cells)
    lines = [TITLE + ".", "", "| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    lines += ["| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows]
    return "\n".join([*lines, "", *comparison_notes(cells, simulated), ""])


def comparison_notes(cells: Sequence[Cell], simulated: bool) -> list[str]:
    """Return what has to be said with the table."""
    seeds = max(
        (len({c.seed for c in cells if c.method == m}) for m in {c.method for c in cells if c.seed is not None}),
        default=0,
    )
    notes = []
    if 0 < seeds < Margins().seeds_for_a_verdict:
        notes.append(f"No verdict: {seeds} search seeds, and {Margins().seeds_for_a_verdict} are wanted.")
    if any(cell.method == "icl" for cell in cells):
        notes.append("icl: the examples are constructed from the published scores; nobody published item answers.")
    notes.append("Rows without a held-out loss need no model; a low loss on fitted forms alone proves little.")
    return [*notes, MINI_STATEMENT] if simulated else notes


def _shown(cell: dict[str, float | int | None] | None) -> str:
    if cell is None:
        return "-"
    if cell["held_out"] is None:
        return f"{cell['fitted']:.1f}"
    spread = "" if cell["deviation"] is None else f" ({cell['deviation']:.1f})"
    return f"{cell['fitted']:.1f} | {cell['held_out']:.1f}{spread}"
