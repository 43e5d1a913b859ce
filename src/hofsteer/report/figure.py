"""Figures as SVG: small, printable, no script."""

import io
from collections.abc import Sequence

from hofsteer.alignment.run import Record
from hofsteer.evaluation.base import RunEvaluation


def convergence_figure(history: Sequence[Record], evaluation: RunEvaluation) -> str:
    """Return the search's best and mean loss against evaluations, beside the baselines, as SVG text."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "hofsteer", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(7.0, 4.0), layout="constrained")
        axes = figure.add_subplot()
        spent = [record.evaluations for record in history]
        nothing = float("nan")
        marker = "." if len(history) == 1 else ""  # a line through one point draws nothing
        for label, color, width, losses in (
            ("mean", "#9aa5b1", 1, [record.mean for record in history]),
            ("best", "#0b6e4f", 2, [record.best for record in history]),
        ):
            drawn = [nothing if loss is None else loss for loss in losses]
            axes.plot(spent, drawn, color=color, lw=width, marker=marker, label=label)
        for key, style in (("naive", "--"), ("persona", "-."), ("mean_country", ":")):
            row = evaluation.rows[key]
            axes.axhline(
                row.loss, color="#444444", lw=1, ls=style, label=f"{row.name} ({row.loss:.{evaluation.digits}f})"
            )
        axes.set_xlabel("evaluations")
        axes.set_ylabel(f"loss on the fitted forms ({evaluation.unit})")
        axes.set_ylim(bottom=0)
        axes.set_title(f"Search for {evaluation.target.name}")
        axes.legend(frameon=False)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
