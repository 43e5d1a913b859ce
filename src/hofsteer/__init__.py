"""Measure what a language model answers to a cultural survey, and steer the frozen model towards a country's scores."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hofsteer.errors import HofsteerError
    from hofsteer.instruments import Administration, Instrument, load_instrument
    from hofsteer.pipeline import Run, align, resume
    from hofsteer.respondent import Respondent, ScriptedRespondent, SoftPrompt
    from hofsteer.targets import Target, load_target

__version__ = "0.1.0"

__all__ = [
    "Administration",
    "HofsteerError",
    "Instrument",
    "Respondent",
    "Run",
    "ScriptedRespondent",
    "SoftPrompt",
    "Target",
    "align",
    "load_instrument",
    "load_target",
    "resume",
]

_HOME = {
    "Administration": "instruments",
    "HofsteerError": "errors",
    "Instrument": "instruments",
    "Respondent": "respondent",
    "Run": "pipeline",
    "ScriptedRespondent": "respondent",
    "SoftPrompt": "respondent",
    "Target": "targets",
    "align": "pipeline",
    "load_instrument": "instruments",
    "load_target": "targets",
    "resume": "pipeline",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that `import hofsteer` stays fast."""
    if name not in _HOME:
        raise AttributeError(f"module 'hofsteer' has no attribute {name!r}")
    return getattr(import_module(f"hofsteer.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
