"""From settings to a steered model: the run that `hofsteer align`, `hofsteer resume` and `hofsteer.align` share."""

import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from hofsteer.alignment.curve import Curve
from hofsteer.alignment.gradient import Descent, check_gradient
from hofsteer.alignment.loop import Watcher, search
from hofsteer.alignment.objective import Objective
from hofsteer.alignment.run import UNPOLISHED, RunFolder, free_folder, named_write_errors, refuse_used
from hofsteer.alignment.space import Space, make_space
from hofsteer.alignment.start import start_identity, start_note
from hofsteer.alignment.stop import Rule
from hofsteer.config import RunConfig, StopSettings, resolve
from hofsteer.errors import ConfigError, RunError, TargetError
from hofsteer.evaluation.base import Polish, RunEvaluation, answered_row, evaluate_run
from hofsteer.evaluation.constants import Watcher as PersonaWatcher
from hofsteer.evaluation.constants import constants_of, departure, every_policy
from hofsteer.files import replace_json, replace_text
from hofsteer.instruments import load_instrument
from hofsteer.parts import check_settings, make_method, make_objective, needs_gradient, questions
from hofsteer.record import (
    changes,
    environment,
    provenance_of,
    public_name,
    rendered_table,
    under_persona,
    use_rendered,
)
from hofsteer.report import adapter_card, convergence_figure, polish_note, run_report, weak_constants, wording_note
from hofsteer.respondent.base import Respondent
from hofsteer.respondent.soft_prompt import SoftPrompt
from hofsteer.targets import (
    Constants,
    Target,
    anchors,
    load_target,
    target_for,
    target_name,
    tie_constants,
)
from hofsteer.targets.constants import ANCHOR

DECIDING = ("model", "instrument", "rendered_sha256", "target", "constants")  # the same, or a run is not resumed
LOSSES = ("naive", "persona", "flat", "mean_country", "aligned")  # printed of every run
POLISH = "polish"  # in the run folder
MOST_DEPARTURE = 0.5  # points by which scores under personas may differ from those that constants were fitted to

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run: its folder, its settings and its final numbers."""

    folder: RunFolder
    config: RunConfig
    evaluation: RunEvaluation
    evaluations: int  # of the search, without a polish
    seconds: float  # of the search
    stopped_by: Rule  # what ended it

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.folder.path

    @property
    def soft_prompt(self) -> SoftPrompt:
        """The adapter, read from disk."""
        return SoftPrompt.load(self.path)

    @property
    def curve(self) -> Curve:
        """The loss that the search had reached, against what it had cost by then."""
        return Curve.of(self.folder.history(), self.folder.durations())

    def to_json(self) -> dict[str, Any]:
        """Return the result as `hofsteer align --json` prints it."""
        evaluation = self.evaluation.to_json()
        rows = evaluation["rows"]
        return {
            "schema": 1,
            "run": str(self.path),
            "target": evaluation["target"],
            "evaluations": self.evaluations,
            "seconds": self.seconds,
            "stopped_by": self.stopped_by,
            "curve": self.curve.to_json(),
            "loss": {key: rows[key]["loss"] for key in (*LOSSES, *(["unpolished"] if "unpolished" in rows else []))},
            "skill": evaluation["skill"],
            "scores": rows["aligned"]["scores"],
            "valid_mass": rows["aligned"]["valid_mass"],
            "nearest": {"name": rows["nearest"]["name"], "loss": rows["nearest"]["loss"]},
            "noise_floor": evaluation["noise_floor"],
            "read_out_floor": evaluation["read_out_floor"],
            "constants": evaluation["constants"],
            "polish": evaluation["polish"],
            "losses": {key: rows[key]["losses"] for key in ("naive", "persona", "flat", "aligned")},
            "n": evaluation["n"],
            "standard_errors": evaluation["standard_errors"],
            "minimised": evaluation["minimised"],
            "item_losses": {key: row["item_losses"] for key, row in rows.items() if row["item_losses"]},
            "item_noise_floors": evaluation["item_noise_floors"],
        }


def align(
    respondent: Respondent,
    target: str | Target,
    *,
    out: str | Path | None = None,
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    watch: Watcher | None = None,
) -> Run:
    """Search a soft prompt that makes a respondent's scores those of a target; return the finished run.

    Args:
        respondent: the frozen model; `Respondent.from_pretrained("mini")` for example.
        target: a country or region by code or name, or a Target.
        out: the run folder, which must not hold anything yet; by default a new one under `runs/`.
        preset: a bundled preset, such as `masoud2025`.
        settings: any other setting by its dotted key, such as `{"search.budget": 1000, "search.seed": 1}`.
        watch: called with the Record of every generation.

    Raises:
        HofsteerError: a setting, the folder, the target or the model's answers are not what is needed.
    """
    if named := [key for key in settings or {} if key.split(".")[0] == "model"]:
        raise ConfigError(f"{named[0]} is a setting of the respondent: give it to Respondent.from_pretrained")
    if isinstance(target, Target) and target.kind == "group":
        raise TargetError(f"want a group of a table as the text FILE.csv:GROUP, got the Target {target.code}")
    name = target.code if isinstance(target, Target) else target
    config = resolve(preset=preset, flags={**(settings or {}), "target": name})
    row = target_for(name, load_instrument(config.instrument))
    if isinstance(target, Target) and (target.scores, target.sources) != (row.scores, row.sources):
        raise TargetError(f"want the published row of {target.code}, got a target of that code with other scores")
    config = config.model_copy(
        update={"target": target_name(name, load_instrument(config.instrument)), "model": respondent.settings}
    )
    return start(config, respondent, Path(out) if out is not None else None, watch)


def start(
    config: RunConfig,
    respondent: Respondent,
    out: Path | None = None,
    watch: Watcher | None = None,
    watch_personas: PersonaWatcher | None = None,
) -> Run:
    """Start a run from complete settings; nothing is written unless the model answers the survey."""
    check_settings(config)
    objective = make_objective(config, respondent)
    if needs_gradient(config):
        check_gradient(config.read_out, respondent)
    space, begun = make_space(config.space, respondent), start_identity(config.space)
    path = out if out is not None else default_folder(config)
    refuse_used(path)
    # Without these two rows the run could not be evaluated at its end.
    for name, baseline in (("naive", objective), ("persona", under_persona(objective))):
        answered_row(f"{config.model.id}, {name}", baseline.evaluate())
    policy = questions(config)[1]
    constants = constants_of(policy, respondent, objective.administrations, config.read_out, watch_personas)
    objective = replace(objective, constants=constants)
    wordings = tuple(dict.fromkeys(administration.wording for administration in objective.administrations))
    config = config.model_copy(update={"constants": policy, "wordings": wordings})
    _warn_of_constants(objective)
    others = [one.to_json() for one in every_policy(objective, watch_personas)[1:]]  # fixed before the search too
    rendered = rendered_table(objective)
    respondent.measure_batch_size(objective.administrations[0], config.space.tokens, config.search.population_size)
    config = config.model_copy(update={"model": respondent.settings})  # so that a resumed run passes the same batches
    provenance = {**provenance_of(config, objective, rendered), "other_constants": others, "start": begun}
    if config.plan is not None:
        started = datetime.now(UTC).isoformat(timespec="seconds")
        provenance["plan"] = {"hash": config.plan, "started": started}
    run = RunFolder.create(path, config, provenance, rendered)
    try:
        with run.locked():
            return _finish(run, config, objective, space, watch)
    except Exception:
        if not run.committed_generation():  # nothing to go on with; an interrupt is no Exception and leaves the folder
            shutil.rmtree(run.path, ignore_errors=True)
        raise


def default_folder(config: RunConfig) -> Path:
    """Return a new folder under `runs/`, named after model, target, search and seed."""
    model, target = public_name(config.model.id).rpartition("/")[2], _target_code(config)
    return free_folder(Path("runs"), f"{model}-{target}-{config.preset or config.search.name}-{config.search.seed}")


def resume(path: str | Path, respondent: Respondent | None = None, watch: Watcher | None = None) -> Run:
    """Go on with a run that was interrupted, from its last committed generation; return the finished run.

    Args:
        path: the run folder.
        respondent: the model; by default it is loaded as the run's settings say.
        watch: called with the Record of every generation.

    Raises:
        RunError: there is no run, or model, instrument, target or constants are not what it was started with.
    """
    run = RunFolder.open(Path(path))
    config = run.config()
    if respondent is None:
        from hofsteer.respondent.hf import HFRespondent

        respondent = HFRespondent.load(config.model)
    recorded = run.read_json("provenance.json")
    objective = make_objective(config, respondent)
    objective = replace(objective, constants=_recorded_constants(run, config, objective.constants))
    stored = run.read_json("rendered.json")
    rendered: dict[str, Any] = {key: stored[key] for key in ("administrations", "neutral") if key in stored}
    provenance = provenance_of(config, objective, rendered)
    for key in DECIDING:
        _refuse_changed(path, key, recorded.get(key), provenance[key])
    if not run.committed_generation():
        _refuse_changed(path, "start", recorded.get("start"), start_identity(config.space))
    use_rendered(rendered, objective)
    moved = departure(objective.constants, respondent, objective.administrations, config.read_out)
    if not moved <= MOST_DEPARTURE:
        raise RunError(
            f"{path} cannot be resumed: under personas the model's scores are up to {moved:.1f} points from those that "
            f"its constants were fitted to, and {MOST_DEPARTURE} are allowed"
        )
    here, committed = environment(respondent), run.environment() or {}
    for key, was in committed.items():
        if here.get(key) != was:
            log.warning(
                "%s: %s was %s and is now %s, so losses may differ in the last digits", path, key, was, here.get(key)
            )
    with run.locked():
        return _finish(run, config, objective, make_space(config.space, respondent), watch)


def _refuse_changed(path: str | Path, key: str, was: Any, now: Any) -> None:
    if now != was:
        before, after = changes(was, now)
        raise RunError(f"{path} cannot be resumed: its {key} was {before} and is now {after}")


def _finish(
    run: RunFolder,
    config: RunConfig,
    objective: Objective,
    space: Space,
    watch: Watcher | None,
) -> Run:
    respondent, target = objective.respondent, objective.target
    assert target is not None
    here, model_name = environment(respondent), public_name(config.model.id)
    state, rule = search(run, objective, make_method(config, objective, space), config.stop, here, watch)
    history, durations = run.history(), run.durations()
    found, unpolished = state, None
    if config.polish.steps:
        polish, rate = run.part(POLISH), config.polish.learning_rate
        descent = Descent(objective, space, lambda: state.best[None], 1, config.polish.steps, rate, state.evaluations)
        found, _ = search(polish, objective, descent, StopSettings(), here, watch)
        history, durations = [*history, *polish.history()], [*durations, *polish.durations()]
        with named_write_errors(run.path, state.generation):
            SoftPrompt(space.decode(state.best[None])[0], model_name).save(run.path / UNPOLISHED)
        unpolished = SoftPrompt.load(run.path / UNPOLISHED)
    adapter = run.path / "soft_prompt"
    with named_write_errors(run.path, state.generation):
        SoftPrompt(space.decode(found.best[None])[0], model_name).save(adapter)
    # What is exported is what is evaluated, and where answers are drawn, with draws that the search has not seen.
    others = run.read_json("provenance.json").get("other_constants", [])
    policies = [objective.constants, *map(Constants.from_json, others)]
    evaluation = evaluate_run(objective.afresh(), SoftPrompt.load(adapter), policies, unpolished)
    note = start_note(run.read_json("provenance.json").get("start", {"kind": "noise"}))
    said = (note, wording_note(objective.instrument))
    evaluation = replace(evaluation, notes=(*filter(None, said), *_anchor_notes(objective)))
    if unpolished is not None:
        steps, more = config.polish.steps, found.evaluations - state.evaluations
        polish_cost = Polish(steps, more, objective.passes(more))
        notes = (*evaluation.notes, polish_note(evaluation, steps, state.evaluations, more))
        evaluation = replace(evaluation, notes=notes, polish=polish_cost)
    result = Run(run, config, evaluation, state.evaluations, run.seconds(), rule)
    with named_write_errors(run.path, state.generation):
        replace_text(adapter / "README.md", adapter_card(evaluation, model_name, objective.instrument))
        figure = convergence_figure(history, durations, evaluation)
        replace_text(run.path / "convergence.svg", figure)
        replace_text(run.path / "report.html", run_report(figure, evaluation, model_name, objective.instrument))
        spent = {"stopped_by": rule, "evaluations": state.evaluations, "passes": objective.passes(state.evaluations)}
        replace_json(run.path / "evaluation.json", {"schema": 1, **spent, **evaluation.to_json()})
    return result


def _recorded_constants(run: RunFolder, config: RunConfig, unasked: Constants) -> Constants:
    """Return the constants that a run was started with; `unasked` where they rest on no answers."""
    policy = questions(config)[1]
    if policy == unasked.kind:
        return unasked
    instrument = load_instrument(config.instrument)
    try:
        constants = Constants.from_json(run.read_json("provenance.json")["constants"])
        if (tie := constants.tie) is None:
            raise ValueError(f"they rest on no answers, and {policy} do")
        published = np.stack([load_target(code).vector(instrument.dimension_ids) for code in tie.countries])
        now = tie_constants(policy, instrument, replace(tie, published=published)).values
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{run.path}: the constants in provenance.json cannot be read: {error}") from None
    if now.shape != constants.values.shape or not np.allclose(now, constants.values, rtol=0, atol=1e-6):
        was = constants.values.tolist()
        raise RunError(f"{run.path} cannot be resumed: its constants was {was} and is now {now.tolist()}")
    return constants


def _warn_of_constants(objective: Objective) -> None:
    if weak := objective.constants.weak(objective.instrument.dimension_ids):
        log.warning("%s", weak_constants(weak))
    for note in _anchor_notes(objective):
        log.warning("%s", note)


def _anchor_notes(objective: Objective) -> tuple[str, ...]:
    """Return what must be said where the target is one of the anchors."""
    constants, target = objective.constants, objective.target
    assert target is not None
    found = anchors(constants.kind) if constants.kind.startswith(ANCHOR) else ()
    if target.code.partition("@")[0] not in [country.code.partition("@")[0] for country in found]:
        return ()
    return (f"The target {target.code} is one of the anchors: the constants were fitted to its own published scores.",)


def _target_code(config: RunConfig) -> str:
    return target_for(config.target, load_instrument(config.instrument)).code.replace(":", "-")
