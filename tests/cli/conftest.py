import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import hofsteer as package
from hofsteer.cli.main import run

ENTRY = "from hofsteer.cli.main import run; run()"


class Result(NamedTuple):
    code: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        """What stands on standard output: strict JSON and nothing else."""
        return json.loads(self.out, parse_constant=pytest.fail)


@pytest.fixture(autouse=True)
def _terminal(tmp_path, monkeypatch):
    """An empty current folder and a terminal of 100 columns; nothing waits for the disk."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def hofsteer(capsys, monkeypatch):
    """Run the command line's own entry point in this process."""

    def hofsteer(*arguments) -> Result:
        monkeypatch.setattr(sys, "argv", ["hofsteer", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            run()
        return Result(ended.value.code or 0, *capsys.readouterr())

    return hofsteer


@pytest.fixture
def refused(hofsteer, tmp_path):
    """Run a command that must be refused: exit code 2, one line that is returned, and nothing written."""

    def refused(*arguments) -> str:
        before = sorted(tmp_path.rglob("*"))
        result = hofsteer(*arguments)
        assert (result.code, result.out) == (2, "")
        assert result.err.startswith("error: ")
        assert result.err.count("\n") == 1
        assert result.err.endswith("\n")
        assert sorted(tmp_path.rglob("*")) == before
        return result.err.removeprefix("error: ").rstrip("\n")

    return refused


@pytest.fixture
def process():
    """Run the entry point, or other code, in a process of its own."""

    environment = {**os.environ, "PYTHONPATH": str(Path(package.__file__).parents[1])}

    def process(*arguments, code=ENTRY) -> Result:
        command = [sys.executable, "-c", code, *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        return Result(done.returncode, done.stdout, done.stderr)

    return process


@pytest.fixture
def folder(tiny_folder, tmp_path):
    """A copy of the tiny model, to do with as one likes."""
    return shutil.copytree(tiny_folder, tmp_path / "tiny-llama")


@pytest.fixture
def silent(folder):
    """A model that is sure of some token, and never of an answer option of every item."""
    from safetensors.numpy import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"] = weights["lm_head.weight"] * 300
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
