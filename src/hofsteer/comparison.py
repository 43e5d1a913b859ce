"""Methods side by side: targets x methods x seeds on one model, every search in a run folder; `hofsteer compare`."""

import json
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hofsteer.alignment.run import RunFolder
from hofsteer.config import ModelSettings, RunConfig, preset_names, resolve, search_names
from hofsteer.errors import ConfigError, RunError, did_you_mean
from hofsteer.evaluation.cells import BASELINES, Cell, Scoring
from hofsteer.evaluation.constants import constants_of
from hofsteer.evaluation.plan import HeldOut
from hofsteer.files import replace_json
from hofsteer.instruments import Instrument, load_instrument
from hofsteer.parts import make_objective, policy_of
from hofsteer.pipeline import resume, start
from hofsteer.respondent.base import Respondent
from hofsteer.respondent.soft_prompt import SoftPrompt
from hofsteer.targets import target_for, target_name

if TYPE_CHECKING:
    from hofsteer.respondent.hf import HFRespondent

Watcher = Callable[[str, int, int], None]  # what is done, cells done, cells in all


@dataclass(frozen=True)
class Comparison:
    """What is compared."""

    targets: tuple[str, ...]  # names by which they are found: codes, or FILE.csv:GROUP as given
    methods: tuple[str, ...]  # `BASELINES`, presets, searches, `default`
    seeds: tuple[int, ...]
    settings: dict[str, Any]  # of every search, by dotted key; those without `search.` and `space.` of the scoring too
    out: Path

    def __post_init__(self) -> None:
        known = (*BASELINES, "default", *preset_names(), *search_names())
        for method in self.methods:
            if method not in known:
                raise ConfigError(f"want methods among {', '.join(known)}, got {method!r}{did_you_mean(method, known)}")

    @property
    def instrument(self) -> Instrument:
        """What all runs ask."""
        return load_instrument(self.settings.get("instrument", "vsm13"))

    @property
    def searched(self) -> tuple[str, ...]:
        """The methods that are searches."""
        return tuple(method for method in self.methods if method not in BASELINES)

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


def search_side_by_side(
    comparison: Comparison, respondent: "HFRespondent", workers: int, watch: Watcher | None = None
) -> None:
    """Finish the runs that `out` lacks in processes of their own, each with a copy of the model; `compare` finds them.

    A run is what it is one after the other, but for rounding where processes pass other batches. Each process takes its
    share of the machine's cores. What ends this early ends the processes too; the next call goes on with their runs.

    Raises:
        ConfigError: the model is not on the CPU.
        RunError: `out` holds something else, or a process was killed.
        HofsteerError: as in `compare`.
    """
    if (device := respondent.device.type) != "cpu":
        raise ConfigError(
            f"want one worker for a model on {device}, got {workers}: its copies would share the device, where one "
            "search already passes many candidates at once"
        )
    runs = [
        (method, name, code, seed)
        for code, name in targets_by_code(comparison.targets, comparison.instrument).items()
        for method in comparison.searched
        for seed in comparison.seeds
    ]
    missing = [run for run in runs if not _is_finished(*_planned(comparison, *run))]
    if not missing:
        return
    workers = min(workers, len(missing))
    waiting, done = iter(missing), 0
    with ProcessPoolExecutor(workers, get_context("spawn"), _prepare, (workers,)) as pool:

        def begin(count: int) -> set[Future[Path]]:  # no more than can run: what a pool has fetched is not cancelled
            return {pool.submit(_search_apart, comparison, respondent.settings, *run) for run in islice(waiting, count)}

        try:
            running = begin(workers)
            while running:
                ended, running = wait(running, return_when=FIRST_COMPLETED)
                for future in ended:
                    path, done = future.result(), done + 1
                    if watch is not None:
                        watch(f"searched: {path.name}", done, len(missing))
                running |= begin(len(ended))
        except BrokenProcessPool:
            raise RunError(
                f"one of {workers} search processes was killed, probably for memory: ask for fewer --workers; what the "
                "runs have so far is kept"
            ) from None
        except BaseException:
            for process in pool._processes.values():  # Python 3.14 has terminate_workers
                process.terminate()
            raise


def compare(comparison: Comparison, respondent: Respondent, watch: Watcher | None = None) -> list[Cell]:
    """Return all cells, making those that `out` does not hold yet.

    Raises:
        HofsteerError: a setting cannot be met, a model gives no usable answers, or `out` holds something else.
    """
    watch = watch or (lambda text, done, total: None)
    searched = comparison.searched
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
            cells.append(_kept(comparison.out / "cells" / f"{_file(target)}-{method}.json", scored, name, method))
            done += 1
        for method in searched:
            for seed in comparison.seeds:
                watch(f"{target}: {method}, seed {seed}", done, total)
                path = _search(comparison, respondent, method, name, target, seed)
                cells.append(scored.cell(method, seed, soft_prompts=SoftPrompt.load(path).values[None]))
                done += 1
    watch("done", done, total)
    return cells


def _scored(comparison: Comparison, name: str, respondent: Respondent) -> Scoring:
    config = comparison.scoring(name)
    objective = make_objective(config, respondent)
    constants = constants_of(policy_of(config), respondent, objective.administrations, config.read_out)
    objective = replace(objective, constants=constants)
    forms = HeldOut().forms(objective.instrument, objective.administrations)
    return Scoring(objective, replace(objective, administrations=forms), config.space.tokens)


def _kept(path: Path, scored: Scoring, name: str, method: str) -> Cell:
    """Return the cell in a file, or make it and write it there; a table elsewhere may have a group of the same code."""
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if kept.get("name") == name:
        return Cell.from_json(kept["cell"])
    cell = scored.baseline(method)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_json(path, {"name": name, "cell": cell.to_json()})
    return cell


def _file(target: str) -> str:
    """Return a target's code as part of a file name; a group may be called anything."""
    return target.replace("/", "-")


def _planned(comparison: Comparison, method: str, name: str, target: str, seed: int) -> tuple[Path, RunConfig]:
    """Return the folder and the settings of a run."""
    return comparison.out / "runs" / f"{_file(target)}-{method}-{seed}", comparison.search(method, name, seed)


def _is_finished(path: Path, config: RunConfig) -> bool:
    """Return whether a folder holds a run to its end. Raises RunError if it holds one of other settings."""
    if not (path / "config.toml").is_file():
        return False
    was = RunFolder.open(path).config()
    if (was.search, was.space, was.target) != (config.search, config.space, config.target):
        raise RunError(f"{path} was made with other settings: compare into another folder, or remove it")
    return (path / "evaluation.json").is_file()


def _search(comparison: Comparison, respondent: Respondent, method: str, name: str, target: str, seed: int) -> Path:
    """Return the folder of a finished run: that of before, or of the run gone on with or started."""
    path, config = _planned(comparison, method, name, target, seed)
    if _is_finished(path, config):
        return path
    if (path / "config.toml").is_file():
        resume(path, respondent)
    else:
        start(config.model_copy(update={"model": respondent.settings}), respondent, path)
    return path


def _search_apart(
    comparison: Comparison, settings: ModelSettings, method: str, name: str, target: str, seed: int
) -> Path:
    return _search(comparison, _loaded(settings.model_dump_json()), method, name, target, seed)


@cache
def _loaded(settings: str) -> Respondent:
    """Return the model of a process, loaded once."""
    from hofsteer.respondent.hf import HFRespondent

    return HFRespondent.load(ModelSettings.model_validate_json(settings))


def _end_with_the_main_process() -> None:
    """End this process at once when the main one is gone, killed perhaps: what its run has committed is kept."""
    main = parent_process()
    assert main is not None, "which only the main process lacks"
    main.join()
    os._exit(1)


def _prepare(workers: int) -> None:
    """Make a process ready: it ends with the main one, libraries are quiet, threads are shared out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for the main process to answer
    threading.Thread(target=_end_with_the_main_process, daemon=True).start()
    import torch

    from hofsteer.respondent.loading import quiet_libraries

    quiet_libraries()
    torch.set_num_threads(max(1, torch.get_num_threads() // workers))
