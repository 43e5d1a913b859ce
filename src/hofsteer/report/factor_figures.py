"""Figures of a factor analysis as SVG: scree with parallel analysis, loadings, groups in the plane of two factors."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from hofsteer.instruments.factor.analysis import Analysis
from hofsteer.instruments.factor.output import GroupRow, factor_ids


def scree_figure(analysis: Analysis) -> str:
    """Return the eigenvalues beside the 95th percentile of those of permuted answers, as SVG text."""
    number = analysis.number
    places = np.arange(1, len(number.eigenvalues) + 1)
    with _figure(6.5, 4.0) as (axes, result):
        axes.plot(places, number.eigenvalues, color="#0b6e4f", lw=2, marker="o", ms=4, label="answers")
        axes.plot(places, number.reference, color="#9aa5b1", lw=1.5, ls="--", label="permuted answers, 95th percentile")
        axes.axvline(analysis.loadings.shape[1] + 0.5, color="#444444", lw=1, ls=":", label="factors taken")
        axes.set_xlabel("component")
        axes.set_ylabel(f"eigenvalue ({analysis.correlations.kind.capitalize()} correlations)")
        axes.set_ylim(bottom=0)
        axes.set_title(f"Parallel analysis finds {number.parallel}, MAP {number.map}")
        axes.legend(frameon=False)
    return result[0]


def loadings_figure(analysis: Analysis) -> str:
    """Return the loadings as a heat map, items by factors, as SVG text."""
    loadings, names = analysis.loadings, factor_ids(analysis)
    with _figure(2.5 + 0.7 * len(names), 1.5 + 0.26 * len(loadings)) as (axes, result):
        image = axes.imshow(loadings, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(loadings)), analysis.sample.item_ids)
        for i, row in enumerate(loadings):
            for m, value in enumerate(row):
                color = "white" if abs(value) > 0.6 else "black"
                axes.text(m, i, f"{round(value, 2) + 0.0:.2f}", ha="center", va="center", fontsize=8, color=color)
        axes.set_title(f"Loadings ({analysis.rotation})")
        axes.figure.colorbar(image, ax=axes, shrink=0.6)
    return result[0]


def groups_figure(rows: Sequence[GroupRow]) -> str:
    """Return the groups in the plane of the first two factors, with bars of one standard error, as SVG text."""
    with _figure(6.5, 5.5) as (axes, result):
        for row in rows:
            (x, y), (dx, dy) = row.scores[:2], row.errors[:2]
            axes.errorbar(x, y, xerr=dx, yerr=dy, fmt="o", ms=4, lw=1, color="#0b6e4f", ecolor="#9aa5b1")
            axes.annotate(row.name, (x, y), xytext=(4, 4), textcoords="offset points", fontsize=8)
        axes.set_xlabel("F1")
        axes.set_ylabel("F2")
        axes.set_title("Groups, with one standard error")
    return result[0]


@contextmanager
def _figure(width: float, height: float) -> Iterator[tuple[Any, list[str]]]:
    """Give axes to draw on, and a list that holds the SVG text afterwards."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "hofsteer", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes, result = figure.add_subplot(), [""]
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        yield axes, result
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
        result[0] = text.getvalue()
