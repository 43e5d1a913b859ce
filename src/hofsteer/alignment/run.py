"""A run folder: what is in it, and how it survives a kill at any moment.

The one commit point is `state.json`, renamed into place after the checkpoint that it names was written. Whatever lies
in the folder beyond the generation that it names did not happen: a resume cuts it off.
"""

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from hofsteer.config import FORMAT, RunConfig, check, check_table, to_toml
from hofsteer.errors import ConfigError, RunError
from hofsteer.files import append_line, dump_json, hash_bytes, hash_file, replace_bytes, replace_json
from hofsteer.search import State
from hofsteer.tables import read_toml

KEPT_CHECKPOINTS = 2
UNPOLISHED = "soft_prompt_unpolished"  # what the search found, where gradient steps followed
BEST = "soft_prompt"  # the tensor of a file of the best so far


@dataclass(frozen=True)
class Record:
    """One line of the history: a generation in numbers."""

    generation: int  # from 1
    evaluations: int  # so far
    best: float | None  # loss of the best so far, index points; None while every evaluation failed
    mean: float | None  # of this generation's losses that did not fail
    scores: dict[str, float | None] | None  # of the best so far
    valid_mass: float | None  # of the best so far, mean over items
    failed: int  # evaluations of this generation that failed
    reasons: tuple[str, ...]  # why, each reason once
    objective: float | None = None  # lowest so far, index points: what the best is best in
    drift: float | None = None  # of the best so far, nats a token; None where it is not measured
    passes: int | None = None  # forward passes so far, as `Objective.passes` counts them


@dataclass(frozen=True)
class Timing:
    """One line of the timing: what a generation took."""

    generation: int
    seconds: float


@dataclass(frozen=True)
class Committed:
    """What `state.json` says."""

    generation: int
    checkpoint: str  # its file
    sha256: str  # of that
    environment: dict[str, Any]  # where it was computed


Line = TypeVar("Line", Record, Timing)


class Restorable(Protocol):
    """A search whose states can be read back."""

    @property
    def state_type(self) -> type[Any]:
        """The class whose `from_arrays` reads a saved state."""


@dataclass(frozen=True)
class RunFolder:
    """A run on disk."""

    path: Path

    @classmethod
    def create(cls, path: Path, config: RunConfig, provenance: dict[str, Any], rendered: dict[str, Any]) -> "RunFolder":
        """Make the folder with its settings, all at once or not at all.

        Raises:
            RunError: the folder exists and is not empty, or cannot be made.
        """
        refuse_used(path)
        temporary = path.with_name(f".{path.name}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir(parents=True)
            (temporary / "config.toml").write_text(to_toml(config), encoding="utf-8")
            replace_json(temporary / "provenance.json", {"schema": 1, **provenance})
            (temporary / "rendered.json").write_text(dump_json({"schema": 1, **rendered}), encoding="utf-8")
            temporary.replace(path)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise RunError(f"cannot make the run folder {path}: {error.strerror}") from None
        return cls(path)

    def part(self, name: str) -> "RunFolder":
        """Return a part of the run that has a history and a state of its own, in a folder in it."""
        with named_write_errors(self.path, self.committed_generation()):
            (self.path / name).mkdir(exist_ok=True)
        return RunFolder(self.path / name)

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """Return the run in a folder. Raises RunError if there is none or it is of a newer format."""
        if not (path / "config.toml").is_file():
            raise RunError(f"want a run folder, but {path} has no config.toml")
        run = cls(path)
        state = run.path / "state.json"
        if state.is_file():
            run._refuse_newer(run.read_json("state.json").get("format"))
        return run

    @classmethod
    def of_adapter(cls, path: Path) -> "RunFolder | None":
        """Return the run at a path or in the folder around it, where a run keeps its adapter; None if there is none."""
        return next((cls(one) for one in (path, path.parent) if (one / "provenance.json").is_file()), None)

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.path.resolve().name

    def config(self) -> RunConfig:
        """The resolved settings. Raises RunError if they cannot be read."""
        try:
            table = read_toml(self.path / "config.toml")
            self._refuse_newer(table.get("format"))
            return check(table)
        except ConfigError as error:
            raise RunError(f"{self.path}: config.toml cannot be read: {error}") from None

    def read_json(self, name: str) -> dict[str, Any]:
        """Return one of the run's JSON files. Raises RunError if it is missing or broken."""
        try:
            table = json.loads((self.path / name).read_text(encoding="utf-8"))
        except OSError:
            raise RunError(f"{self.path} has no {name}") from None
        except ValueError as error:
            raise RunError(f"{self.path}: {name} cannot be read: {error}") from None
        if not isinstance(table, dict):
            raise RunError(f"{self.path}: {name} cannot be read: want a JSON object, got {type(table).__name__}")
        return table

    @property
    def is_finished(self) -> bool:
        """Whether the run went to its end; one that did not is gone on with by `hofsteer resume`."""
        return (self.path / "evaluation.json").is_file()  # the last thing written

    def history(self) -> list[Record]:
        """The committed generations, oldest first. Raises RunError if one of them is missing or broken."""
        return self._committed_lines("history.jsonl", Record)

    def durations(self) -> list[float]:
        """Seconds that each committed generation took. Raises RunError if one of them is missing or broken."""
        return [timing.seconds for timing in self._committed_lines("timing.jsonl", Timing)]

    def seconds(self) -> float:
        """Seconds that the committed generations took together."""
        return float(sum(self.durations()))

    def _committed_lines(self, name: str, kind: type[Line]) -> list[Line]:
        path, committed = self.path / name, self.committed_generation()
        lines = path.read_bytes().splitlines()[:committed] if path.exists() else []
        if len(lines) < committed:
            raise RunError(f"{path} has {len(lines)} lines, but {committed} generations were committed")
        try:
            return [check_table(kind, json.loads(line), f"line {number}") for number, line in enumerate(lines, 1)]
        except ValueError as error:  # a ConfigError too
            raise RunError(f"{self.path}: {name} cannot be read: {error}") from None

    def committed_generation(self) -> int:
        """The last generation that counts; 0 before the first is committed. Raises RunError if it cannot be told."""
        return 0 if (committed := self._committed()) is None else committed.generation

    def _committed(self) -> Committed | None:
        if not (self.path / "state.json").is_file():
            return None
        try:
            return check_table(Committed, self.read_json("state.json"), "state.json")
        except ConfigError as error:
            raise RunError(f"{self.path} cannot be read: {error}") from None

    def restore(self, method: Restorable) -> Any | None:
        """Cut off what was not committed and return the committed state; None if there is none.

        Raises:
            RunError: the checkpoint is missing, is not the one that was committed, or has another state's arrays.
        """
        from safetensors.numpy import load_file

        state = self._committed()
        committed = 0 if state is None else state.generation
        restored: Any | None = None
        if state is not None:
            checkpoint = self.path / state.checkpoint
            if not checkpoint.is_file():
                raise RunError(f"{self.path} lacks {checkpoint.name}, which state.json names")
            if hash_file(checkpoint) != state.sha256:
                raise RunError(f"{checkpoint} is not what state.json committed: its SHA-256 differs")
            try:
                restored = method.state_type.from_arrays(load_file(checkpoint))
            except ValueError:
                raise RunError(
                    f"{self.path} was made by another version of this search and cannot be gone on with: start the run "
                    "again in another folder, or remove it"
                ) from None
        with named_write_errors(self.path, committed):
            for name in ("history.jsonl", "timing.jsonl"):
                _keep_lines(self.path / name, committed)
            self._drop_checkpoints(committed)
            for generation, path in self._numbered("best"):
                if generation > committed:
                    path.unlink()
        return restored

    def environment(self) -> dict[str, Any] | None:
        """Where the committed state was computed; None before the first commit."""
        return None if (committed := self._committed()) is None else committed.environment

    def points(self) -> list[tuple[Record, NDArray[np.float32]]]:
        """Return the committed generations whose best soft prompt (L, W) was kept, oldest first, each with it.

        Raises:
            RunError: one of them cannot be read.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        history, found = self.history(), []
        for generation, path in sorted(self._numbered("best")):
            if generation <= len(history):
                try:
                    found.append((history[generation - 1], load_file(path)[BEST]))
                except (OSError, KeyError, SafetensorError) as error:
                    raise RunError(f"{path} cannot be read: {error}") from None
        return found

    def commit(
        self,
        state: State,
        record: Record,
        seconds: float,
        environment: dict[str, Any],
        best: NDArray[np.float32] | None = None,
    ) -> None:
        """Add a generation. After a kill anywhere in here the run is as before, or as after.

        Args:
            state: of the search.
            record: of the generation.
            seconds: that it took.
            environment: where it was computed.
            best: the best soft prompt so far (L, W), if it is to be kept beyond the last checkpoints.

        Raises:
            RunError: the disk is full, or cannot be written for another reason.
        """
        with named_write_errors(self.path, record.generation - 1):
            self._commit(state, record, seconds, environment, best)

    def _commit(
        self,
        state: State,
        record: Record,
        seconds: float,
        environment: dict[str, Any],
        best: NDArray[np.float32] | None,
    ) -> None:
        from safetensors.numpy import save

        append_line(self.path / "history.jsonl", record.__dict__)
        append_line(self.path / "timing.jsonl", {"generation": record.generation, "seconds": round(seconds, 4)})
        if best is not None:
            kept = save({BEST: np.asarray(best, dtype=np.float32, order="C")})
            replace_bytes(self.path / f"best-{record.generation}.safetensors", kept)
        checkpoint = self.path / f"checkpoint-{record.generation}.safetensors"
        replace_bytes(checkpoint, save({name: np.asarray(array, order="C") for name, array in state.arrays().items()}))
        replace_json(
            self.path / "state.json",
            {
                "format": FORMAT,
                "generation": record.generation,
                "checkpoint": checkpoint.name,
                "sha256": hash_file(checkpoint),
                "environment": environment,
            },
        )
        self._drop_checkpoints(record.generation)

    def _drop_checkpoints(self, committed: int) -> None:
        """Delete all checkpoints but the last ones up to the committed generation."""
        for generation, old in self._numbered("checkpoint"):
            if not committed - KEPT_CHECKPOINTS < generation <= committed:
                old.unlink()

    def _numbered(self, name: str) -> list[tuple[int, Path]]:
        """Return the files of a name that are of one generation each, with its number."""
        paths = [(path.stem.removeprefix(f"{name}-"), path) for path in self.path.glob(f"{name}-*.safetensors")]
        return [(int(number), path) for number, path in paths if number.isdigit()]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from going on with the same run. Raises RunError if one does already."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise RunError(f"{self.path} is in use by another process; wait for it or stop it") from None
        finally:
            os.close(descriptor)  # which also unlocks

    def _refuse_newer(self, found: Any) -> None:
        if found != FORMAT:
            raise RunError(f"{self.path} is a run of format {found}, and this hofsteer reads format {FORMAT}")


@contextmanager
def named_write_errors(path: Path, generation: int) -> Iterator[None]:
    """Turn a failure to write into a RunError that says where the run stands."""
    try:
        yield
    except OSError as error:
        advice = "free some space and resume" if error.errno == errno.ENOSPC else "resume once it can be written"
        stands = f"the run stands at generation {generation}, {advice}" if generation else "no generation was finished"
        raise RunError(f"cannot write to {path}: {error.strerror}; {stands}") from error


def refuse_used(path: Path) -> None:
    """Raise RunError if a run cannot be started in this folder."""
    if path.resolve() == Path.cwd():
        raise RunError(f"want a folder of its own for the run, got the current one, {path}")
    if path.is_dir() and any(path.iterdir()):
        what = "already holds a run; resume it or choose" if (path / "config.toml").exists() else "is not empty; choose"
        raise RunError(f"{path} {what} another folder")
    if path.exists() and not path.is_dir():
        raise RunError(f"{path} is a file; choose another folder")


def free_folder(parent: Path, name: str) -> Path:
    """Return the first of `name`, `name-2`, `name-3`, ... in `parent` that no run uses."""
    path, number = parent / name, 1
    while path.exists():
        number += 1
        path = parent / f"{name}-{number}"
    return path


def rendered_hash(rendered: dict[str, Any]) -> str:
    """Return the SHA-256 of rendered administrations."""
    return hash_bytes(dump_json(rendered).encode())


def _keep_lines(path: Path, count: int) -> None:
    """Cut a file after its first `count` whole lines."""
    if not path.exists():
        return
    data = path.read_bytes()
    lines = data.split(b"\n")[:-1][:count]
    if len(lines) < count:
        raise RunError(f"{path} has {len(lines)} whole lines, but {count} generations were committed")
    kept = sum(len(line) + 1 for line in lines)
    if kept == len(data):
        return
    with path.open("r+b") as file:
        file.truncate(kept)
        os.fsync(file.fileno())
