"""The cells of a comparison: one method for one target from one seed, and how baselines are scored.

Whatever a method fitted itself (the preset of the paper fits one form under midpoint constants), all are scored on the
same fitted forms, the same held-out forms and under the same constants.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hofsteer.alignment.objective import Objective
from hofsteer.baselines import constructed_examples, persona_text, persona_texts, random_prompt, scores_in_words
from hofsteer.errors import ModelError
from hofsteer.evaluation.floor import ideal_answers
from hofsteer.respondent.base import SoftPrompts
from hofsteer.targets import ITEM_LOSSES, index_loss, mean_country, nearest

BASELINES = ("naive", "persona", "persona-best", "scores-in-words", "icl", "random")


@dataclass(frozen=True)
class Cell:
    """One method for one target, from one seed."""

    target: str  # code
    method: str
    seed: int | None  # None for what has none
    fitted: float  # points, on the fitted forms
    held_out: float | None  # points, on the held-out forms; None for rows without a model
    valid_mass: float | None  # on the held-out forms
    note: str = ""  # what was chosen or constructed
    held_out_forms: tuple[float, ...] = ()  # (F,), points, on each held-out form; nothing for rows without a model
    item_losses: Mapping[str, float] = field(default_factory=dict)  # kind -> on the held-out forms, where it is known

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> "Cell":
        """Return the cell that `to_json` made a table of. Raises TypeError if a column is missing or unknown."""
        return cls(**{**table, "held_out_forms": tuple(table["held_out_forms"])})

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**self.__dict__, "held_out_forms": list(self.held_out_forms), "item_losses": dict(self.item_losses)}

    def to_row(self) -> dict[str, Any]:
        """Return it as a line of `cells.csv`."""
        columns = ("target", "method", "seed", "fitted", "held_out", "valid_mass", "note")
        items: dict[str, Any] = {kind: self.item_losses.get(kind) for kind in ITEM_LOSSES}
        return {**{name: getattr(self, name) for name in columns}, **items}


@dataclass(frozen=True, eq=False)
class Scoring:
    """How every method is scored for one target: the same forms and constants, whatever it fitted."""

    fitted: Objective
    held_out: Objective
    tokens: int

    @property
    def target(self) -> str:
        """The code of the target."""
        assert self.fitted.target is not None
        return self.fitted.target.code

    def cell(
        self,
        method: str,
        seed: int | None = None,
        system: str | None = None,
        examples: tuple[tuple[str, int], ...] = (),
        soft_prompts: SoftPrompts | None = None,
        note: str = "",
    ) -> Cell:
        """Return the losses of the model behind a soft prompt (1, L, W), a system text or examples, or as it is."""
        assert self.fitted.target is not None
        goal = self.fitted.target.vector(self.fitted.instrument.dimension_ids)
        found = []
        for objective in (self.fitted, self.held_out):
            forms = tuple(replace(f, system=system, examples=examples) for f in objective.administrations)
            answered = replace(objective, administrations=forms).evaluate(soft_prompts)
            if answered.reasons[0] is not None:
                raise ModelError(f"no usable answers ({method} for {self.target}): {answered.reasons[0]}")
            found.append(answered)
        fitted, held_out = found
        return Cell(
            target=self.target,
            method=method,
            seed=seed,
            fitted=float(fitted.losses[0]),
            held_out=float(held_out.losses[0]),
            valid_mass=float(held_out.valid_mass[0].mean()),
            note=note,
            held_out_forms=tuple(index_loss(held_out.form_scores[0], goal).tolist()),
            item_losses={kind: float(loss[0]) for kind, loss in held_out.item_losses.items()},
        )

    def baseline(self, method: str) -> Cell:
        """Return the cell of one of `BASELINES`."""
        target, instrument = self.fitted.target, self.fitted.instrument
        assert target is not None
        match method:
            case "naive":
                return self.cell(method)
            case "persona":
                return self.cell(method, system=persona_text(target))
            case "scores-in-words":
                return self.cell(method, system=scores_in_words(target))
            case "random":
                return self.cell(method, soft_prompts=random_prompt(self.fitted.respondent, self.tokens, 0))
            case "icl":
                answers = ideal_answers(instrument, self.fitted.constants, target)
                means = instrument.item_means(answers)
                examples = constructed_examples(instrument, self.fitted.constants, target, means)
                said = "examples constructed from the published scores"
                return self.cell(method, system=persona_text(target), examples=examples, note=said)
            case _:  # persona-best: the text with the lowest loss on the fitted forms
                found = [self.cell(method, system=text, note=text) for text in persona_texts(target)]
                return min(found, key=lambda cell: cell.fitted)

    def without_model(self) -> list[Cell]:
        """Return the reference rows that no model answers: flat, mean-country, table and nearest."""
        target, instrument = self.fitted.target, self.fitted.instrument
        assert target is not None
        goal = target.vector(instrument.dimension_ids)
        constants = self.fitted.constants.values
        neighbour, distance = nearest(target, instrument.dimension_ids)
        table = instrument.score(ideal_answers(instrument, self.fitted.constants, target)) + constants
        rows = {
            "flat": (instrument.score_means(instrument.neutral_means) + constants, "neutral answers throughout"),
            "mean-country": (mean_country(instrument.dimension_ids, leaving_out=target), "of the other countries"),
            "table": (table, "free answer odds for every item: no model, no culture"),
        }
        cells = [
            Cell(self.target, name, None, float(index_loss(scores, goal)), None, None, note)
            for name, (scores, note) in rows.items()
        ]
        return [*cells, Cell(self.target, "nearest", None, distance, None, None, neighbour.name)]


def summary(cells: Sequence[Cell]) -> dict[str, dict[str, dict[str, float | int | None]]]:
    """Return, by method and target, mean and deviation over seeds of the losses, how many seeds, and item losses."""
    found: dict[str, dict[str, dict[str, float | int | None]]] = {}
    for method in dict.fromkeys(cell.method for cell in cells):
        for target in dict.fromkeys(cell.target for cell in cells):
            mine = [cell for cell in cells if (cell.method, cell.target) == (method, target)]
            if not mine:
                continue
            fitted = np.array([cell.fitted for cell in mine])
            held_out = [cell.held_out for cell in mine if cell.held_out is not None]
            found.setdefault(method, {})[target] = {
                "fitted": float(fitted.mean()),
                "held_out": float(np.mean(held_out)) if held_out else None,
                "deviation": float(np.std(held_out, ddof=1)) if len(held_out) > 1 else None,
                "seeds": len(mine),
                **{kind: float(np.mean([c.item_losses[kind] for c in mine])) for kind in mine[0].item_losses},
            }
    return found
