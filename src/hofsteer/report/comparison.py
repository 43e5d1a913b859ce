"""A comparison as tables: methods by targets, methods over all targets, and their differences."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from hofsteer.evaluation.cells import Cell, summary
from hofsteer.evaluation.methods import LEAST_TARGETS, LEVEL, NAIVE, MethodStatistics, method_statistics
from hofsteer.evaluation.plan import Margins
from hofsteer.evaluation.statistics import LEAST_SEEDS, Mean
from hofsteer.report.statement import ITEM_HEADS, MINI_STATEMENT
from hofsteer.targets import ITEM_LOSSES

TITLE = "Mean distance to the target in points: fitted forms | held-out forms (deviation over seeds)"
ITEM_TITLE = f"Item losses on held-out forms, 0 to 100: {' | '.join(ITEM_HEADS[kind] for kind in ITEM_LOSSES)}"
MEANS_TITLE = "Held-out loss over all targets, points"
DIFFERENCES_TITLE = "Differences of the held-out loss, paired by target, seed and form, points"
BEATEN_TITLE = "In how many targets a method is nearer than the model alone"

Rows = tuple[list[str], list[list[str]]]  # headings and rows


def comparison_rows(cells: Sequence[Cell]) -> Rows:
    """Return the headings and a row a method, those that need no model last."""
    targets = list(dict.fromkeys(cell.target for cell in cells))
    table = summary(cells)
    order = sorted(table, key=lambda method: all(cell["held_out"] is None for cell in table[method].values()))
    return ["method", *targets], [[method, *(_shown(table[method].get(t)) for t in targets)] for method in order]


def item_rows(cells: Sequence[Cell]) -> Rows:
    """Return the headings and a row a method, of the targets with item distributions."""
    known = [cell for cell in cells if cell.item_losses]
    targets, table = list(dict.fromkeys(cell.target for cell in known)), summary(known)
    rows = [[method, *(_items(row.get(target)) for target in targets)] for method, row in table.items()]
    return ["method", *targets], rows


def mean_rows(statistics: MethodStatistics) -> Rows:
    """Return the headings and a row a method."""
    rows = [[name, f"{mean.value:.2f}", *_interval(mean)] for name, mean in statistics.means.items()]
    return ["method", "mean", "95 % interval", "df"], rows


def difference_rows(statistics: MethodStatistics) -> Rows:
    """Return the headings and a row a pair of methods."""
    heads = ["method", "less", "difference", "95 % interval", "df", "p (Holm)", "its loss is"]
    rows = [
        [d.method, d.other, f"{d.mean.value:+.2f}", *_interval(d.mean), _p(d.p_adjusted), d.word]
        for d in statistics.differences
    ]
    return heads, rows


def beaten_rows(statistics: MethodStatistics) -> Rows:
    """Return the headings and a row a method, where there are targets enough."""
    rows = []
    for method in dict.fromkeys(one.method for one in statistics.beaten):
        mine = [one for one in statistics.beaten if one.method == method]
        count = sum(one.p_adjusted <= LEVEL for one in mine)
        missing = [one.target for one in mine if one.p_adjusted > LEVEL]
        said = f"{count} of {len(mine)}"
        rows.append([method, f"({said})" if mine[0].word == "no verdict" else said, ", ".join(missing) or "-"])
    return ["method", "targets", "not shown for"], rows


def comparison_tables(cells: Sequence[Cell]) -> list[Table]:
    """Return the comparison for a terminal."""
    tables = []
    for title, (heads, rows) in _sections(cells):
        table = Table(title=title, box=SIMPLE_HEAD, padding=0 if title == TITLE else (0, 1, 0, 0))
        for column, head in enumerate(heads):
            table.add_column(head, justify="right" if column else "left")
        for row in rows:
            table.add_row(*row)
        tables.append(table)
    return tables


def comparison_markdown(cells: Sequence[Cell], simulated: bool) -> str:
    """Return the comparison as a Markdown page."""
    lines = []
    for title, (heads, rows) in _sections(cells):
        lines += [title + ".", "", "| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
        lines += ["| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows]
        lines.append("")
    return "\n".join([*lines, *comparison_notes(cells, simulated), ""])


def comparison_notes(cells: Sequence[Cell], simulated: bool) -> list[str]:
    """Return what has to be said with the tables."""
    statistics = method_statistics(cells)
    seeds, wanted = statistics.n_seeds, Margins().seeds_for_a_verdict
    notes = []
    if 0 < seeds < wanted:
        notes.append(f"No verdict: {seeds} search seed{'s' * (seeds != 1)}, and {wanted} are wanted.")
    if 0 < seeds < LEAST_SEEDS:
        notes.append(f"Below {LEAST_SEEDS} seeds there is no interval.")
    if seeds >= LEAST_SEEDS:
        notes.append(
            "Intervals are for new search seeds and new forms, and for these targets alone. What has no seed has none. "
            "p of differences are adjusted over all pairs (Holm)."
        )
    if statistics.beaten:
        notes.append(
            f"Nearer than the model alone: one-sided, {LEVEL:.0%} of false discoveries among the targets of a method "
            "(Benjamini and Hochberg)."
        )
    elif seeds >= LEAST_SEEDS and len(statistics.targets) >= LEAST_TARGETS and NAIVE not in statistics.means:
        notes.append(f"In how many targets the model alone is beaten is not said: {NAIVE} is not among the methods.")
    if any(cell.method == "icl" for cell in cells):
        notes.append("icl: the examples are constructed from the published scores; nobody published item answers.")
    notes.append("Rows without a held-out loss need no model; a low loss on fitted forms alone proves little.")
    return [*notes, MINI_STATEMENT] if simulated else notes


def _sections(cells: Sequence[Cell]) -> list[tuple[str, Rows]]:
    """Return the tables that are not empty, with their titles."""
    statistics = method_statistics(cells)
    sections = [
        (TITLE, comparison_rows(cells)),
        (ITEM_TITLE, item_rows(cells)),
        (MEANS_TITLE, mean_rows(statistics)),
        (DIFFERENCES_TITLE, difference_rows(statistics)),
        (BEATEN_TITLE, beaten_rows(statistics)),
    ]
    return [(title, table) for title, table in sections if table[1]]


def _shown(cell: dict[str, float | int | None] | None) -> str:
    if cell is None:
        return "-"
    if cell["held_out"] is None:
        return f"{cell['fitted']:.1f}"
    spread = "" if cell["deviation"] is None else f" ({cell['deviation']:.1f})"
    return f"{cell['fitted']:.1f} | {cell['held_out']:.1f}{spread}"


def _items(cell: dict[str, float | int | None] | None) -> str:
    return "-" if cell is None else " | ".join(f"{cell[kind]:.1f}" for kind in ITEM_LOSSES)


def _interval(mean: Mean) -> tuple[str, str]:
    """Return the interval and its degrees of freedom, dashes where there is none."""
    if mean.degrees_of_freedom is None:
        return "-", "-"
    low, high = mean.bounds()
    return f"{low:.2f} to {high:.2f}", f"{mean.degrees_of_freedom:.1f}"


def _p(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}" if value >= 0.001 else "< 0.001"
