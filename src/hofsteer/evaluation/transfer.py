"""Fit and carry-over along a search: does G on other instruments rise with the fit, or peak and fall?

A search that goes on may fit the items it asks at the cost of everything else. The best soft prompts that a run kept at
powers of two of its evaluations, and the one it ended with, are asked what no search looked at. That is for reading: a
budget chosen by it would leave nothing held out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hofsteer.alignment.run import UNPOLISHED, RunFolder
from hofsteer.errors import RunError
from hofsteer.evaluation.evidence import Question, answers_to, gain
from hofsteer.evaluation.statistics import Mean, mean_over_seeds
from hofsteer.instruments.base import Floats
from hofsteer.respondent.base import Respondent
from hofsteer.respondent.soft_prompt import SoftPrompt
from hofsteer.targets import index_loss

LEVEL = 0.95
SoftPromptRows = NDArray[np.float32]  # (L, W)


@dataclass(frozen=True, eq=False)
class Along:
    """What one search kept on its way."""

    points: Mapping[int, tuple[float | None, SoftPromptRows]]  # evaluations -> fitted loss in points, soft prompt
    evaluations: int  # at its end
    best: float | None  # fitted loss at its end, points
    end: SoftPromptRows  # what it found, before gradient steps that may have followed


@dataclass(frozen=True)
class Shape:
    """How G moves along the searches, by rule.

    It `falls` where at some point before the end it is higher than at the end, the bound of Bonferroni's one-sided t
    intervals over seeds being on that side; else it `rises` where the end is above the first point by such a bound, of
    that one comparison; else it is `undecided`.
    """

    word: Literal["rises", "falls", "undecided"]
    since: (
        int  # evaluations of the point that the end is compared with: the highest of those it fell from, or the first
    )
    difference: Mean  # of G, the end less that point
    bound: float  # one-sided, on the side of the word; for `undecided` the lower one; infinite below three seeds


@dataclass(frozen=True, eq=False)
class Transfer:
    """S searches at T points that all of them have, the last of which is the end."""

    evaluations: tuple[int, ...]  # (T,); at the end those of the longest search
    fitted: Floats  # (S, T), loss on the fitted forms as the search saw it, points
    held_out: Floats  # (S, T), loss on the held-out forms, points
    gains: Mapping[str, Floats]  # other instrument -> G (S, T)

    def shape(self, name: str) -> Shape:
        """Return how G on an instrument moves from point to point."""
        gains, n_before = self.gains[name], len(self.evaluations) - 1
        moves = [mean_over_seeds(gains[:, -1] - gains[:, t]) for t in range(n_before)]
        level = 1 - (1 - LEVEL) / n_before
        if fell := [t for t in range(n_before) if moves[t].upper(level) < 0]:
            peak = max(fell, key=lambda t: float(gains[:, t].mean()))
            return Shape("falls", self.evaluations[peak], moves[peak], moves[peak].upper(level))
        lower = moves[0].lower(LEVEL)
        return Shape("rises" if lower > 0 else "undecided", self.evaluations[0], moves[0], lower)

    def to_json(self) -> dict[str, Any]:
        """Return the points as JSON values, seeds by points."""
        shapes = {name: self.shape(name) for name in self.gains}
        return {
            "evaluations": list(self.evaluations),
            "fitted": self.fitted.tolist(),
            "held_out": self.held_out.tolist(),
            "gains": {name: gains.tolist() for name, gains in self.gains.items()},
            "shapes": {
                name: {
                    "word": shape.word,
                    "since": shape.since,
                    "difference": shape.difference.value,
                    "bound": shape.bound if np.isfinite(shape.bound) else None,
                }
                for name, shape in shapes.items()
            },
        }


def read_along(run: RunFolder, soft_prompt: SoftPrompt) -> Along:
    """Return what a finished run kept along its search.

    Args:
        run: the run.
        soft_prompt: its own, whose shape all have.

    Raises:
        RunError: its state, its history or a point is missing or broken.
        SoftPromptError: what the search found before gradient steps cannot be read.
    """
    if not (history := run.history()):
        raise RunError(f"{run.path} has no state.json, which says how far its search went")
    kept = run.points()
    end = SoftPrompt.load(path) if (path := run.path / UNPOLISHED).is_dir() else soft_prompt  # what the search found
    named = {f"best-{record.generation}.safetensors": values for record, values in kept} | {UNPOLISHED: end.values}
    wanted = soft_prompt.values.shape
    for name, values in named.items():
        finite = bool(np.isfinite(values).all())
        if values.shape != wanted or not finite:
            raise RunError(
                f"{run.path / name}: want finite rows of shape {wanted}, as the soft prompt's are, got "
                f"{'' if finite else 'NaN or infinite ones of '}shape {values.shape}"
            )
    points = {record.evaluations: (record.best, values) for record, values in kept}
    return Along(points, history[-1].evaluations, history[-1].best, end.values)


def measure_transfer(respondent: Respondent, runs: Sequence[Along], question: Question) -> Transfer | None:
    """Return fit and carry-over of S finished runs at the points that all of them kept; None if there is none.

    Raises:
        ModelError: the answers at a point cannot be used.
    """
    shared = set.intersection(*(set(run.points) for run in runs))
    before = sorted(shared - {run.evaluations for run in runs})
    if not before:
        return None
    prompts = np.stack([[*(run.points[e][1] for e in before), run.end] for run in runs])
    fitted = [[*(run.points[e][0] for e in before), run.best] for run in runs]
    flat, shape = prompts.reshape(-1, *prompts.shape[2:]), prompts.shape[:2]
    instrument, constants = question.instrument, next(iter(question.constants.values()))
    scores = instrument.score(answers_to(respondent, question.held_out, flat).probabilities) + constants.values
    losses = index_loss(scores, question.target.vector(instrument.dimension_ids)).mean(axis=1)
    gains = {name: gain(respondent, flat, place, name).reshape(shape) for name, place in question.elsewhere.items()}
    return Transfer(
        evaluations=(*before, max(run.evaluations for run in runs)),
        fitted=np.array(fitted, dtype=np.float64),
        held_out=np.asarray(losses.reshape(shape)),
        gains=gains,
    )
