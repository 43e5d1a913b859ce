"""Figures as SVG: small, printable, no script."""

import io
from collections.abc import Sequence
from itertools import accumulate

from hofsteer.alignment.run import Record
from hofsteer.evaluation.base import RunEvaluation

LINES = (("mean", "#9aa5b1", 1), ("best", "#0b6e4f", 2))  # of the records: name, color, width


def convergence_figure(history: Sequence[Record], durations: Sequence[float], evaluation: RunEvaluation) -> str:
    """Return the search's best and mean loss against what they cost, beside the baselines, as SVG text.

    The costs are evaluations, forward passes and seconds; `durations` are the seconds of each generation.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    nothing = float("nan")
    costs = {
        "evaluations": [record.evaluations for record in history],
        "forward passes": [nothing if record.passes is None else record.passes for record in history],
        "seconds": list(accumulate(durations)),
    }
    marker = "." if len(history) == 1 else ""  # a line through one point draws nothing
    with rc_context({"svg.hashsalt": "hofsteer", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(9.0, 4.0), layout="constrained")
        panels = figure.subplots(1, len(costs), sharey=True, width_ratios=(2, 1, 1))
        for axes, (label, spent) in zip(panels, costs.items(), strict=True):
            for name, color, width in LINES:
                losses = [getattr(record, name) for record in history]
                drawn = [nothing if loss is None else loss for loss in losses]
                axes.plot(spent, drawn, color=color, lw=width, marker=marker, label=name)
            for key, style in (("naive", "--"), ("persona", "-."), ("mean_country", ":")):
                row = evaluation.rows[key]
                axes.axhline(
                    row.loss, color="#444444", lw=1, ls=style, label=f"{row.name} ({row.loss:.{evaluation.digits}f})"
                )
            axes.set_xlabel(label)
            for side in ("top", "right"):
                axes.spines[side].set_visible(False)
        name = "loss" if evaluation.minimised == "index" else "index loss, not minimised,"
        panels[0].set_ylabel(f"{name} on the fitted forms ({evaluation.unit})")
        panels[0].set_ylim(bottom=0)
        panels[0].legend(frameon=False)
        figure.suptitle(f"Search for {evaluation.target.name}")
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
