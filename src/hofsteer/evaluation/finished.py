"""Finished runs, read and checked: whatever an evaluation needs of their folders, before a model is asked anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from hofsteer.alignment.run import RunFolder
from hofsteer.config import RunConfig, check_table
from hofsteer.errors import ConfigError, RunError
from hofsteer.evaluation.transfer import Along, read_along
from hofsteer.respondent.soft_prompt import SoftPrompt
from hofsteer.targets import Constants

PROVENANCE = "provenance.json"


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """One run with its soft prompt."""

    folder: RunFolder
    config: RunConfig
    provenance: dict[str, Any]
    soft_prompt: SoftPrompt

    @property
    def target(self) -> str:
        """The code of its target."""
        return str(self.provenance["target"]["code"])

    def along(self) -> Along:
        """Return what it kept along its search. Raises RunError if that cannot be read."""
        return read_along(self.folder, self.soft_prompt)


def open_runs(paths: Sequence[Path], along: bool = False) -> tuple[FinishedRun, ...]:
    """Return the finished runs at paths: run folders, or folders of them.

    Args:
        paths: each as often as one likes.
        along: whether what they kept along their searches is needed, and is read for a check.

    Raises:
        RunError: there is no run, one is not finished, or a file that is needed is missing or broken.
        SoftPromptError: a soft prompt cannot be read.
    """
    found: list[Path] = []
    for path in paths:
        if (path / "config.toml").is_file():
            found.append(path)
        elif inside := sorted(child.parent for child in path.glob("*/config.toml")):
            found += inside
        else:
            raise RunError(
                f"want a run folder or a folder of runs, but {path} has no config.toml, nor has one inside it"
            )
    runs = tuple(map(_open, dict.fromkeys(path.resolve() for path in found)))
    if along:
        for run in runs:
            run.along()
    return runs


class _Named(BaseModel):
    id: str


class _Aimed(BaseModel):
    code: str


class _Planned(BaseModel):
    hash: str
    started: str  # UTC, ISO 8601


class _Provenance(BaseModel):
    """What is read of a run's provenance."""

    model: _Named
    instrument: _Named
    target: _Aimed
    constants: dict[str, Any]
    other_constants: list[dict[str, Any]] = []
    plan: _Planned | None = None


def _open(path: Path) -> FinishedRun:
    folder = RunFolder.open(path)
    if not folder.is_finished:
        raise RunError(f"{path} has no evaluation.json: the run is not finished; go on with hofsteer resume {path}")
    if not (path / "soft_prompt").is_dir():
        raise RunError(f"{path} has no soft prompt: make it again with hofsteer resume {path}")
    return FinishedRun(folder, folder.config(), _provenance(folder), SoftPrompt.load(path))


def _provenance(folder: RunFolder) -> dict[str, Any]:
    table = folder.read_json(PROVENANCE)
    try:
        check_table(_Provenance, table, PROVENANCE)
    except ConfigError as error:
        raise RunError(f"{folder.path} cannot be read: {error}") from None
    try:
        for constants in (table["constants"], *table.get("other_constants", [])):
            Constants.from_json(constants)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{folder.path} cannot be read: {PROVENANCE}: want constants, got {error!r}") from None
    return table
