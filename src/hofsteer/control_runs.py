"""Runs for control targets: the search of a run, aimed elsewhere, so that its own aim can be judged; resumable."""

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from hofsteer.alignment.objective import forms
from hofsteer.errors import ModelError, RunError
from hofsteer.evaluation.controls import control_targets
from hofsteer.evaluation.runs import FinishedRun, open_runs
from hofsteer.files import replace_text
from hofsteer.instruments import load_instrument
from hofsteer.pipeline import resume, start
from hofsteer.respondent.base import Respondent
from hofsteer.targets import Constants, Target, countries_on, target_for

TABLE = "controls.csv"
FIRST_SEED = 1000  # of the controls' searches
NONSENSE = 4  # one control in so many is a mirror or a shuffle of the target

Watcher = Callable[[int, int], None]  # runs finished, runs in all


def search_controls(
    own: FinishedRun, respondent: Respondent, folder: Path, count: int, watch: Watcher | None = None
) -> tuple[FinishedRun, ...]:
    """Return finished runs for `count` control targets, with the settings of a run; those in the folder are used again.

    The targets are written to `controls.csv` in the folder first: countries as far from the naive scores as the target,
    and mirrors and shuffles of it (`evaluation/controls.py`).

    Raises:
        RunError: the folder holds a table of other controls, or the run matched answers and controls have scores alone.
        TargetError: there are not so many controls.
    """
    if (loss := own.config.objective.loss) != "index":
        raise RunError(
            f"controls are searched for scores, and {own.folder.name} has objective.loss = {loss!r}: give runs for "
            "other groups of its table as --controls"
        )
    table = folder / TABLE
    targets = _targets(own, respondent, count)
    text = _table(targets, str(own.provenance["constants"]["kind"]))
    if table.is_file() and table.read_text(encoding="utf-8") != text:
        raise RunError(f"{table} has other controls than these runs want: name another folder")
    if not table.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        replace_text(table, text)
    for number, target in enumerate(targets):
        if watch is not None:
            watch(number, count)
        path = folder / _name(target)
        if (path / "evaluation.json").is_file():
            continue
        if (path / "config.toml").is_file():
            resume(path, respondent)
            continue
        search = own.config.search.model_copy(update={"seed": FIRST_SEED + number})
        aim = {"target": f"{table}:{_name(target)}", "plan": None, "search": search, "model": respondent.settings}
        start(own.config.model_copy(update=aim), respondent, path)
    return open_runs([folder / _name(target) for target in targets])


def _name(target: Target) -> str:
    """Return the name of a control's folder and of its row in the table; FILE.csv:GROUP would name another table."""
    return target.code.replace(":", "-")


def _targets(own: FinishedRun, respondent: Respondent, count: int) -> tuple[Target, ...]:
    config = own.config
    instrument = load_instrument(config.instrument)
    asked = forms(instrument, config.wordings, config.orders, config.cue)
    answers = respondent.respond(asked)
    if answers.failures[0] is not None:
        raise ModelError(f"no usable answers: {answers.failures[0]}")
    constants = Constants.from_json(own.provenance["constants"])
    naive = instrument.score(answers.probabilities[0]).mean(axis=0) + constants.values
    target = target_for(config.target, instrument)
    countries = target.beside or countries_on(instrument.dimension_ids)
    nonsense = count // NONSENSE
    return control_targets(target, np.asarray(naive), countries, count - nonsense, nonsense)


def _table(targets: Sequence[Target], constants: str) -> str:
    text = io.StringIO()
    dimensions = list(dict.fromkeys(d for target in targets for d in target.scores))
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["group", "name", *dimensions, "source", "constants"])
    for target in targets:
        scores = [target.scores.get(dimension, "") for dimension in dimensions]
        writer.writerow([_name(target), target.name, *scores, "control", constants])
    return text.getvalue()
