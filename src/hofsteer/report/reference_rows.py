"""Baselines and reference rows beside the steered model, as a table and sentences."""

from rich.box import SIMPLE_HEAD
from rich.table import Table

from hofsteer.evaluation.reference_rows import MEAN_COUNTRY, STEERED, ReferenceRows
from hofsteer.report.table import points
from hofsteer.targets import Target

REFERENCE_HEADS = ("row", "fitted loss", "held-out loss", "skill", "")


def reference_title(target: Target) -> str:
    """Return the title of the table."""
    return f"Distance to {target.name} beside baselines and rows without a model, points"


def reference_rows(found: ReferenceRows, target: Target, digits: int) -> list[tuple[bool, tuple[str, ...]]]:
    """Return a row a method, True for the steered model, losses with so many decimals."""
    names = {MEAN_COUNTRY: f"mean-{target.noun}"}
    return [
        (
            row.name == STEERED,
            (
                names.get(row.name, row.name),
                points(row.fitted, digits),
                points(row.held_out, digits),
                points(row.skill, 2),
                row.note,
            ),
        )
        for row in found.rows
    ]


def reference_caption(found: ReferenceRows, target: Target, digits: int, constants: str) -> str:
    """Return what has to be read with the table: noise floor, skill, and the policy of constants."""
    return (
        f"Noise floor {found.noise_floor:.{digits}f} points: smaller differences cannot be told from sampling. Skill "
        f"is 1 - loss / loss of the mean {target.noun}, by the held-out loss where there is one. Constants {constants}."
    )


def reference_notes(found: ReferenceRows) -> list[str]:
    """Return a sentence for each baseline that there is no row of."""
    return [f"No row {name}: {why}." for name, why in found.left_out.items()]


def reference_table(found: ReferenceRows, target: Target, digits: int, constants: str) -> Table:
    """Return the rows for a terminal."""
    caption = reference_caption(found, target, digits, constants)
    table = Table(title=reference_title(target), caption=caption, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column, head in enumerate(REFERENCE_HEADS):
        table.add_column(head, justify="right" if 0 < column < len(REFERENCE_HEADS) - 1 else "left")
    for steered, row in reference_rows(found, target, digits):
        table.add_row(*row, style="bold" if steered else None)
    return table
