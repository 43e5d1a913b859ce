"""What every command shares: where results, progress and warnings go."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from hofsteer.errors import InstrumentError
from hofsteer.files import dump_json, short_hash

if TYPE_CHECKING:
    from hofsteer.alignment.loop import Watcher
    from hofsteer.alignment.run import RunFolder
    from hofsteer.config import ModelSettings
    from hofsteer.evaluation.constants import Watcher as PersonaWatcher
    from hofsteer.respondent.hf import HFRespondent
    from hofsteer.respondent.soft_prompt import SoftPrompt

LOW_VALID_MASS = 0.9
SCORES_MOVE = "Only differences between samples asked alike have meaning; a single score moves with the constants."

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines, nothing else, on standard output.")]
Model = Annotated[str, typer.Option(help="A hub id, a local model folder, or the bundled `mini`.")]
InstrumentName = Annotated[str, typer.Option("--instrument", help="A bundled instrument or a TOML file.")]
Encoding = Annotated[
    str | None, typer.Option("--encoding", help="Of the file's texts, such as cp1252.", show_default="UTF-8")
]
ConstantsKind = Annotated[
    str | None,
    typer.Option(
        "--constants",
        help="Scale constants C: midpoint (C = 50), none, fitted (personas of all measured countries score as "
        "published on average) or anchor:USA,JPN,... (these do).",
        show_default="fitted; none where the zero is fixed",
    ),
]


def results() -> Console:
    """The console for results, on standard output. Texts are shown as they are: a group may be called `[/a]`."""
    return Console(markup=False, emoji=False)


def messages() -> Console:
    """The console for progress, warnings and errors, on standard error."""
    return Console(stderr=True, markup=False, emoji=False)


def print_json(value: dict[str, Any]) -> None:
    """Print a result for machines."""
    sys.stdout.write(dump_json(value, indent=2) + "\n")


def warn(text: str) -> None:
    """Print a warning in one line on standard error."""
    messages().print(f"warning: {text}", markup=False, highlight=False, soft_wrap=True)


def warn_of_low_mass(valid_mass: float) -> None:
    """Say on standard error when a model gave too little to the answer options."""
    if valid_mass < LOW_VALID_MASS:
        warn(
            f"valid mass {valid_mass:.3f} is below {LOW_VALID_MASS:.2f}: the first token says little about what the "
            "model would answer"
        )


def load_adapter(prompt: Path | None, model: str) -> tuple["SoftPrompt | None", "RunFolder | None"]:
    """Return the soft prompt that a command was given, and its run if there is one and it is of this model.

    One that was found for a model of another name is said to be so on standard error.
    """
    from hofsteer.alignment.run import RunFolder
    from hofsteer.respondent.soft_prompt import SoftPrompt

    if prompt is None:
        return None, None
    adapter = SoftPrompt.load(prompt)
    if adapter.base_model not in (None, model, Path(model).name):
        warn(f"the soft prompt in {prompt} was found for {adapter.base_model}, not for {model}")
        return adapter, None
    return adapter, RunFolder.of_adapter(prompt)


def warn_of_other_weights(run: "RunFolder | None", respondent: "HFRespondent") -> None:
    """Say on standard error when a run was of other weights than the model has, in the dtype that it has them."""
    recorded = None if run is None else run.read_json("provenance.json").get("model", {}).get("weights_sha256")
    if run is not None and recorded not in (None, respondent.fingerprint):
        warn(
            f"the soft prompt of {run.path} was found on weights {short_hash(recorded)}, and {respondent.settings.id} "
            f"has {short_hash(respondent.fingerprint)} (in {respondent.conditions()['dtype']}): what it does here "
            "need not be what the run found"
        )


def missing_codes(text: str | None) -> list[float]:
    """Return the codes of `--missing`. Raises InstrumentError unless they are numbers."""
    try:
        return [float(code) for code in (text or "").split(",") if code.strip()]
    except ValueError:
        raise InstrumentError(f"want --missing as numbers with commas, such as -1,-2,99, got {text!r}") from None


def load_respondent(settings: "ModelSettings") -> "HFRespondent":
    """Load the model that a command was given."""
    from hofsteer.respondent.hf import HFRespondent
    from hofsteer.respondent.loading import quiet_libraries

    quiet_libraries()

    with messages().status(escape(f"loading {settings.id}")):
        return HFRespondent.load(settings)


@contextmanager
def persona_progress() -> Iterator["PersonaWatcher | None"]:
    """A progress bar for personas of many countries, on a terminal; yields what to call with how many were asked."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = messages()
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("asking personas", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def search_progress(budget: int) -> Iterator[tuple["Watcher | None", "PersonaWatcher | None"]]:
    """A progress bar on a terminal, nothing elsewhere; yields what to call with every record and with every persona."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = messages()
    if not console.is_terminal:
        yield None, None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("searching", total=budget)

        def watch_personas(done: int, total: int) -> None:
            progress.update(task, description=f"persona {done} of {total} for the constants")

        def watch(record: Any) -> None:
            best = "every evaluation failed" if record.best is None else f"best loss {record.best:5.2f}"
            progress.update(task, completed=record.evaluations, description=best)

        yield watch, watch_personas
