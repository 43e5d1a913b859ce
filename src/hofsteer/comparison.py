"""Methods side by side: targets x methods x seeds on one model, every search in a run folder; `hofsteer compare`."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from hofsteer.alignment.run import RunFolder
from hofsteer.baselines import check_examples, scores_in_words
from hofsteer.config import RunConfig, preset_names, resolve, search_names
from hofsteer.errors import ConfigError, did_you_mean
from hofsteer.evaluation.cells import BASELINES, Cell, Prefix, Scoring
from hofsteer.evaluation.constants import constants_of
from hofsteer.evaluation.plan import HeldOut, Plan, departures
from hofsteer.files import replace_json
from hofsteer.instruments import Administration, Instrument, load_instrument
from hofsteer.parts import check_settings, make_objective, policy_of, questions
from hofsteer.respondent.base import Respondent
from hofsteer.respondent.soft_prompt import SoftPrompt
from hofsteer.targets import target_for, target_name

# method -> search; where a baseline has the name of a search, the search has another
SEARCHES = {f"{name}-search" if name in BASELINES else name: name for name in search_names()}

Watcher = Callable[[str, int, int], None]  # what is done, how many are done, and of how many


class Search(NamedTuple):
    """One search of a comparison."""

    method: str
    name: str  # by which the target is found
    target: str  # its code
    seed: int


@dataclass(frozen=True)
class Comparison:
    """What is compared."""

    targets: tuple[str, ...]  # names by which they are found: codes, or FILE.csv:GROUP as given
    methods: tuple[str, ...]  # `BASELINES`, presets, `SEARCHES`, `default`
    seeds: tuple[int, ...]
    settings: dict[str, Any]  # of every search, by dotted key; those without `search.` and `stop.` of the scoring too
    out: Path
    plan: Plan | None = None

    def __post_init__(self) -> None:
        known = (*BASELINES, "default", *preset_names(), *SEARCHES)
        for method in self.methods:
            if method not in known:
                raise ConfigError(f"want methods among {', '.join(known)}, got {method!r}{did_you_mean(method, known)}")

    @classmethod
    def under(cls, plan: Plan, targets: Sequence[str] | None, methods: tuple[str, ...], out: Path) -> "Comparison":
        """Return a comparison whose model, seeds, settings and held-out forms, and by default targets, a plan fixes.

        Raises:
            ConfigError: a target is not planned.
        """
        names = tuple(targets_by_code(targets or plan.targets, load_instrument(plan.instrument)).values())
        for name in names:
            plan.run_config(name, plan.seeds[0])
        fixed = {"model.id": plan.model, "instrument": plan.instrument, "constants": plan.constants}
        return cls(names, methods, plan.seeds, {**plan.settings, **fixed}, out, plan)

    @property
    def instrument(self) -> Instrument:
        """What all runs ask."""
        return load_instrument(self.settings.get("instrument", "vsm13"))

    @property
    def searched(self) -> tuple[str, ...]:
        """The methods that are searches."""
        return tuple(method for method in self.methods if method not in BASELINES)

    @cached_property
    def planned(self) -> tuple[str, ...]:
        """The methods that are the plan's own search: `default`, or the name of that search."""
        if self.plan is None:
            return ()
        own = self.plan.run_config(self.targets[0], self.seeds[0]).search.name
        return tuple(method for method in self.searched if method == "default" or SEARCHES.get(method) == own)

    @cached_property
    def searches(self) -> tuple[Search, ...]:
        """All searches."""
        names = targets_by_code(self.targets, self.instrument)
        return tuple(
            Search(method, name, code, seed)
            for code, name in names.items()
            for method in self.searched
            for seed in self.seeds
        )

    def check(self) -> None:
        """Raise HofsteerError if a setting cannot be met, before anything is asked."""
        for name in self.targets:
            target = target_for(name, self.instrument)
            if "icl" in self.methods:
                check_examples(self.instrument, target)
            if "scores-in-words" in self.methods:
                scores_in_words(target)
            self.forms(name)
            for method in self.searched:
                check_settings(self.search(method, name, self.seeds[0]))
            if not set(self.searched) - set(preset_names()):  # which look at few settings: the others are checked too
                self.search("default", name, self.seeds[0])

    def scoring(self, name: str) -> RunConfig:
        """Return the settings under which all methods are scored for a target."""
        mine = {key: value for key, value in self.settings.items() if key.split(".")[0] not in ("search", "stop")}
        return resolve(flags={**mine, "target": name})

    def search(self, method: str, name: str, seed: int) -> RunConfig:
        """Return the settings of one search: the plan's, or those of the method and over them the comparison's."""
        if self.plan is not None and method in self.planned:
            return self.plan.run_config(name, seed)
        preset = method if method in preset_names() else None
        named = {"search.name": SEARCHES[method]} if method in SEARCHES else {}
        settings = self.settings
        if preset:  # what a preset fits is its own
            settings = {key: value for key, value in settings.items() if key in ("search.budget", "instrument")}
        return resolve(preset=preset, flags={**settings, **named, "target": name, "search.seed": seed})

    def forms(self, name: str) -> tuple[tuple[Administration, ...], tuple[Administration, ...]]:
        """Return the forms that all methods are scored on: those fitted, and held-out ones, which no method fits.

        Raises:
            ConfigError: none is left, or a preset fits what the plan holds out.
        """
        fitted = questions(self.scoring(name))[0]
        tried = {method: questions(self.search(method, name, self.seeds[0]))[0] for method in self.searched}
        if self.plan is None:
            return fitted, HeldOut().forms(self.instrument, (*fitted, *chain.from_iterable(tried.values())))
        held_out = self.plan.held_out.forms(self.instrument, fitted)
        for method, forms in tried.items():
            if clash := [form for form in forms if form in held_out]:
                raise ConfigError(f"{method} fits wording {clash[0].wording}, which the plan holds out: leave it out")
        return fitted, held_out

    def folder(self, search: Search) -> Path:
        """Return the run folder of a search."""
        return self.out / "runs" / f"{_file(search.target)}-{search.method}-{search.seed}"

    def exploratory(self, opened: str | None) -> tuple[str, ...]:
        """Return why the comparison is exploratory, in words; all its searches are finished.

        Args:
            opened: when the plan's held-out data were first opened, before this comparison.
        """
        planned = [self.folder(search) for search in self.searches if search.method in self.planned]
        tables = [RunFolder.open(path).read_json("provenance.json").get("plan") or {} for path in planned]
        found = departures(self.plan, opened, tables, self.targets[0], self.seeds)  # each target is planned
        if self.plan is None:
            return found
        if beside := [method for method in self.searched if method not in self.planned]:
            found = (*found, f"the plan does not fix {', '.join(beside)}")
        if (few := len(self.targets)) < (many := len(self.plan.targets)):
            found = (*found, f"{few} of the plan's {many} targets are compared")
        return found


def targets_by_code(given: Sequence[str], instrument: Instrument) -> dict[str, str]:
    """Return the code of each target -> the name by which it is found again.

    Raises:
        TargetError: a target is not found.
        ConfigError: two tables in different folders have one file name, which would mix up what is kept of them.
    """
    names: dict[str, str] = {}
    for text in given:
        code, name = target_for(text, instrument).code, target_name(text, instrument)
        first = names.setdefault(code, name)
        if Path(first).resolve().parent != Path(name).resolve().parent:
            raise ConfigError(f"want tables of different file names, got {first} and {name}")
    return names


def compare(comparison: Comparison, respondent: Respondent, watch: Watcher | None = None) -> list[Cell]:
    """Return all cells, once all searches are finished: baselines as `out` keeps them, the rest scored now.

    Raises:
        HofsteerError: a setting cannot be met, a run is missing, or a model gives no usable answers.
    """
    watch = watch or (lambda text, done, total: None)
    asked = [method for method in comparison.methods if method in BASELINES]
    total = len(comparison.targets) * (len(asked) + len(comparison.searched) * len(comparison.seeds))
    cells: list[Cell] = []
    done = 0
    for name in comparison.targets:
        scored = _scored(comparison, name, respondent)
        target, found = scored.target, scored.without_model()
        for method in asked:
            watch(f"{target}: {method}", done, total)
            found.append(_kept(comparison.out / "cells" / f"{_file(target)}-{method}.json", scored, method))
            done += 1
        for search in comparison.searches:
            if search.target == target:
                watch(f"{target}: {search.method}, seed {search.seed}", done, total)
                soft_prompt = SoftPrompt.load(comparison.folder(search)).values[None]
                found.append(scored.cell(search.method, Prefix(soft_prompts=soft_prompt), search.seed))
                done += 1
        cells += scored.read_against(found)
    watch("done", done, total)
    return cells


def _scored(comparison: Comparison, name: str, respondent: Respondent) -> Scoring:
    config = comparison.scoring(name)
    objective = make_objective(config, respondent)
    constants = constants_of(policy_of(config), respondent, objective.administrations, config.read_out)
    objective = replace(objective, constants=constants)
    return Scoring(objective, replace(objective, administrations=comparison.forms(name)[1]), config.space.tokens)


def _kept(path: Path, scored: Scoring, method: str) -> Cell:
    """Return the cell in a file if it would be made the same way today; else make it and write it there."""
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    decides = scored.decides(method)
    if kept.get("decides") == decides:
        return Cell.from_json(kept["cell"])
    cell = scored.baseline(method)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_json(path, {"decides": decides, "cell": cell.to_json()})
    return cell


def _file(target: str) -> str:
    """Return a target's code as part of a file name; a group may be called anything."""
    return target.replace("/", "-")
