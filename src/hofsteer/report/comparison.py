"""A comparison as tables: methods by targets, methods over all targets, and their differences."""

from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from hofsteer.evaluation.cells import INDEX, Cell, summary
from hofsteer.evaluation.methods import LEAST_TARGETS, LEVEL, NAIVE, MethodStatistics
from hofsteer.evaluation.statistics import LEAST_SEEDS, Mean
from hofsteer.report.statement import ITEM_HEADS, MINI_STATEMENT
from hofsteer.targets import ITEM_LOSSES

TITLE = "Mean distance to the target in points: fitted forms | held-out forms (deviation over seeds)"
SKILL_TITLE = "Skill on held-out forms, mean over seeds: 1 - loss / loss of mean-country"
ITEM_TITLE = f"Item losses on held-out forms, 0 to 100: {' | '.join(ITEM_HEADS[kind] for kind in ITEM_LOSSES)}"
MEANS_TITLE = "Held-out loss over all targets, points"
DIFFERENCES_TITLE = "Differences of the held-out loss, paired by target, seed and wording, points"
BEATEN_TITLE = "In how many targets a method is nearer than the model alone"

FLOOR = "noise floor"  # the last row of a table of losses

Rows = tuple[list[str], list[list[str]]]  # headings and rows


def comparison_rows(cells: Sequence[Cell]) -> Rows:
    """Return the headings and a row a method, those that need no model last, and the noise floors."""
    floors = _floors(cells)
    table = summary(cells)
    rows = [[method, *(_shown(table[method].get(target)) for target in floors)] for method in _order(cells)]
    return ["method", *floors], [*rows, [FLOOR, *(f"{floor[INDEX]:.1f}" for floor in floors.values())]]


def skill_rows(cells: Sequence[Cell]) -> Rows:
    """Return the headings and a row a method, as `comparison_rows`, with the mean over targets."""
    targets, table = list(_floors(cells)), summary(cells)
    rows = []
    for method in _order(cells):
        skills = [table[method].get(target, {}).get("skill") for target in targets]
        known = [skill for skill in skills if skill is not None]
        mean = sum(known) / len(known) if len(known) == len(targets) else None
        rows.append([method, *("-" if skill is None else f"{skill:.2f}" for skill in (*skills, mean))])
    return ["method", *targets, "mean"], rows


def item_rows(cells: Sequence[Cell]) -> Rows:
    """Return the headings and a row a method, of the targets with item distributions, and their noise floors."""
    known = [cell for cell in cells if cell.item_losses]
    floors, table = _floors(known), summary(known)
    rows = [[method, *(_items(row.get(target)) for target in floors)] for method, row in table.items()]
    return ["method", *floors], [*rows, [FLOOR, *map(_items, floors.values())]] if rows else []


def mean_rows(statistics: MethodStatistics) -> Rows:
    """Return the headings and a row a method."""
    between = statistics.between_targets
    heads = ["method", "mean", "95 % interval", "df", *(["differences between targets"] if between else [])]
    rows = [
        [name, f"{mean.value:.2f}", *_interval(mean), *([f"{between[name].value:.2f}"] if between else [])]
        for name, mean in statistics.means.items()
    ]
    return heads, rows


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


def comparison_tables(cells: Sequence[Cell], statistics: MethodStatistics) -> list[Table]:
    """Return the comparison for a terminal."""
    tables = []
    for title, (heads, rows) in _sections(cells, statistics):
        table = Table(title=title, box=SIMPLE_HEAD, padding=0 if title == TITLE else (0, 1, 0, 0))
        for column, head in enumerate(heads):
            table.add_column(head, justify="right" if column else "left")
        for row in rows:
            table.add_row(*row)
        tables.append(table)
    return tables


def comparison_markdown(cells: Sequence[Cell], statistics: MethodStatistics, notes: Sequence[str]) -> str:
    """Return the comparison as a Markdown page."""
    lines = []
    for title, (heads, rows) in _sections(cells, statistics):
        lines += [title + ".", "", "| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
        lines += ["| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows]
        lines.append("")
    return "\n".join([*lines, *notes, ""])


def comparison_notes(
    cells: Sequence[Cell], statistics: MethodStatistics, wanted: int, exploratory: Sequence[str], simulated: bool
) -> list[str]:
    """Return what has to be said with the tables.

    Args:
        cells: of the comparison.
        statistics: of the cells.
        wanted: seeds for a verdict.
        exploratory: why the comparison is; nothing where all was done in the order of a plan.
        simulated: the model is the bundled one.
    """
    seeds = statistics.n_seeds
    notes = [f"Exploratory: {'; '.join(exploratory)}."] if exploratory else []
    if 0 < seeds < wanted:
        notes.append(f"No verdict: {seeds} search seed{'s' * (seeds != 1)}, and {wanted} are wanted.")
    if 0 < seeds < LEAST_SEEDS:
        notes.append(f"Below {LEAST_SEEDS} seeds there is no interval.")
    if seeds >= LEAST_SEEDS:
        notes.append(
            "Intervals are for new search seeds and new wordings, and for these targets alone. What has no seed has "
            "none. p of differences are adjusted over all pairs (Holm)."
        )
    if statistics.between_targets:
        notes.append(
            "Differences between targets: by how much the difference of two targets' scores misses the published one, "
            "mean over pairs and dimensions. Constants cancel in it; its interval in statistics.csv is that of seeds."
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
    notes.append("The noise floor is by how much two samples of people like the target's differ, on average.")
    return [*notes, MINI_STATEMENT] if simulated else notes


def _sections(cells: Sequence[Cell], statistics: MethodStatistics) -> list[tuple[str, Rows]]:
    """Return the tables that are not empty, with their titles."""
    sections = [
        (TITLE, comparison_rows(cells)),
        (SKILL_TITLE, skill_rows(cells)),
        (ITEM_TITLE, item_rows(cells)),
        (MEANS_TITLE, mean_rows(statistics)),
        (DIFFERENCES_TITLE, difference_rows(statistics)),
        (BEATEN_TITLE, beaten_rows(statistics)),
    ]
    return [(title, table) for title, table in sections if table[1]]


def _order(cells: Sequence[Cell]) -> list[str]:
    """Return the methods, those that need no model last."""
    table = summary(cells)
    return sorted(table, key=lambda method: all(cell["held_out"] is None for cell in table[method].values()))


def _floors(cells: Sequence[Cell]) -> dict[str, Mapping[str, float]]:
    """Return the noise floors of each target, in the order of the cells."""
    return {cell.target: cell.noise_floors for cell in cells}


def _shown(cell: dict[str, float | int | None] | None) -> str:
    if cell is None:
        return "-"
    if cell["held_out"] is None:
        return f"{cell['fitted']:.1f}"
    spread = "" if cell["deviation"] is None else f" ({cell['deviation']:.1f})"
    return f"{cell['fitted']:.1f} | {cell['held_out']:.1f}{spread}"


def _items(cell: Mapping[str, float | int | None] | None) -> str:
    return "-" if cell is None else " | ".join(f"{cell[kind]:.1f}" for kind in ITEM_LOSSES)


def _interval(mean: Mean) -> tuple[str, str]:
    """Return the interval and its degrees of freedom, dashes where there is none."""
    if mean.widest is None:
        return "-", "-"
    low, high = mean.bounds()
    return f"{low:.2f} to {high:.2f}", f"{mean.widest[1]:.1f}"


def _p(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}" if value >= 0.001 else "< 0.001"
