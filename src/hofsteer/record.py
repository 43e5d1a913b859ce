"""What a run records of itself: where its numbers come from, and the token ids that it asked."""

import platform
import re
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hofsteer import __version__
from hofsteer.alignment.objective import Objective
from hofsteer.alignment.run import rendered_hash
from hofsteer.baselines import persona_text
from hofsteer.config import RunConfig
from hofsteer.evaluation.constants import checked_countries
from hofsteer.files import short_hash
from hofsteer.instruments import Administration
from hofsteer.respondent.base import Respondent
from hofsteer.respondent.neutral import Neutral
from hofsteer.respondent.render import Rendered

CHANGES_SHOWN = 3  # values of a record, where more differ
NAMES = ("id", "code", "kind", "")  # keys of what a record is called; "" is a record of one value
PACKAGES = ("hofsteer", "numpy", "torch", "transformers", "tokenizers", "safetensors")


def environment(respondent: Respondent) -> dict[str, Any]:
    """Return what decides the last digits of a result on this machine; no host or user name."""
    import torch

    found: dict[str, Any] = {
        "machine": platform.machine(),
        "python": platform.python_version(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "versions": {name: _version(name) for name in PACKAGES},
    }
    return found | respondent.conditions()


def provenance_of(config: RunConfig, objective: Objective, rendered: dict[str, Any]) -> dict[str, Any]:
    """Return what decides the result of a run, as JSON values; no folder of this machine."""
    respondent, target, instrument = objective.respondent, objective.target, objective.instrument
    assert target is not None
    return {
        "versions": {name: _version(name) for name in PACKAGES},
        "model": {"id": public_name(config.model.id), **respondent.identity()},
        "instrument": {"id": instrument.id, "sha256": instrument.hash},
        "rendered_sha256": rendered_hash(rendered),
        "target": {
            "code": target.code,
            "scores": dict(target.scores),
            "sources": dict(target.sources),
            "estimated": sorted(target.estimated),
            **({} if target.kind != "group" else {"n": target.n, "standard_errors": dict(target.errors)}),
            **({} if target.items is None else {"items_sha256": target.items.sha256}),
        },
        "constants": objective.constants.to_json(),
    }


def changes(was: Any, now: Any) -> tuple[str, str]:
    """Return two records, JSON values, in words: their names and the first values in which they differ.

    >>> changes({"id": "m", "weights_sha256": "0123456789abcdef" * 4}, {"id": "m", "weights_sha256": "f" * 64})
    ('m (weights 0123456789ab)', 'm (weights ffffffffffff)')
    >>> changes("a" * 64, None)
    ('aaaaaaaaaaaa', 'none')
    """
    records = [dict(_leaves(one)) for one in (was, now)]
    apart = [key for key in {**records[0], **records[1]} if records[0].get(key) != records[1].get(key)]
    return _changed(records[0], apart), _changed(records[1], apart)


def _leaves(record: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested records with their keys, joined by dots."""
    if isinstance(record, (list, tuple)):
        record = dict(enumerate(record))
    if not isinstance(record, dict):
        yield key, record
        return
    for inner, value in record.items():
        yield from _leaves(value, f"{key}.{inner}" if key else f"{inner}")


def _changed(record: dict[str, Any], apart: Sequence[str]) -> str:
    """Return the name of a record, and its values under the first keys of those `apart`."""
    name = next((record[key] for key in NAMES if record.get(key) is not None), None)
    said = [f"{key.removesuffix('_sha256')} {_short(record.get(key))}" for key in apart if key not in NAMES]
    more = [*said[:CHANGES_SHOWN], "..."] if len(said) > CHANGES_SHOWN else said
    return _short(name) + (f" ({', '.join(more)})" if more else "")


def _short(value: Any) -> str:
    if value is None:
        return "none"
    is_hash = isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value)
    return short_hash(value) if is_hash else f"{value}"


def rendered_table(objective: Objective) -> dict[str, Any]:
    """Return the token ids of all administrations; none for a respondent that has no tokens."""
    rendered = [objective.respondent.rendered(administration) for administration in _administrations(objective)]
    table: dict[str, Any] = {"administrations": [r.to_json() for r in rendered if r is not None]}
    if objective.settings.drift_penalty and (texts := objective.respondent.neutral()) is not None:
        table["neutral"] = texts
    return table


def use_rendered(rendered: dict[str, Any], objective: Objective) -> None:
    """Put every administration with the token ids stored in the run, never rendered again."""
    stored = rendered["administrations"]
    for administration, table in zip(_administrations(objective), stored, strict=bool(stored)):
        objective.respondent.use_rendered(administration, Rendered.from_json(table))
    if "neutral" in rendered:
        objective.respondent.use_neutral(tuple(Neutral(tuple(ids), first) for ids, first in rendered["neutral"]))


def _administrations(objective: Objective) -> Sequence[Administration]:
    """All administrations of a run in a fixed order: the fitted forms, and the same under personas.

    These are the target's and, where constants rest on answers, those that a resume asks again.
    """
    others = [objective.with_system(persona_text(country)) for country in checked_countries(objective.constants)]
    asked = (objective, under_persona(objective), *others)
    return [administration for one in asked for administration in one.administrations]


def under_persona(objective: Objective) -> Objective:
    """Return the objective under the persona of its own target."""
    assert objective.target is not None
    return objective.with_system(persona_text(objective.target))


def public_name(model_id: str) -> str:
    """Return a model id that shows no folder of this machine."""
    path = Path(model_id).expanduser()
    return path.resolve().name if path.exists() else model_id


def _version(package: str) -> str | None:
    if package == "hofsteer":
        return __version__  # a source tree that is not installed has no metadata
    try:
        return version(package)
    except PackageNotFoundError:
        return None
