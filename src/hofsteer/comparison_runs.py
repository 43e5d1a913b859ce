"""The searches of a comparison: those that its folder holds, and those that it lacks, in this process or in several."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from itertools import islice
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hofsteer.alignment.run import RunFolder
from hofsteer.alignment.start import start_identity
from hofsteer.comparison import Comparison, Search, Watcher
from hofsteer.config import ModelSettings, RunConfig
from hofsteer.errors import ConfigError, RunError
from hofsteer.parts import make_objective, questions
from hofsteer.pipeline import resume, start
from hofsteer.record import changes, provenance_of
from hofsteer.respondent.base import Respondent
from hofsteer.tables import by_dotted_key

if TYPE_CHECKING:
    from hofsteer.respondent.hf import HFRespondent

RECORDED = ("target", "instrument", "start")  # in the provenance: a file may have changed where its name has not


def search_one_by_one(comparison: Comparison, respondent: Respondent, watch: Watcher | None = None) -> None:
    """Finish the runs that `out` lacks; an interrupted one goes on.

    Raises:
        RunError: `out` holds a run of other settings.
        HofsteerError: a setting cannot be met, or the model gives no usable answers.
    """
    missing = _missing(comparison, respondent)
    for done, search in enumerate(missing):
        if watch is not None:
            watch(f"{search.target}: {search.method}, seed {search.seed}", done, len(missing))
        _search(comparison, respondent, search)


def search_side_by_side(
    comparison: Comparison, respondent: "HFRespondent", workers: int, watch: Watcher | None = None
) -> None:
    """Finish the runs that `out` lacks in processes of their own, each with a copy of the model.

    A run is what it is one after the other, but for rounding where processes pass other batches. Each process takes its
    share of the machine's cores. What ends this early ends the processes too; the next call goes on with their runs.

    Raises:
        ConfigError: the model is not on the CPU.
        RunError: `out` holds a run of other settings, or a process was killed.
        HofsteerError: as in `search_one_by_one`.
    """
    if (device := respondent.device.type) != "cpu":
        raise ConfigError(
            f"want one worker for a model on {device}, got {workers}: its copies would share the device, where one "
            "search already passes many candidates at once"
        )
    missing = _missing(comparison, respondent)
    if not missing:
        return
    workers = min(workers, len(missing))
    waiting, done = iter(missing), 0
    with ProcessPoolExecutor(workers, get_context("spawn"), _prepare, (workers,)) as pool:

        def begin(count: int) -> set[Future[Path]]:  # no more than can run: what a pool has fetched is not cancelled
            return {pool.submit(_search_apart, comparison, respondent.settings, one) for one in islice(waiting, count)}

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


def _missing(comparison: Comparison, respondent: Respondent) -> list[Search]:
    """Return the searches that are not finished. Raises RunError if a folder holds one of other settings."""
    return [search for search in comparison.searches if not _is_finished(comparison, respondent, search)]


def _is_finished(comparison: Comparison, respondent: Respondent, search: Search) -> bool:
    path = comparison.folder(search)
    if not (path / "config.toml").is_file():
        return False
    run, config = RunFolder.open(path), comparison.search(search.method, search.name, search.seed)
    if other := next(_differences(run, config, respondent), None):
        name, want, got = other
        raise RunError(
            f"{path} was made with other settings: compare into another folder, or remove it (want {name} {want}, got "
            f"{got})"
        )
    return run.is_finished


def _differences(run: RunFolder, config: RunConfig, respondent: Respondent) -> Iterator[tuple[str, Any, Any]]:
    """Yield what a run has that these settings and this model would not give it: what it is, wanted and found.

    A model is told by its weights and template, wherever it lies. Whether a run was planned is said elsewhere.
    """
    asked, policy, _ = questions(config)
    wordings = tuple(dict.fromkeys(form.wording for form in asked))
    config = config.model_copy(update={"constants": policy, "wordings": wordings})  # as `start` settles them
    was = run.config()
    want, got = (by_dotted_key(one.model_dump(mode="json")) for one in (config, was))
    kept = [key for key in {**want, **got} if key != "plan" and not key.startswith("model.")]
    for key in sorted(kept, key=lambda key: key != "search.name"):  # its settings are those of another search
        if want.get(key) != got.get(key):
            yield key, _said(want.get(key)), _said(got.get(key))
    if respondent.settings.template != was.model.template:
        yield "model.template", respondent.settings.template, was.model.template
    dtype = respondent.conditions().get("dtype")
    if (computed := (run.environment() or {}).get("dtype", dtype)) != dtype:
        yield "model.dtype", dtype, computed
    recorded = run.read_json("provenance.json")
    now = provenance_of(config, make_objective(config, respondent), {}) | {"start": start_identity(config.space)}
    same_weights = (recorded.get("model") or {}).get("weights_sha256") == now["model"].get("weights_sha256")
    for key in (*([] if same_weights else ["model"]), *RECORDED):
        if recorded.get(key) != now[key]:
            before, after = changes(recorded.get(key), now[key])
            yield key, after, before


def _said(value: Any) -> Any:
    return "none" if value is None else value


def _search(comparison: Comparison, respondent: Respondent, search: Search) -> Path:
    """Return the folder of a run that was not finished, gone on with or started."""
    path = comparison.folder(search)
    if (path / "config.toml").is_file():
        resume(path, respondent)
    else:
        config = comparison.search(search.method, search.name, search.seed)
        start(config.model_copy(update={"model": respondent.settings}), respondent, path)
    return path


def _search_apart(comparison: Comparison, settings: ModelSettings, search: Search) -> Path:
    return _search(comparison, _loaded(settings.model_dump_json()), search)


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
