"""Reading and writing files so that nothing is ever half-written."""

import json
import os
from hashlib import sha256
from pathlib import Path
from typing import Any


def replace_bytes(path: Path, data: bytes) -> None:
    """Write `data` to a temporary file beside `path`, flush it to disk and rename it into place."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def replace_text(path: Path, text: str) -> None:
    """Write `text` (UTF-8) to `path` atomically."""
    replace_bytes(path, text.encode())


def replace_json(path: Path, value: Any) -> None:
    """Write `value` as strict, indented JSON to `path` atomically."""
    replace_text(path, dump_json(value, indent=2) + "\n")


def append_line(path: Path, value: Any) -> None:
    """Add `value` as a line of strict JSON to `path` and flush it to disk."""
    with path.open("ab") as file:
        file.write((dump_json(value) + "\n").encode())
        file.flush()
        os.fsync(file.fileno())


def dump_json(value: Any, indent: int | None = None) -> str:
    """Return strict JSON: a NaN or infinity is our bug, since missing is `null` and a failure has its reason."""
    return json.dumps(value, indent=indent, allow_nan=False, ensure_ascii=False)


def hash_bytes(data: bytes) -> str:
    """Return the SHA-256 of `data` in hexadecimal."""
    return sha256(data).hexdigest()


def short_hash(digest: str | None) -> str:
    """Return as much of a SHA-256 as tells it from another."""
    return "none" if digest is None else digest[:12]


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal, read in pieces."""
    digest = sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
