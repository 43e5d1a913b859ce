"""From settings to the parts of a run: forms, objective, search."""

from typing import Any

from hofsteer.alignment.gradient import Descent, check_gradient
from hofsteer.alignment.loop import BlackBox, Method
from hofsteer.alignment.objective import PASSES_OF_A_GRADIENT_STEP, Objective, forms
from hofsteer.alignment.space import Space
from hofsteer.alignment.start import start_identity, starting_population
from hofsteer.config import RunConfig, SearchSettings
from hofsteer.errors import ConfigError, TargetError, did_you_mean
from hofsteer.instruments import Administration, Instrument, load_instrument
from hofsteer.instruments.base import Floats
from hofsteer.respondent.base import Respondent
from hofsteer.search import Optimizer, make_optimizer
from hofsteer.targets import Target, constants_for, policy_for, target_for


def check_settings(config: RunConfig) -> None:
    """Raise HofsteerError if the settings cannot be met, before a model is loaded for them."""
    if config.search.name == "adam":
        gradient_steps(config.search)
        if config.polish.steps:
            raise ConfigError("polish.steps follow a black-box search; search.name = 'adam' is gradient steps already")
    else:
        make_search(config.search)
    if needs_gradient(config):
        check_gradient(config.read_out)
    questions(config)
    start_identity(config.space)


def make_objective(config: RunConfig, respondent: Respondent) -> Objective:
    """Return the objective that the settings describe, with constants that need no answers."""
    administrations, policy, target = questions(config)
    instrument = administrations[0].instrument
    constants = constants_for(instrument, policy if policy in ("midpoint", "none") else None)
    return Objective(respondent, administrations, constants, target, config.read_out, config.objective)


def questions(config: RunConfig) -> tuple[tuple[Administration, ...], str, Target]:
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
    if config.objective.loss != "index":
        _check_item_loss(config, instrument, target)
    return forms(instrument, config.wordings, config.orders, config.cue), policy, target


def make_search(settings: SearchSettings) -> Optimizer[Any]:
    """Return the optimizer that the settings describe. Raises ConfigError if its budget is below one population."""
    if settings.budget < settings.population_size:
        raise ConfigError(
            f"search.budget wants at least the {settings.population_size} evaluations of one population, "
            f"got {settings.budget}"
        )
    return make_optimizer(**settings.model_dump(exclude=set() if settings.name == "lshade" else {"budget"}))


def make_method(config: RunConfig, objective: Objective, space: Space) -> Method:
    """Return the search that the settings describe."""
    settings = config.search
    if settings.name != "adam":
        return BlackBox(make_search(settings), objective, space, config)
    size, respondent = settings.population_size, objective.respondent

    def start() -> Floats:
        return starting_population(space, config.space, respondent, size, settings.seed)

    return Descent(objective, space, start, size, gradient_steps(settings), settings.learning_rate)


def policy_of(config: RunConfig) -> str:
    """Return the policy of constants that the settings name, or that is the instrument's default."""
    return questions(config)[1]


def planned_evaluations(config: RunConfig) -> int:
    """Return the evaluations that a run may take, a polish included."""
    steps = config.polish.steps
    return config.search.budget + (PASSES_OF_A_GRADIENT_STEP * steps + 1 if steps else 0)


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


def _check_item_loss(config: RunConfig, instrument: Instrument, target: Target) -> None:
    """Raise ConfigError unless the loss between item distributions can be told, and nothing beside it is of indices."""
    loss = f"objective.loss = {config.objective.loss!r}"
    if target.items is None:
        raise ConfigError(
            f"{loss} wants a target with item distributions, a group of a table made by `hofsteer targets fit` or "
            f"`hofsteer instruments fit`; {target.code} has scores alone"
        )
    try:
        target.items.on(instrument)
    except TargetError as error:
        raise ConfigError(f"{loss}: {error}") from None
    for key, given in (
        ("objective.weights", bool(config.objective.weights)),
        ("stop.loss", config.stop.loss is not None),
        ("stop.noise_floor", config.stop.noise_floor),
    ):
        if given:
            raise ConfigError(f"{key} is of the index loss, and {loss}: leave one out")


def _check_weights(config: RunConfig, instrument: Instrument, target: Target) -> None:
    for name in config.objective.weights:
        if name not in instrument.dimension_ids:
            raise ConfigError(
                f"objective.weights wants dimensions of {instrument.id}, {', '.join(instrument.dimension_ids)}; "
                f"got {name!r}{did_you_mean(name, instrument.dimension_ids)}"
            )
    if not any(config.objective.weights.get(d, 1.0) for d in instrument.dimension_ids if d in target.scores):
        raise ConfigError(f"objective.weights leaves no dimension that {target.name} has a score on")
