"""The cells of a comparison: one method for one target from one seed, and how baselines are scored.

Whatever a method fitted itself (the preset of the paper fits one form under midpoint constants), all are scored on the
same fitted forms, the same held-out forms and under the same constants.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from hofsteer.alignment.objective import Evaluation, Objective
from hofsteer.alignment.run import rendered_hash
from hofsteer.baselines import constructed_examples, persona_text, persona_texts, random_prompt, scores_in_words
from hofsteer.errors import ModelError
from hofsteer.evaluation.floor import ideal_answers
from hofsteer.files import dump_json, hash_bytes
from hofsteer.instruments import Administration
from hofsteer.respondent.base import SoftPrompts
from hofsteer.targets import ITEM_LOSSES, index_loss, item_noise_floors, mean_country, nearest

LISTS = ("held_out_forms", "held_out_wordings", "held_out_errors")  # of a cell
BASELINES = ("naive", "persona", "persona-best", "scores-in-words", "icl", "random")
INDEX = "index"  # beside `ITEM_LOSSES`: the loss of scores


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
    held_out_wordings: tuple[int, ...] = ()  # (F,), of these forms
    held_out_errors: tuple[float | None, ...] = ()  # (M,), points, score less target, mean over these forms; None: none
    item_losses: Mapping[str, float] = field(default_factory=dict)  # kind -> on the held-out forms, where it is known
    skill: float | None = None  # 1 - loss / loss of the mean country; of the held-out loss where there is one
    noise_floors: Mapping[str, float] = field(default_factory=dict)  # of the target: `INDEX` and kinds of item loss

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> "Cell":
        """Return the cell that `to_json` made a table of. Raises TypeError if a column is missing or unknown."""
        return cls(**{**table, **{name: tuple(table[name]) for name in LISTS}})

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        lists = {name: list(getattr(self, name)) for name in LISTS}
        tables = {name: dict(getattr(self, name)) for name in ("item_losses", "noise_floors")}
        return {**self.__dict__, **lists, **tables}

    def to_row(self) -> dict[str, Any]:
        """Return it as a line of `cells.csv`."""
        columns = ("target", "method", "seed", "fitted", "held_out", "skill", "noise_floor", "valid_mass", "note")
        known = {**self.__dict__, "noise_floor": self.noise_floors.get(INDEX)}
        return {**{name: known[name] for name in columns}, **{kind: self.item_losses.get(kind) for kind in ITEM_LOSSES}}


@dataclass(frozen=True, eq=False)
class Prefix:
    """What stands before the survey: a system text, examples or a soft prompt (1, L, W), or nothing."""

    system: str | None = None
    examples: tuple[tuple[str, int], ...] = ()
    soft_prompts: SoftPrompts | None = None
    note: str = ""  # what was chosen or constructed

    def before(self, form: Administration) -> Administration:
        """Return a form with the text, if there is one, in place of its own, and the examples."""
        return replace(form, system=form.system if self.system is None else self.system, examples=self.examples)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values, of a soft prompt its hash."""
        values = self.soft_prompts
        sha256 = None if values is None else hash_bytes(np.asarray(values, dtype=np.float32).tobytes())
        return {"system": self.system, "examples": self.examples, "soft_prompt_sha256": sha256, "note": self.note}


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

    def cell(self, method: str, prefix: Prefix, seed: int | None = None) -> Cell:
        """Return the losses of the model behind a prefix."""
        assert self.fitted.target is not None
        goal = self.fitted.target.vector(self.fitted.instrument.dimension_ids)
        fitted, held_out = (self._answered(objective, method, prefix) for objective in (self.fitted, self.held_out))
        return Cell(
            target=self.target,
            method=method,
            seed=seed,
            fitted=float(fitted.losses[0]),
            held_out=float(held_out.losses[0]),
            valid_mass=float(held_out.valid_mass[0].mean()),
            note=prefix.note,
            held_out_forms=tuple(index_loss(held_out.form_scores[0], goal).tolist()),
            held_out_wordings=tuple(form.wording for form in self.held_out.administrations),
            held_out_errors=tuple(None if np.isnan(e) else float(e) for e in held_out.scores[0] - goal),
            item_losses={kind: float(loss[0]) for kind, loss in held_out.item_losses.items()},
        )

    def prefixes(self, method: str) -> tuple[Prefix, ...]:
        """Return what one of `BASELINES` puts before the survey; of several that with the lowest fitted loss counts."""
        target, instrument = self.fitted.target, self.fitted.instrument
        assert target is not None
        match method:
            case "naive":
                return (Prefix(),)
            case "persona":
                return (Prefix(persona_text(target)),)
            case "scores-in-words":
                return (Prefix(scores_in_words(target)),)
            case "random":
                return (Prefix(soft_prompts=random_prompt(self.fitted.respondent, self.tokens, 0)),)
            case "icl":
                answers = ideal_answers(instrument, self.fitted.constants, target)
                means = instrument.item_means(answers)
                examples = constructed_examples(instrument, self.fitted.constants, target, means)
                said = "examples constructed from the published scores"
                return (Prefix(persona_text(target), examples, note=said),)
            case "persona-best":
                return tuple(Prefix(text, note=text) for text in persona_texts(target))
            case _:
                raise ValueError(f"want one of {', '.join(BASELINES)}, got {method!r}")

    def baseline(self, method: str) -> Cell:
        """Return the cell of one of `BASELINES`."""
        first, *others = self.prefixes(method)
        if not others:
            return self.cell(method, first)
        losses = {prefix: self._answered(self.fitted, method, prefix).losses[0] for prefix in (first, *others)}
        return self.cell(method, min(losses, key=lambda prefix: losses[prefix]))

    def _answered(self, objective: Objective, method: str, prefix: Prefix) -> Evaluation:
        forms = tuple(map(prefix.before, objective.administrations))
        answered = replace(objective, administrations=forms).evaluate(prefix.soft_prompts)
        if answered.reasons[0] is not None:
            raise ModelError(f"no usable answers ({method} for {self.target}): {answered.reasons[0]}")
        return answered

    def decides(self, method: str) -> dict[str, Any]:
        """Return all that the cell of one of `BASELINES` depends on, as JSON values: what a kept cell is known by.

        Constants are rounded, as they rest on answers that may differ in their last digits. Rendered are the forms
        behind the first prefix, which tells tokenizers, chat templates and their arguments apart.
        """
        target, instrument, respondent = self.fitted.target, self.fitted.instrument, self.fitted.respondent
        assert target is not None
        prefixes, forms = self.prefixes(method), (self.fitted.administrations, self.held_out.administrations)
        rendered = [respondent.rendered(prefixes[0].before(form)) for asked in forms for form in asked]
        constants = self.fitted.constants
        record = {
            "columns": [one.name for one in fields(Cell)],
            "model": respondent.identity(),
            "rendered_sha256": rendered_hash(
                {"administrations": [one.to_json() for one in rendered if one is not None]}
            ),
            "instrument": {"id": instrument.id, "sha256": instrument.hash},
            "target": {
                "code": target.code,
                "scores": dict(target.scores),
                "items_sha256": None if target.items is None else target.items.sha256,
            },
            "constants": {"kind": constants.kind, "values": np.round(constants.values, 3).tolist()},
            "read_out": self.fitted.read_out.model_dump(mode="json"),
            "fitted": [_settings(form) for form in forms[0]],
            "held_out": [_settings(form) for form in forms[1]],
            "before": [prefix.to_json() for prefix in prefixes],
        }
        return dict(json.loads(dump_json(record)))  # as it is read back

    def read_against(self, cells: Iterable[Cell]) -> list[Cell]:
        """Return cells of the target with their skill and its noise floors."""
        target, dimensions = self.fitted.target, self.fitted.instrument.dimension_ids
        assert target is not None
        mean = float(index_loss(mean_country(dimensions, leaving_out=target), target.vector(dimensions)))
        items = {} if self.fitted.item_goal is None else item_noise_floors(self.fitted.item_goal)
        floors = {INDEX: self.fitted.noise_floor, **items}
        return [replace(cell, skill=_skill(cell, mean), noise_floors=floors) for cell in cells]

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
    """Return, by method and target, losses with their deviation, skill and item losses, means over seeds."""
    found: dict[str, dict[str, dict[str, float | int | None]]] = {}
    for method in dict.fromkeys(cell.method for cell in cells):
        for target in dict.fromkeys(cell.target for cell in cells):
            mine = [cell for cell in cells if (cell.method, cell.target) == (method, target)]
            if not mine:
                continue
            fitted = np.array([cell.fitted for cell in mine])
            held_out = [cell.held_out for cell in mine if cell.held_out is not None]
            skills = [cell.skill for cell in mine if cell.skill is not None]
            found.setdefault(method, {})[target] = {
                "fitted": float(fitted.mean()),
                "held_out": float(np.mean(held_out)) if held_out else None,
                "deviation": float(np.std(held_out, ddof=1)) if len(held_out) > 1 else None,
                "skill": float(np.mean(skills)) if skills else None,
                "seeds": len(mine),
                **{kind: float(np.mean([c.item_losses[kind] for c in mine])) for kind in mine[0].item_losses},
            }
    return found


def _skill(cell: Cell, mean_loss: float) -> float | None:
    """Return how much nearer than the mean country a cell is; None where that one is at the target."""
    loss = cell.fitted if cell.held_out is None else cell.held_out
    return 1 - loss / mean_loss if mean_loss > 0 else None


def _settings(form: Administration) -> dict[str, Any]:
    """Return what a form is but for its instrument and examples."""
    return {name: value for name, value in form.__dict__.items() if name not in ("instrument", "examples")}
