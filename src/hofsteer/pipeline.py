"""From settings to a steered model: the run that `hofsteer align`, `hofsteer resume` and `hofsteer.align` share."""

import logging
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from hofsteer import __version__
from hofsteer.alignment.curve import Curve
from hofsteer.alignment.gradient import Descent, check_gradient
from hofsteer.alignment.loop import BlackBox, Method, Watcher, search
from hofsteer.alignment.objective import PASSES_OF_A_GRADIENT_STEP, Objective, forms
from hofsteer.alignment.run import RunFolder, free_folder, named_write_errors, refuse_used, rendered_hash
from hofsteer.alignment.space import Space, make_space
from hofsteer.alignment.start import start_identity, start_note, starting_population
from hofsteer.alignment.stop import Rule
from hofsteer.baselines import persona_text
from hofsteer.config import RunConfig, SearchSettings, StopSettings, resolve
from hofsteer.errors import ConfigError, RunError, TargetError, did_you_mean
from hofsteer.evaluation.base import Polish, RunEvaluation, answered_row, evaluate_run
from hofsteer.evaluation.constants import Watcher as PersonaWatcher
from hofsteer.evaluation.constants import checked_countries, constants_of, departure, every_policy
from hofsteer.files import replace_json, replace_text
from hofsteer.instruments import Administration, Instrument, load_instrument
from hofsteer.instruments.base import Floats
from hofsteer.report import adapter_card, convergence_figure, polish_note, run_report, weak_constants, wording_note
from hofsteer.respondent.base import Respondent
from hofsteer.respondent.drift import Neutral
from hofsteer.respondent.render import Rendered
from hofsteer.respondent.soft_prompt import SoftPrompt
from hofsteer.search import Optimizer, make_optimizer
from hofsteer.targets import (
    Constants,
    Target,
    anchors,
    constants_for,
    load_target,
    policy_for,
    target_for,
    tie_constants,
)
from hofsteer.targets.constants import ANCHOR

RECORDED_PACKAGES = ("hofsteer", "numpy", "torch", "transformers", "tokenizers", "safetensors")
DECIDING = ("model", "instrument", "rendered_sha256", "target", "constants")  # the same, or a run is not resumed
LOSSES = ("naive", "persona", "flat", "mean_country", "aligned")  # printed of every run
POLISH, UNPOLISHED = "polish", "soft_prompt_unpolished"  # in the run folder: the polish, and what the search found
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
    wanted = name if row.kind == "group" else row.code  # a run finds the table again by its path
    config = config.model_copy(update={"target": wanted, "model": respondent.settings})
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
        check_gradient(config.read_out, config.objective, respondent)
    space, begun = make_space(config.space, respondent), start_identity(config.space)
    path = out if out is not None else default_folder(config)
    refuse_used(path)
    # Without these two rows the run could not be evaluated at its end.
    for name, baseline in (("naive", objective), ("persona", _under_persona(objective))):
        answered_row(f"{config.model.id}, {name}", baseline.evaluate())
    policy = _questions(config)[1]
    constants = constants_of(policy, respondent, objective.administrations, config.read_out, watch_personas)
    objective = replace(objective, constants=constants)
    wordings = tuple(dict.fromkeys(administration.wording for administration in objective.administrations))
    config = config.model_copy(update={"constants": policy, "wordings": wordings})
    _warn_of_constants(objective)
    others = [one.to_json() for one in every_policy(objective, watch_personas)[1:]]  # fixed before the search too
    rendered = _rendered_table(objective)
    respondent.measure_batch_size(objective.administrations[0], config.space.tokens, config.search.population_size)
    config = config.model_copy(update={"model": respondent.settings})  # so that a resumed run passes the same batches
    provenance = {**_provenance(config, objective, rendered), "other_constants": others, "start": begun}
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
    model, target = _public_name(config.model.id).rpartition("/")[2], _target_code(config)
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
    provenance = _provenance(config, objective, rendered)
    for key in DECIDING:
        was, now = recorded.get(key), provenance[key]
        if now != was:
            raise RunError(f"{path} cannot be resumed: its {key} was {was} and is now {now}")
    if not run.committed_generation() and (now := start_identity(config.space)) != recorded.get("start"):
        raise RunError(f"{path} cannot be resumed: its start was {recorded.get('start')} and is now {now}")
    _use_rendered(rendered, objective)
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


def check_settings(config: RunConfig) -> None:
    """Raise HofsteerError if the settings cannot be met, before a model is loaded for them."""
    if config.search.name == "adam":
        gradient_steps(config.search)
        if config.polish.steps:
            raise ConfigError("polish.steps follow a black-box search; search.name = 'adam' is gradient steps already")
    else:
        make_search(config.search)
    if needs_gradient(config):
        check_gradient(config.read_out, config.objective)
    _questions(config)
    start_identity(config.space)


def needs_gradient(config: RunConfig) -> bool:
    """Return whether a run takes gradient steps."""
    return config.search.name == "adam" or config.polish.steps > 0


def gradient_steps(settings: SearchSettings) -> int:
    """Return the gradient steps that a budget allows: what is left of it after the starts and one last evaluation.

    Raises ConfigError if it allows none.
    """
    starts = settings.population_size if settings.population_size > 1 else 0
    if (steps := (settings.budget - starts - 1) // PASSES_OF_A_GRADIENT_STEP) < 1:
        raise ConfigError(
            f"search.budget wants at least {starts + 1 + PASSES_OF_A_GRADIENT_STEP} evaluations for the starts, one "
            f"gradient step and where it leads, got {settings.budget}"
        )
    return steps


def make_method(config: RunConfig, objective: Objective, space: Space) -> Method:
    """Return the search that the settings describe."""
    settings = config.search
    if settings.name != "adam":
        return BlackBox(make_search(settings), objective, space, config)
    size, respondent = settings.population_size, objective.respondent

    def start() -> Floats:
        return starting_population(space, config.space, respondent, size, settings.seed)

    return Descent(objective, space, start, size, gradient_steps(settings), settings.learning_rate)


def planned_evaluations(config: RunConfig) -> int:
    """Return the evaluations that a run may take, a polish included."""
    steps = config.polish.steps
    return config.search.budget + (PASSES_OF_A_GRADIENT_STEP * steps + 1 if steps else 0)


def make_objective(config: RunConfig, respondent: Respondent) -> Objective:
    """Return the objective that the settings describe, with constants that need no answers."""
    administrations, policy, target = _questions(config)
    instrument = administrations[0].instrument
    constants = constants_for(instrument, policy if policy in ("midpoint", "none") else None)
    return Objective(respondent, administrations, constants, target, config.read_out, config.objective)


def policy_of(config: RunConfig) -> str:
    """Return the policy of constants that the settings name, or that is the instrument's default."""
    return _questions(config)[1]


def make_search(settings: SearchSettings) -> Optimizer[Any]:
    """Return the optimizer that the settings describe. Raises ConfigError if its budget is below one population."""
    if settings.budget < settings.population_size:
        raise ConfigError(
            f"search.budget wants at least the {settings.population_size} evaluations of one population, "
            f"got {settings.budget}"
        )
    return make_optimizer(**settings.model_dump(exclude=set() if settings.name == "lshade" else {"budget"}))


def environment(respondent: Respondent) -> dict[str, Any]:
    """Return what decides the last digits of a result on this machine; no host or user name."""
    import torch

    found: dict[str, Any] = {
        "machine": platform.machine(),
        "python": platform.python_version(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "versions": {name: _version(name) for name in RECORDED_PACKAGES},
    }
    return found | respondent.conditions()


def _finish(
    run: RunFolder,
    config: RunConfig,
    objective: Objective,
    space: Space,
    watch: Watcher | None,
) -> Run:
    respondent, target = objective.respondent, objective.target
    assert target is not None
    here, model_name = environment(respondent), _public_name(config.model.id)
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


def _questions(config: RunConfig) -> tuple[tuple[Administration, ...], str, Target]:
    """Return the fitted forms, the policy of constants and the target."""
    instrument = load_instrument(config.instrument)
    target = target_for(config.target, instrument)
    policy = policy_for(instrument, config.constants or target.constants)
    if policy == "none" and instrument.constants == "chosen":
        raise ConfigError("align wants constants that put the scores on the target's scale, such as midpoint; got none")
    if target.constants is not None and policy != target.constants:
        raise ConfigError(f"{target.code} was scored with constants {target.constants}: want the same, got {policy}")
    if not set(target.scores) & set(instrument.dimension_ids):
        raise ConfigError(f"{target.name} has no score on any dimension of {instrument.id}")
    _check_weights(config, instrument, target)
    return forms(instrument, config.wordings, config.orders, config.cue), policy, target


def _recorded_constants(run: RunFolder, config: RunConfig, unasked: Constants) -> Constants:
    """Return the constants that a run was started with; `unasked` where they rest on no answers."""
    policy = _questions(config)[1]
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


def _check_weights(config: RunConfig, instrument: Instrument, target: Target) -> None:
    for name in config.objective.weights:
        if name not in instrument.dimension_ids:
            raise ConfigError(
                f"objective.weights wants dimensions of {instrument.id}, {', '.join(instrument.dimension_ids)}; "
                f"got {name!r}{did_you_mean(name, instrument.dimension_ids)}"
            )
    if not any(config.objective.weights.get(d, 1.0) for d in instrument.dimension_ids if d in target.scores):
        raise ConfigError(f"objective.weights leaves no dimension that {target.name} has a score on")


def _target_code(config: RunConfig) -> str:
    return target_for(config.target, load_instrument(config.instrument)).code.replace(":", "-")


def _provenance(config: RunConfig, objective: Objective, rendered: dict[str, Any]) -> dict[str, Any]:
    respondent, target, instrument = objective.respondent, objective.target, objective.instrument
    assert target is not None
    return {
        "versions": {name: _version(name) for name in RECORDED_PACKAGES},
        "model": {"id": _public_name(config.model.id), **respondent.identity()},
        "instrument": {"id": instrument.id, "sha256": instrument.hash},
        "rendered_sha256": rendered_hash(rendered),
        "target": {
            "code": target.code,
            "scores": dict(target.scores),
            "sources": dict(target.sources),
            "estimated": sorted(target.estimated),
            **({} if target.kind != "group" else {"n": target.n, "standard_errors": dict(target.errors)}),
        },
        "constants": objective.constants.to_json(),
    }


def _administrations(objective: Objective) -> Sequence[Administration]:
    """All administrations of a run in a fixed order: the fitted forms, and the same under personas.

    These are the target's and, where constants rest on answers, those that a resume asks again.
    """
    others = [objective.with_system(persona_text(country)) for country in checked_countries(objective.constants)]
    asked = (objective, _under_persona(objective), *others)
    return [administration for one in asked for administration in one.administrations]


def _under_persona(objective: Objective) -> Objective:
    assert objective.target is not None
    return objective.with_system(persona_text(objective.target))


def _rendered_table(objective: Objective) -> dict[str, Any]:
    """Return the token ids of all administrations; none for a respondent that has no tokens."""
    rendered = [objective.respondent.rendered(administration) for administration in _administrations(objective)]
    table: dict[str, Any] = {"administrations": [r.to_json() for r in rendered if r is not None]}
    if objective.settings.drift_penalty and (texts := objective.respondent.neutral()) is not None:
        table["neutral"] = texts
    return table


def _use_rendered(rendered: dict[str, Any], objective: Objective) -> None:
    """Put every administration with the token ids stored in the run, never rendered again."""
    stored = rendered["administrations"]
    for administration, table in zip(_administrations(objective), stored, strict=bool(stored)):
        objective.respondent.use_rendered(administration, Rendered.from_json(table))
    if "neutral" in rendered:
        objective.respondent.use_neutral(tuple(Neutral(tuple(ids), first) for ids, first in rendered["neutral"]))


def _public_name(model_id: str) -> str:
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
