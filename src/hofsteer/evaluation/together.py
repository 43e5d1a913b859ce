"""Which runs and controls can be judged together, and what makes such a judgement exploratory.

Runs are draws of one search: they differ in their seed alone. Controls are the same draws for other targets. What would
make the numbers those of something else is refused; what makes a draw unlike another is said.
"""

from collections.abc import Sequence
from typing import Any

from hofsteer.config import RunConfig, settings_apart
from hofsteer.errors import RunError
from hofsteer.evaluation.evidence import Question
from hofsteer.evaluation.finished import FinishedRun
from hofsteer.files import short_hash
from hofsteer.respondent.base import Respondent
from hofsteer.targets import Target, country_of

SAME = ("model", "instrument", "constants")  # of the provenance: runs that are judged together agree in these
FORMS = ("wordings", "orders", "cue", "read_out", "model.template")  # settings of what a search asks
DRAWS = ("search", "space", "stop", "polish", "objective")  # settings of what it finds
SAID = ("search.seed", "search.budget", "space.tokens")  # each has a rule of its own
REAL = 20  # controls that are countries, at least: mirrors, shuffles and what is invented are easier to tell apart


def check_together(runs: Sequence[FinishedRun], controls: Sequence[FinishedRun] = ()) -> None:
    """Raise RunError unless runs are of one target and question, and controls of others, each once."""
    first = runs[0]
    for run in (*runs[1:], *controls):
        for key in SAME:
            own, other = (_comparable(key, one.provenance) for one in (first, run))
            if own != other:
                raise RunError(
                    f"{run.folder.name} has another {key} than {first.folder.name}: they are not judged together"
                )
        _refuse_apart("want runs of one budget", first, run, first.config.search.budget, run.config.search.budget)
    if others := sorted({run.target for run in runs} - {first.target}):
        raise RunError(
            f"want runs for one target, got {first.target} and {others[0]}; give other targets as --controls"
        )
    for run in runs[1:]:
        for name, (own, other) in apart(first.config, run.config, FORMS).items():
            _refuse_apart(f"want runs of one setting of {name}", first, run, own, other)
        shapes = [one.soft_prompt.values.shape for one in (first, run)]
        _refuse_apart("want soft prompts of one shape", first, run, *shapes)
    seeds = [run.config.search.seed for run in runs]
    if len(set(seeds)) < len(seeds):
        raise RunError(
            f"want runs of different seeds, got seed {max(seeds, key=seeds.count)} twice: one draw is not two"
        )
    aims = {_aim(first): first}
    for run in controls:
        before = aims.setdefault(_aim(run), run)
        if before is first:
            raise RunError(f"a control aims at another target, but {run.folder.name} aims at {first.target} as well")
        if before is not run:
            raise RunError(
                f"want controls for different targets, got {run.target} in {before.folder.name} and "
                f"{run.folder.name}: give one run of each"
            )


def check_model(runs: Sequence[FinishedRun], respondent: Respondent) -> None:
    """Raise RunError unless the runs, or controls, were found on this model."""
    weights = respondent.identity().get("weights_sha256")
    for run in runs:
        if (width := run.soft_prompt.values.shape[1]) != respondent.width:
            raise RunError(
                f"want soft prompts of width {respondent.width}, as the model has, got {width} in {run.folder.name}"
            )
        if (recorded := run.provenance["model"].get("weights_sha256")) != weights:
            raise RunError(
                f"{run.folder.name} was found on weights {short_hash(recorded)}, and the model has "
                f"{short_hash(weights)}"
            )


def unlike(runs: Sequence[FinishedRun], controls: Sequence[FinishedRun], target: Target) -> tuple[str, ...]:
    """Return what makes runs other draws than each other, or the controls other draws than the runs."""
    first, reasons = runs[0], []
    for who, others, parts, own_texts in (
        ("the runs differ", runs[1:], DRAWS, False),
        ("the controls differ from the runs", controls, (*FORMS, *DRAWS), True),
    ):
        found = [pair for run in others for pair in apart(first.config, run.config, parts).items()]
        if names := dict.fromkeys(name for name, both in found if not (own_texts and _is_own_text(name, both))):
            reasons.append(f"{who} in {', '.join(names)}")
    lengths, tokens = [len(run.soft_prompt.values) for run in controls], len(first.soft_prompt.values)
    if any(length != tokens for length in lengths):  # longer ones can do more
        reasons.append(f"the controls have {min(lengths)} to {max(lengths)} tokens, the runs {tokens}")
    real = sum(_is_real(run.target, target) for run in controls)
    if controls and real < REAL:
        reasons.append(f"{real} of {len(controls)} controls are real {target.nouns}, and {REAL} are wanted")
    return tuple(reasons)


def changed_since(run: FinishedRun, question: Question) -> tuple[str, ...]:
    """Return what a run's search asked and aimed at that is another today: its files were edited, or came new."""
    recorded, instrument, target = run.provenance, question.instrument, question.target
    found = []
    if recorded["instrument"].get("sha256") != instrument.hash:
        found.append(f"the file of {instrument.id} was changed after the runs")
    scores = recorded["target"].get("scores")
    if scores is not None and scores != dict(target.scores):
        found.append(f"the scores of {target.name} were changed after the runs")
    return tuple(found)


def apart(one: RunConfig, other: RunConfig, parts: Sequence[str]) -> dict[str, tuple[Any, Any]]:
    """Return the settings of some parts in which two runs differ, with both values; without those of `SAID`."""
    found = settings_apart(one, other)
    return {
        name: both
        for name, both in found.items()
        if name not in SAID and (name in parts or name.partition(".")[0] in parts)
    }


def _refuse_apart(wanted: str, first: FinishedRun, run: FinishedRun, own: Any, other: Any) -> None:
    if own != other:
        raise RunError(f"{wanted}, got {own!r} in {first.folder.name} and {other!r} in {run.folder.name}")


def _comparable(key: str, provenance: dict[str, Any]) -> Any:
    """Return what must agree between runs: constants to a thousandth (they rest on answers), the rest whole."""
    return [round(value, 3) for value in provenance[key]["values"]] if key == "constants" else provenance[key]


def _aim(run: FinishedRun) -> str:
    """Return what a run aims at, a country under any code that it has."""
    return country_of(run.target) or run.target


def _is_own_text(name: str, both: tuple[Any, Any]) -> bool:
    """Return whether two searches start from texts: each names its own country."""
    return name == "space.start" and all(start.partition(":")[0].strip() == "text" for start in both)


def _is_real(control: str, target: Target) -> bool:
    """Return whether a control is a country; beside a group that is none, one of the other groups of its table."""
    if country_of(control) is not None or country_of(target.code) is not None:
        return country_of(control) is not None
    groups = {name for row in target.beside for name in (row.code.rpartition(":")[2], row.code.replace(":", "-"))}
    return control.rpartition(":")[2] in groups  # of that table, or of `controls.csv`
