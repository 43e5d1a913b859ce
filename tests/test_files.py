import hashlib
import math
import os
from pathlib import Path

import pytest

from hofsteer.files import dump_json, hash_bytes, hash_file, replace_bytes, replace_json, replace_text


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def fail(*args, **kwargs):
    raise OSError(28, "No space left on device")


def test_new_file_and_replaced_file(tmp_path):
    path = tmp_path / "state.json"
    for data in (b"first, and longer", b"second"):
        replace_bytes(path, data)
        assert path.read_bytes() == data
        assert names_in(tmp_path) == ["state.json"]


@pytest.mark.parametrize("step", ["flush to disk", "rename"])
def test_failure_in_the_middle_leaves_the_old_file_alone(step, tmp_path, monkeypatch):
    path = tmp_path / "state.json"
    path.write_bytes(b"old")
    if step == "rename":
        monkeypatch.setattr(Path, "replace", fail)
    else:
        monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        replace_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["state.json"]


def test_data_is_on_disk_before_it_has_the_name(tmp_path, monkeypatch):
    path, seen = tmp_path / "state.json", []
    monkeypatch.setattr(os, "fsync", lambda descriptor: seen.append((os.fstat(descriptor).st_size, path.exists())))
    replace_bytes(path, b"12345")
    assert seen == [(5, False)]


def test_a_temporary_file_left_by_a_kill_is_no_hindrance(tmp_path):
    (tmp_path / ".state.json.tmp").write_bytes(b"half of something that was longer")
    replace_bytes(tmp_path / "state.json", b"new")
    assert (tmp_path / "state.json").read_bytes() == b"new"
    assert names_in(tmp_path) == ["state.json"]


def test_text_is_utf8(tmp_path):
    replace_text(tmp_path / "text", "Österreich\n")
    assert (tmp_path / "text").read_bytes() == "Österreich\n".encode()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_json_is_strict(value, tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        dump_json({"loss": [1.0, value]})
    with pytest.raises(ValueError, match="JSON compliant"):
        replace_json(tmp_path / "a.json", {"loss": value})
    assert names_in(tmp_path) == []


def test_json_is_readable(tmp_path):
    replace_json(tmp_path / "a.json", {"name": "Österreich", "loss": None})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "name": "Österreich",\n  "loss": null\n}\n'


def test_hash_of_a_file_longer_than_one_piece(tmp_path):
    data = bytes(range(256)) * 5000  # 1.28 MB, read in pieces of 1 MiB
    (tmp_path / "file").write_bytes(data)
    assert hash_file(tmp_path / "file") == hash_bytes(data) == hashlib.sha256(data).hexdigest()
