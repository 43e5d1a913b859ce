"""Methods side by side: targets x methods x seeds on one model, all scored alike, every search in a run folder.

Whatever a method fitted itself (the preset of the paper fits one form under midpoint constants), all are scored on the
same fitted forms, the same held-out forms and under the same constants.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hofsteer.alignment.objective import Objective
from hofsteer.alignment.run import RunFolder
from hofsteer.baselines import constructed_examples, persona_text, persona_texts, random_prompt, scores_in_words
from hofsteer.config import RunConfig, preset_names, resolve, search_names
from hofsteer.errors import ConfigError, ModelError, RunError, did_you_mean
from hofsteer.evaluation.constants import constants_of
from hofsteer.evaluation.floor import ideal_answers
from hofsteer.evaluation.plan import HeldOut
from hofsteer.files import replace_json
from hofsteer.instruments import Administration
from hofsteer.pipeline import make_objective, policy_of, resume, start
from hofsteer.respondent.base import Respondent, SoftPrompts
from hofsteer.respondent.soft_prompt import SoftPrompt
from hofsteer.targets import index_loss, mean_country, nearest

BASELINES = ("naive", "persona", "persona-best", "scores-in-words", "icl", "random")
WITHOUT_MODEL = ("flat", "mean-country", "nearest", "table")

Watcher = Callable[[str, int, int], None]  # what is done, cells done, cells in all


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


@dataclass(frozen=True)
class Comparison:
    """What is compared."""

    targets: tuple[str, ...]
    methods: tuple[str, ...]  # `BASELINES`, presets, searches, `default`
    seeds: tuple[int, ...]
    settings: dict[str, Any]  # of every search, by dotted key; those without `search.` and `space.` of the scoring too
    out: Path

    def __post_init__(self) -> None:
        known = (*BASELINES, "default", *preset_names(), *search_names())
        for method in self.methods:
            if method not in known:
                raise ConfigError(f"want methods among {', '.join(known)}, got {method!r}{did_you_mean(method, known)}")

    def scoring(self, target: str) -> RunConfig:
        """Return the settings under which all methods are scored for a target."""
        mine = {
            key: value for key, value in self.settings.items() if key.split(".")[0] not in ("search", "space", "stop")
        }
        return resolve(flags={**mine, "target": target})

    def search(self, method: str, target: str, seed: int) -> RunConfig:
        """Return the settings of one search: those of the method, and over them those of the comparison."""
        preset = method if method in preset_names() else None
        named = {"search.name": method} if method in search_names() else {}
        settings = self.settings
        if preset:  # what a preset fits is its own
            settings = {key: value for key, value in settings.items() if key in ("search.budget", "instrument")}
        return resolve(preset=preset, flags={**settings, **named, "target": target, "search.seed": seed})


def compare(comparison: Comparison, respondent: Respondent, watch: Watcher | None = None) -> list[Cell]:
    """Return all cells, making those that `out` does not hold yet.

    Raises:
        HofsteerError: a setting cannot be met, a model gives no usable answers, or `out` holds something else.
    """
    watch = watch or (lambda text, done, total: None)
    searched = [method for method in comparison.methods if method not in BASELINES]
    asked = [method for method in comparison.methods if method in BASELINES]
    total = len(comparison.targets) * (len(asked) + len(searched) * len(comparison.seeds))
    cells: list[Cell] = []
    done = 0
    for name in comparison.targets:
        scored = _scored(comparison, name, respondent)
        target = scored.target
        cells += scored.without_model()
        for method in asked:
            watch(f"{target}: {method}", done, total)
            cells.append(_kept(comparison.out / "cells" / f"{target}-{method}.json", scored, method))
            done += 1
        for method in searched:
            for seed in comparison.seeds:
                watch(f"{target}: {method}, seed {seed}", done, total)
                prompt = _searched(comparison, method, target, seed, respondent)
                cells.append(scored.cell(method, seed, soft_prompts=prompt))
                done += 1
    watch("done", done, total)
    return cells


@dataclass(frozen=True, eq=False)
class _Scored:
    """How every method is scored for one target."""

    fitted: Objective
    held_out: Objective
    tokens: int

    @property
    def target(self) -> str:
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
        losses, mass = [], 0.0
        for objective in (self.fitted, self.held_out):
            forms = tuple(replace(f, system=system, examples=examples) for f in objective.administrations)
            found = replace(objective, administrations=forms).evaluate(soft_prompts)
            if found.reasons[0] is not None:
                raise ModelError(f"no usable answers ({method} for {self.target}): {found.reasons[0]}")
            losses.append(float(found.losses[0]))
            mass = float(found.valid_mass[0].mean())
        return Cell(self.target, method, seed, losses[0], losses[1], mass, note)

    def baseline(self, method: str) -> Cell:
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
    """Return, by method and target, mean and deviation over seeds of the losses, and how many seeds."""
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
            }
    return found


def _scored(comparison: Comparison, name: str, respondent: Respondent) -> _Scored:
    config = comparison.scoring(name)
    objective = make_objective(config, respondent)
    constants = constants_of(policy_of(config), respondent, objective.administrations, config.read_out)
    objective = replace(objective, constants=constants)
    forms: tuple[Administration, ...] = HeldOut().forms(objective.instrument, objective.administrations)
    return _Scored(objective, replace(objective, administrations=forms), config.space.tokens)


def _kept(path: Path, scored: _Scored, method: str) -> Cell:
    """Return the cell in a file, or make it and write it there."""
    if path.is_file():
        return Cell(**json.loads(path.read_text(encoding="utf-8")))
    cell = scored.baseline(method)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_json(path, cell.__dict__)
    return cell


def _searched(comparison: Comparison, method: str, target: str, seed: int, respondent: Respondent) -> SoftPrompts:
    """Return the soft prompt (1, L, W) of a search: of its finished run, or of the run gone on with or started."""
    path = comparison.out / "runs" / f"{target}-{method}-{seed}"
    config = comparison.search(method, target, seed).model_copy(update={"model": respondent.settings})
    if (path / "config.toml").is_file():
        was = RunFolder.open(path).config()
        if (was.search, was.space, was.target) != (config.search, config.space, config.target):
            raise RunError(f"{path} was made with other settings: compare into another folder, or remove it")
        if not (path / "evaluation.json").is_file():
            resume(path, respondent)
    else:
        start(config, respondent, path)
    return SoftPrompt.load(path).values[None]
