"""Fit and carry-over along the searches, as a table, sentences and a figure."""

import io
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from hofsteer.evaluation.transfer import Transfer
from hofsteer.instruments.base import Floats

TITLE = "Along the search: fit and carry-over, mean over seeds"


def transfer_heads(transfer: Transfer) -> tuple[str, ...]:
    """Return the headings of `transfer_rows`."""
    return ("evaluations", "fitted loss", "held-out loss", *(f"G on {name}" for name in transfer.gains))


def transfer_rows(transfer: Transfer) -> list[tuple[str, ...]]:
    """Return a row a point."""
    columns = [transfer.fitted.mean(axis=0), transfer.held_out.mean(axis=0)]
    losses = [tuple(f"{loss:.1f}" for loss in column) for column in columns]
    gains = [tuple(f"{one:.2f}" for one in values.mean(axis=0)) for values in transfer.gains.values()]
    points = [str(evaluations) for evaluations in transfer.evaluations]
    return list(zip(points, *losses, *gains, strict=True))


def transfer_table(transfer: Transfer) -> Table:
    """Return the points for a terminal."""
    table = Table(title=TITLE, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for head in transfer_heads(transfer):
        table.add_column(head, justify="right")
    for row in transfer_rows(transfer):
        table.add_row(*row)
    return table


def transfer_notes(transfer: Transfer) -> list[str]:
    """Return a sentence an instrument."""
    said = []
    for name in transfer.gains:
        shape = transfer.shape(name)
        verb = {
            "rises": f"rises from {shape.since} evaluations to the end",
            "falls": f"falls from {shape.since} evaluations to the end",
            "undecided": f"neither rises nor falls beyond what seeds differ, from {shape.since} evaluations to the end",
        }[shape.word]
        side = "most" if shape.word == "falls" else "least"
        bound = f", at {side} {shape.bound:+.2f}" if np.isfinite(shape.bound) else ""
        seeds = f"{shape.difference.n} seed{'s' * (shape.difference.n != 1)}"
        said.append(f"G on {name} {verb} ({shape.difference.value:+.2f}{bound}; {seeds}).")
    return [*said, "Points along a search are for reading: a budget chosen by them leaves nothing held out."]


def transfer_figure(transfer: Transfer) -> str:
    """Return losses and G against evaluations as SVG text: a thin line a seed, a thick one for their mean."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    losses = {"fitted forms": transfer.fitted, "held-out forms": transfer.held_out}
    colors = ("#0b6e4f", "#b4531f", "#3b5b92", "#7a4b94")
    with rc_context({"svg.hashsalt": "hofsteer", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(9.0, 3.6), layout="constrained")
        panels = figure.subplots(1, 2 if transfer.gains else 1, squeeze=False)[0]
        for axes, lines, label in zip(
            panels, (losses, transfer.gains), ("loss, points", "G, share of the way"), strict=False
        ):
            for number, (name, values) in enumerate(lines.items()):
                _draw(axes, transfer.evaluations, values, colors[number % len(colors)], name)
            axes.set_xscale("log", base=2)
            axes.set_xticks(transfer.evaluations, [str(e) for e in transfer.evaluations], rotation=45)
            axes.minorticks_off()
            axes.set_xlabel("evaluations")
            axes.set_ylabel(label)
            axes.legend(frameon=False)
            for side in ("top", "right"):
                axes.spines[side].set_visible(False)
        panels[0].set_ylim(bottom=0)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def _draw(axes: Any, evaluations: tuple[int, ...], values: Floats, color: str, name: str) -> None:
    for seed in values:
        axes.plot(evaluations, seed, color=color, lw=0.6, alpha=0.5)
    axes.plot(evaluations, values.mean(axis=0), color=color, lw=2, marker=".", label=name)
