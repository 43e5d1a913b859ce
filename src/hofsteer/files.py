"""Reading and writing files so that nothing is ever half-written."""

import json
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any


def replace_file(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, flush it to disk and rename it into place."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def replace_text(path: Path, text: str) -> None:
    """Write `text` (UTF-8) to `path` atomically."""
    replace_file(path, lambda temporary: _write_text(temporary, text))


def replace_json(path: Path, value: Any) -> None:
    """Write `value` as strict, indented JSON to `path` atomically."""
    replace_text(path, dump_json(value, indent=2) + "\n")


def dump_json(value: Any, indent: int | None = None) -> str:
    """Return strict JSON: a NaN or infinity is our bug, since missing is `null` and a failure has its reason."""
    return json.dumps(value, indent=indent, allow_nan=False, ensure_ascii=False)


def hash_bytes(data: bytes) -> str:
    """Return the SHA-256 of `data` in hexadecimal."""
    return sha256(data).hexdigest()


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal, read in pieces."""
    digest = sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
