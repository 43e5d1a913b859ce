"""Runs for control targets: the search of a run, aimed elsewhere, so that its own aim can be judged; resumable."""

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hofsteer.alignment.objective import forms
from hofsteer.alignment.run import RunFolder
from hofsteer.config import RunConfig, settings_apart
from hofsteer.errors import ModelError, RunError
from hofsteer.evaluation.controls import control_targets
from hofsteer.evaluation.finished import FinishedRun, open_runs
from hofsteer.files import replace_text, short_hash
from hofsteer.instruments import load_instrument
from hofsteer.pipeline import resume, start
from hofsteer.respondent.base import Respondent
from hofsteer.targets import Constants, Target, countries_on, target_for

TABLE = "controls.csv"
FIRST_SEED = 1000  # of the controls' searches
PLACE = ("target", "preset", "plan", "model")  # settings of where and under what name a run is made
NONSENSE = 4  # one control in so many is a mirror or a shuffle of the target

Watcher = Callable[[int, int], None]  # runs finished, runs in all


def search_controls(
    own: FinishedRun, respondent: Respondent, folder: Path, count: int, watch: Watcher | None = None
) -> tuple[FinishedRun, ...]:
    """Return finished runs for `count` control targets, with the settings of a run; those in the folder are used again.

    The targets are written to `controls.csv` in the folder first: countries as far from the naive scores as the target,
    and mirrors and shuffles of it (`evaluation/controls.py`).

    Raises:
        RunError: the folder holds a table of other controls or a run of other settings, or the run matched answers and
            controls have scores alone.
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
    configs = [_config(own, respondent, table, target, FIRST_SEED + number) for number, target in enumerate(targets)]
    paths = [folder / _name(target) for target in targets]
    for path, config in zip(paths, configs, strict=True):
        _check_kept(path, config, own)
    open_runs([path for path in paths if RunFolder(path).is_finished])  # refuses a broken one before any search
    if not table.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        replace_text(table, text)
    for number, (path, config) in enumerate(zip(paths, configs, strict=True)):
        if watch is not None:
            watch(number, count)
        if RunFolder(path).is_finished:
            continue
        if (path / "config.toml").is_file():
            resume(path, respondent)
        else:
            start(config, respondent, path)
    return open_runs(paths)


def _name(target: Target) -> str:
    """Return the name of a control's folder and of its row in the table; FILE.csv:GROUP would name another table."""
    return target.code.replace(":", "-")


def _config(own: FinishedRun, respondent: Respondent, table: Path, target: Target, seed: int) -> RunConfig:
    """Return the settings of a control's search: those of the run, but for the aim and the seed."""
    search = own.config.search.model_copy(update={"seed": seed})
    aim = {"target": f"{table}:{_name(target)}", "plan": None, "search": search, "model": respondent.settings}
    return own.config.model_copy(update=aim)


def _check_kept(path: Path, wanted: RunConfig, own: FinishedRun) -> None:
    """Raise RunError if a folder holds a run of another target, model or setting than would be started in it."""
    if not (path / "config.toml").is_file():
        return
    run = RunFolder.open(path)
    kept = run.config()
    apart = {
        name: both
        for name, both in settings_apart(kept, wanted).items()
        if name.partition(".")[0] not in PLACE or name == "model.template"
    }
    apart["target"] = Path(kept.target).name, Path(wanted.target).name  # the folder may have moved
    apart["model"] = _model(run.read_json("provenance.json")), _model(own.provenance)
    for name, (was, now) in apart.items():
        if was != now:
            raise RunError(f"{path} is a run with another {name}: want {now!r}, got {was!r}; name another folder")


def _model(provenance: dict[str, Any]) -> str:
    model = provenance.get("model") or {}
    return f"{model.get('id')} of weights {short_hash(model.get('weights_sha256'))}"


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
