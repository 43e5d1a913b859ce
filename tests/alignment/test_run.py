"""The run folder alone: a sphere stands for the language model, so that a generation takes no time."""

import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from hofsteer.alignment import run as run_module
from hofsteer.alignment.run import KEPT_CHECKPOINTS, Record, RunFolder, free_folder, refuse_used, rendered_hash
from hofsteer.config import FORMAT, RunConfig
from hofsteer.errors import RunError
from hofsteer.files import hash_file
from hofsteer.search import DifferentialEvolution

DE = DifferentialEvolution(population_size=5, seed=3)
CONFIG = RunConfig(target="JPN")
PROVENANCE = {"model": {"id": "sphere"}}
RENDERED = {"administrations": []}
ENVIRONMENT = {"threads": 1}


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def create(path):
    return RunFolder.create(path, CONFIG, PROVENANCE, RENDERED)


def advance(run, generations):
    """Go on from the committed state up to `generations`, as the loop does; return the state."""
    state = run.restore(DE)
    if state is None:
        state = DE.init(np.random.default_rng([3, 9]).normal(size=(5, 4)))
    while state.generation < generations:
        trials = DE.ask(state)
        losses = (trials**2).sum(axis=1)
        state = DE.tell(state, trials, losses)
        record = Record(
            generation=state.generation,
            evaluations=5 * state.generation,
            best=state.best_loss,
            mean=float(losses.mean()),
            scores={"PDI": 50.0, "IVR": None},
            valid_mass=0.5,
            failed=0,
            reasons=(),
        )
        run.commit(state, record, 0.25, ENVIRONMENT)
    return state


def contents(path):
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def message_of(call, *args):
    with pytest.raises(RunError) as caught:
        call(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def edit_json(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


@pytest.fixture
def run(tmp_path):
    return create(tmp_path / "run")


def test_new_folder(tmp_path):
    run = create(tmp_path / "deep" / "er" / "run")
    assert sorted(contents(run.path)) == ["config.toml", "provenance.json", "rendered.json"]
    assert run.config() == CONFIG
    assert run.read_json("provenance.json") == {"schema": 1, **PROVENANCE}
    assert (run.committed_generation(), run.history(), run.seconds(), run.environment()) == (0, [], 0.0, None)
    assert run.restore(DE) is None
    assert run.name == "run"


def test_empty_folder_may_be_used(tmp_path):
    (tmp_path / "run").mkdir()
    assert create(tmp_path / "run").config() == CONFIG


def test_folders_and_files_in_use_are_refused(run, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine", encoding="utf-8")
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    before = contents(tmp_path)
    for name, why in (
        ("run", "already holds a run; resume it or choose another folder"),
        ("notes", "is not empty; choose another folder"),
        ("file", "is a file; choose another folder"),
    ):
        assert message_of(create, tmp_path / name) == f"{tmp_path / name} {why}"
        assert message_of(refuse_used, tmp_path / name) == f"{tmp_path / name} {why}"
    assert contents(tmp_path) == before


def test_current_folder_is_no_run_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message_of(create, Path()) == "want a folder of its own for the run, got the current one, ."
    assert message_of(create, tmp_path) == f"want a folder of its own for the run, got the current one, {tmp_path}"


def test_folder_below_a_file_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    path = tmp_path / "file" / "run"
    assert message_of(create, path) == f"cannot make the run folder {path}: Not a directory"


@pytest.mark.parametrize("failing", [1, 2])
def test_nothing_is_left_when_the_folder_cannot_be_written(failing, tmp_path, monkeypatch):
    steps = iter(range(1, 9))

    def full(*args, **kwargs):
        if next(steps) == failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(run_module, "replace_json", full)
    monkeypatch.setattr(Path, "replace", full)
    path = tmp_path / "run"
    assert message_of(create, path) == f"cannot make the run folder {path}: No space left on device"
    assert list(tmp_path.iterdir()) == []


def test_leftover_of_a_kill_while_the_folder_was_made(tmp_path):
    (tmp_path / ".run.tmp").mkdir()
    (tmp_path / ".run.tmp" / "config.toml").write_text("half", encoding="utf-8")
    assert create(tmp_path / "run").config() == CONFIG
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_free_folder(tmp_path):
    assert free_folder(tmp_path, "a") == tmp_path / "a"
    (tmp_path / "a").mkdir()
    (tmp_path / "a-2").touch()
    assert free_folder(tmp_path, "a") == tmp_path / "a-3"


def test_commit_and_restore_are_exact(run):
    state = advance(run, 3)
    restored = RunFolder.open(run.path).restore(DE)
    assert restored.generation == 3
    for name, array in state.arrays().items():
        found = restored.arrays()[name]
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)


def test_what_a_commit_writes(run):
    state = advance(run, 3)
    assert run.committed_generation() == 3
    assert run.environment() == ENVIRONMENT
    assert run.seconds() == 0.75
    assert [record.generation for record in run.history()] == [1, 2, 3]
    assert run.history()[-1].best == state.best_loss
    assert run.history()[-1].scores == {"PDI": 50.0, "IVR": None}
    table = run.read_json("state.json")
    assert (table["format"], table["generation"], table["checkpoint"]) == (FORMAT, 3, "checkpoint-3.safetensors")


def test_failed_losses_survive_a_restore(run):
    state = DE.init(np.zeros((5, 4)))
    record = Record(1, 5, None, None, None, None, 5, ("why",))
    run.commit(DE.tell(state, DE.ask(state), np.full(5, np.inf)), record, 0.1, {})
    assert np.isposinf(run.restore(DE).losses).all()
    assert run.history() == [record]


def test_two_checkpoints_are_kept(run):
    advance(run, 12)  # beyond 9: sorted by name, 10 comes before 9
    assert KEPT_CHECKPOINTS == 2
    kept = sorted(path.name for path in run.path.glob("checkpoint-*"))
    assert kept == ["checkpoint-11.safetensors", "checkpoint-12.safetensors"]


def test_other_files_of_the_user_are_left_alone(run):
    for name in ("checkpoint-mine.safetensors", "checkpoint-1.txt", "notes.md"):
        (run.path / name).write_text("mine", encoding="utf-8")
    advance(run, 4)
    assert all((run.path / n).exists() for n in ("checkpoint-mine.safetensors", "checkpoint-1.txt", "notes.md"))


@pytest.mark.parametrize(
    "more", ['{"generation": 3}\n', '{"generation": 3', '{"generation": 3}\n{"generation": 4}\n{', ""]
)
def test_lines_beyond_the_commit_are_cut_off(more, run):
    advance(run, 2)
    before = contents(run.path)
    for name in ("history.jsonl", "timing.jsonl"):
        with (run.path / name).open("a", encoding="utf-8") as file:
            file.write(more)
    (run.path / "checkpoint-3.safetensors").write_bytes(b"half")
    assert len(run.history()) == 2  # also before a restore
    assert run.seconds() == 0.5
    run.restore(DE)
    assert contents(run.path) == before


def test_lines_before_the_first_commit_are_cut_off(run):
    (run.path / "history.jsonl").write_text('{"generation": 1}\n{"gen', encoding="utf-8")
    assert run.history() == []
    assert run.restore(DE) is None
    assert (run.path / "history.jsonl").read_bytes() == b""


STEPS = {
    "before the history": (run_module, "append_line", 1),
    "between history and timing": (run_module, "append_line", 2),
    "history on its way to disk": (os, "fsync", 1),
    "timing on its way to disk": (os, "fsync", 2),
    "before the checkpoint": (run_module, "replace_bytes", 1),
    "checkpoint on its way to disk": (os, "fsync", 3),
    "checkpoint not renamed": (Path, "replace", 1),
    "before the state": (run_module, "replace_json", 1),
    "state on its way to disk": (os, "fsync", 4),
    "state not renamed": (Path, "replace", 2),
    "old checkpoint not deleted": (Path, "unlink", 3),  # after those of two temporary names
}


@pytest.mark.parametrize("generation", [1, 4, 6])  # the first, one in the middle, the last
@pytest.mark.parametrize("step", STEPS)
def test_kill_between_any_two_steps_of_a_commit(step, generation, tmp_path, monkeypatch):
    straight = create(tmp_path / "straight")
    advance(straight, 6)
    killed = create(tmp_path / "killed")
    advance(killed, generation - 1)

    owner, name, count = STEPS[step]
    real, calls = getattr(owner, name), []

    def dies(*args, **kwargs):
        calls.append(name)
        if len(calls) == count:
            raise Killed
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, dies)
    if step == "old checkpoint not deleted" and generation == 1:
        advance(killed, generation)  # there is none yet
    else:
        with pytest.raises(Killed):
            advance(killed, generation)
    monkeypatch.setattr(owner, name, real)

    committed = generation if step == "old checkpoint not deleted" else generation - 1
    assert killed.committed_generation() == committed
    advance(RunFolder.open(killed.path), 6)
    assert contents(killed.path) == contents(straight.path)


def commit_with_best(run, generation):
    """Commit one more generation that keeps its best; return the soft prompt that is kept."""
    state = DE.init(np.full((5, 4), float(generation)))
    state = replace(state, generation=generation)
    record = Record(generation, 5 * generation, 1.0, 2.0, None, None, 0, ())
    best = np.full((2, 2), generation, dtype=np.float32)
    run.commit(state, record, 0.25, ENVIRONMENT, best)
    return best


def test_the_best_of_a_generation_is_kept_for_good(run):
    kept = [commit_with_best(run, generation) for generation in range(1, 12)]
    points = RunFolder.open(run.path).points()
    assert [record.generation for record, _ in points] == list(range(1, 12))  # in the order of numbers, not of names
    assert all(np.array_equal(found, best) for (_, found), best in zip(points, kept, strict=True))
    assert len(list(run.path.glob("checkpoint-*"))) == KEPT_CHECKPOINTS
    (run.path / "best-3.safetensors").write_bytes(b"half")
    assert f"{run.path / 'best-3.safetensors'} cannot be read" in message_of(run.points)


@pytest.mark.parametrize(
    ("owner", "name", "count"),
    [
        (run_module, "replace_bytes", 1),  # before it
        (os, "fsync", 3),  # on its way to disk
        (Path, "replace", 1),  # not renamed
        (run_module, "replace_bytes", 2),  # before the checkpoint
        (run_module, "replace_json", 1),  # before the state
        (Path, "replace", 3),  # state not renamed
    ],
)
def test_a_kill_leaves_no_best_of_a_generation_that_did_not_happen(owner, name, count, tmp_path, monkeypatch):
    straight, killed = create(tmp_path / "straight"), create(tmp_path / "killed")
    for run in (straight, killed):
        commit_with_best(run, 1)
    commit_with_best(straight, 2)
    real, calls = getattr(owner, name), []

    def dies(*args, **kwargs):
        calls.append(name)
        if len(calls) == count:
            raise Killed
        return real(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, dies)
        with pytest.raises(Killed):
            commit_with_best(killed, 2)
    again = RunFolder.open(killed.path)
    assert [record.generation for record, _ in again.points()] == [1]
    again.restore(DE)
    assert not (again.path / "best-2.safetensors").exists()
    commit_with_best(again, 2)
    assert contents(again.path) == contents(straight.path)


@pytest.mark.parametrize("kept", [0, 1, 17, -1])
def test_kill_in_the_middle_of_a_line(kept, tmp_path, monkeypatch):
    straight, killed = create(tmp_path / "straight"), create(tmp_path / "killed")
    advance(straight, 4)
    advance(killed, 2)

    def half(path, value):
        line = (json.dumps(value) + "\n").encode()
        with path.open("ab") as file:
            file.write(line[:kept])
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(run_module, "append_line", half)
        with pytest.raises(Killed):
            advance(killed, 3)
    advance(RunFolder.open(killed.path), 4)
    assert contents(killed.path) == contents(straight.path)


@pytest.mark.parametrize("step", ["history", "timing", "checkpoint", "state"])
def test_full_disk(step, run, monkeypatch):
    advance(run, 2)
    before = contents(run.path)
    calls = []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == ["history", "timing", "checkpoint", "state"].index(step) + 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        message = message_of(advance, run, 3)
    assert message == (
        f"cannot write to {run.path}: No space left on device; "
        "the run stands at generation 2, free some space and resume"
    )
    run.restore(DE)
    assert contents(run.path) == before


def test_full_disk_before_the_first_commit(run, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert message_of(advance, run, 1).endswith("No space left on device; no generation was finished")


def test_other_write_errors(run, monkeypatch):
    advance(run, 1)
    monkeypatch.setattr(
        run_module, "replace_bytes", lambda *a: (_ for _ in ()).throw(PermissionError(13, "Permission denied"))
    )
    assert message_of(advance, run, 2).endswith(
        "Permission denied; the run stands at generation 1, resume once it can be written"
    )


def test_checkpoint_that_was_changed(run):
    advance(run, 3)
    checkpoint = run.path / "checkpoint-3.safetensors"
    data = bytearray(checkpoint.read_bytes())
    data[-1] ^= 1
    checkpoint.write_bytes(data)
    assert message_of(run.restore, DE) == f"{checkpoint} is not what state.json committed: its SHA-256 differs"


def test_checkpoint_that_is_missing(run):
    advance(run, 3)
    (run.path / "checkpoint-3.safetensors").unlink()
    assert message_of(run.restore, DE) == f"{run.path} lacks checkpoint-3.safetensors, which state.json names"


def test_checkpoint_of_another_version_of_the_search(run):
    advance(run, 3)
    checkpoint = run.path / "checkpoint-3.safetensors"
    save_file({**load_file(checkpoint), "of_old": np.zeros(1)}, checkpoint)
    edit_json(run.path / "state.json", sha256=hash_file(checkpoint))
    before = contents(run.path)
    assert message_of(run.restore, DE) == (
        f"{run.path} was made by another version of this search and cannot be gone on with: start the run again in "
        "another folder, or remove it"
    )
    assert contents(run.path) == before


def test_a_refused_restore_changes_nothing(run):
    advance(run, 4)
    edit_json(run.path / "state.json", generation=2, checkpoint="checkpoint-2.safetensors")
    before = contents(run.path)
    message_of(run.restore, DE)
    assert contents(run.path) == before


def test_history_shorter_than_the_commit(run):
    advance(run, 3)
    lines = (run.path / "history.jsonl").read_bytes().splitlines(keepends=True)
    (run.path / "history.jsonl").write_bytes(b"".join(lines[:2]))
    assert message_of(run.restore, DE).endswith("has 2 whole lines, but 3 generations were committed")


def test_newer_format_of_the_state_is_refused_with_both_numbers(run):
    advance(run, 1)
    edit_json(run.path / "state.json", format=FORMAT + 1, generation={"unheard": "of"})
    want = f"{run.path} is a run of format {FORMAT + 1}, and this hofsteer reads format {FORMAT}"
    assert message_of(RunFolder.open, run.path) == want


def test_newer_format_of_the_settings_is_refused_with_both_numbers(run):
    text = (run.path / "config.toml").read_text(encoding="utf-8")
    (run.path / "config.toml").write_text(text.replace("format = 1", "format = 2\nnew = 1"), encoding="utf-8")
    assert message_of(run.config) == f"{run.path} is a run of format 2, and this hofsteer reads format {FORMAT}"


def test_folder_without_a_run(tmp_path):
    assert message_of(RunFolder.open, tmp_path) == f"want a run folder, but {tmp_path} has no config.toml"
    missing = tmp_path / "none"
    assert message_of(RunFolder.open, missing) == f"want a run folder, but {missing} has no config.toml"


@pytest.mark.parametrize("text", ["{", '["a list"]', "[1, 2]", "3"])
def test_broken_state(text, run):
    advance(run, 1)
    (run.path / "state.json").write_text(text, encoding="utf-8")
    assert message_of(RunFolder.open, run.path).startswith(f"{run.path}: state.json cannot be read: ")


def test_broken_settings(run):
    (run.path / "config.toml").write_text('format = 1\ntarget = "JPN"\ninstrumet = "x"\n', encoding="utf-8")
    message = message_of(run.config)
    assert message == (
        f"{run.path}: config.toml cannot be read: unknown setting 'instrumet'; did you mean 'instrument'?"
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("generation", "want the entry 'generation', got none"),
        ("checkpoint", "want the entry 'checkpoint', got none"),
        ("environment", "want the entry 'environment', got none"),
    ],
)
def test_a_state_that_lacks_an_entry(name, said, run):
    advance(run, 1)
    path = run.path / "state.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != name}))
    assert message_of(run.committed_generation) == f"{run.path} cannot be read: state.json: {said}"


def test_a_state_of_no_generation(run):
    advance(run, 1)
    edit_json(run.path / "state.json", generation="last")
    assert message_of(run.history).startswith(f"{run.path} cannot be read: state.json: generation: ")


def test_broken_history(run):
    advance(run, 2)
    data = (run.path / "history.jsonl").read_bytes()
    (run.path / "history.jsonl").write_bytes(b"?" + data[1:])
    assert message_of(run.history).startswith(f"{run.path}: history.jsonl cannot be read: ")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{}", "want the entry 'generation', got none"),
        ("3", "want a table, got 3"),
        ('{"generation": 2, "evaluations": 10}', "want the entry 'best', got none"),
    ],
)
def test_a_history_line_that_is_no_record(line, said, run):
    advance(run, 2)
    path = run.path / "history.jsonl"
    path.write_text(f"{path.read_text().splitlines()[0]}\n{line}\n")
    assert message_of(run.history) == f"{run.path}: history.jsonl cannot be read: line 2: {said}"


def test_a_history_that_is_missing(run):
    advance(run, 2)
    (run.path / "history.jsonl").unlink()
    assert message_of(run.history) == f"{run.path / 'history.jsonl'} has 0 lines, but 2 generations were committed"


def test_a_run_is_finished_once_it_is_evaluated(run):
    advance(run, 2)
    assert not run.is_finished
    (run.path / "evaluation.json").write_text("{}")
    assert run.is_finished


def test_moved_folder_is_still_the_run(run, tmp_path):
    state = advance(run, 2)
    moved = RunFolder.open(shutil.move(run.path, tmp_path / "elsewhere"))
    np.testing.assert_array_equal(moved.restore(DE).population, state.population)


def test_rendered_hash_sees_every_token():
    assert rendered_hash({"rows": ((1, 2), (3,))}) == rendered_hash({"rows": [[1, 2], [3]]})
    assert rendered_hash({"rows": [[1, 2], [3]]}) != rendered_hash({"rows": [[1], [2, 3]]})
