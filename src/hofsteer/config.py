"""The settings of one run: every default, the reading of TOML, and what overrides what.

Precedence: defaults < preset < TOML file < named flag < `--set key=value`.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from hofsteer.errors import ConfigError, did_you_mean
from hofsteer.tables import by_dotted_key, merge, nested, parse_set, read_toml

FORMAT = 1
PRESETS = Path(str(files("hofsteer"))) / "presets"

M = TypeVar("M")
Share = Annotated[float, Field(ge=0, le=1)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelSettings(_Settings):
    """Which model answers, and how it is loaded. `None` leaves the choice to the machine."""

    id: str = "mini"  # hub id, local folder or `mini`
    revision: str | None = None
    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    device: str | None = None
    trust_remote_code: bool = False
    template: dict[str, bool | int | str] = {}  # arguments of the chat template, such as enable_thinking = false
    batch_size: Annotated[int, Field(ge=1)] | None = (
        None  # candidates of one pass at most; `align` measures and keeps it
    )


class ReadOut(_Settings):
    """How an answer is read from a model."""

    # `expected`: the model's own probabilities, exactly. `tempered`: as the temperature and top-p leave them, exactly.
    # `greedy`: the likeliest token. `sampled`: draws from `tempered`. `generated`: text, token by token, then parsed.
    kind: Literal["expected", "tempered", "greedy", "sampled", "generated"] = "expected"
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0  # nucleus: the likeliest tokens that together have this share
    draws: Annotated[int, Field(ge=1)] = 5  # of `sampled` and `generated`
    seed: Annotated[int, Field(ge=0)] = 0  # of the draws
    stream: Annotated[int, Field(ge=0)] = 0  # 0 in a search; what it found is scored with draws of another stream
    max_new_tokens: Annotated[int, Field(ge=1)] = 16  # of `generated`

    def in_words(self) -> str:
        """Return what was done, in a few words."""
        if self.kind in ("expected", "greedy"):
            return f"read-out {self.kind}"
        times = f", {self.draws} draws" if self.kind in ("sampled", "generated") else ""
        return f"read-out {self.kind} (temperature {self.temperature:g}, top-p {self.top_p:g}{times})"

    def afresh(self) -> "ReadOut":
        """Return the same read-out with draws that no search has seen."""
        return self.model_copy(update={"stream": self.stream + 1})


EXPECTED = ReadOut()


class SpaceSettings(_Settings):
    """What a search vector means, and where the search starts."""

    tokens: Annotated[int, Field(ge=1)] = 8  # L, virtual tokens
    coordinates: Annotated[int, Field(ge=1)] | None = None  # k, of each token in a subspace; None: all its numbers
    map: Literal["random", "pca"] = "random"  # of the subspace: random directions, or principal ones of the vocabulary
    map_seed: Annotated[int, Field(ge=0)] = 0  # of the random directions; the search's seed has no part in them
    norm_limit: bool = False  # keep each row's length within that of the vocabulary's rows
    start: str = "noise"  # or `vocabulary`, `text:A SENTENCE`, `run:FOLDER`
    start_scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0  # deviation of the first noise, in spreads
    start_jitter: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.2  # around a text, a run or BOS, in spreads
    bos: bool = False  # row 0 starts from the beginning-of-sequence token

    @property
    def start_kind(self) -> tuple[str, str]:
        """Where the search starts, and from which text or folder."""
        kind, _, detail = self.start.partition(":")
        return kind.strip(), detail.strip()

    @field_validator("start")
    @classmethod
    def _check_start(cls, start: str) -> str:
        kind, colon, detail = start.partition(":")
        named = kind.strip() in ("text", "run") and detail.strip()
        if not (named or (kind.strip() in ("noise", "vocabulary") and not colon)):
            expected = "'noise', 'vocabulary', 'text:A SENTENCE' or 'run:FOLDER'"
            raise PydanticCustomError("literal_error", "unknown start", {"expected": expected})
        return start


class ObjectiveSettings(_Settings):
    """What the search minimises: a loss, and what counts beside it, by default nothing. Penalties are in its points."""

    # `index`: mean |score - target|. `wasserstein`, `jensen-shannon`: between answer distributions, mean over items.
    loss: Literal["index", "wasserstein", "jensen-shannon"] = "index"
    weights: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = {}  # dimension -> weight; 1 for the others
    mass_penalty: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0  # points for each unit of missing valid mass
    mass_threshold: Share = 0.9  # an item's valid mass below this is missing
    drift_penalty: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0  # points for each nat a token of drift


class StopSettings(_Settings):
    """What ends a search before its budget is spent; None and false end nothing. Looked at after each generation."""

    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None  # that the generations took
    loss: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None  # index points, or lower
    noise_floor: bool = False  # at the target's noise floor, or lower
    stagnation: Annotated[int, Field(ge=1)] | None = None  # evaluations without a gain of more than `improvement`
    improvement: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.1  # points of what is minimised


PLAIN = ObjectiveSettings()


class _AnySearch(_Settings):
    budget: Annotated[int, Field(ge=1)] = 2000  # evaluations, the starting population included
    seed: Annotated[int, Field(ge=0)] = 0
    population_size: Annotated[int, Field(ge=4)] = 32  # of the first generation


class GaussNewtonSettings(_AnySearch):
    """Gauss-Newton from probes, the default, and how long it runs."""

    name: Literal["gauss-newton"] = "gauss-newton"
    # Generations after the first have half the population, at least 4.
    warm_up: Annotated[int, Field(ge=0)] = 256  # evaluations before the first probes, the first generation included


class DESettings(_AnySearch):
    """Differential Evolution and how long it runs."""

    name: Literal["de"]
    differential_weight: Annotated[float, Field(gt=0, le=2)] = 0.5  # F
    crossover_rate: Share = 0.7  # CR
    strategy: Literal["rand/1", "best/1", "current-to-best/1"] = "best/1"
    crossover: Literal["binomial", "token"] = "binomial"


class ShadeSettings(_AnySearch):
    """SHADE or L-SHADE and how long it runs."""

    name: Literal["shade", "lshade"]
    history_size: Annotated[int, Field(ge=1)] = 6  # H


class CMASettings(_AnySearch):
    """CMA-ES, separable or full, and how long it runs."""

    name: Literal["sep-cma", "cma"]


class PSOSettings(_AnySearch):
    """Particle swarm and how long it runs."""

    name: Literal["pso"]
    inertia: Annotated[float, Field(ge=0, lt=1)] = 0.7298  # w
    cognitive: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.49618  # c1
    social: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.49618  # c2
    velocity_limit: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.5  # a step, in deviations of the start
    topology: Literal["global", "ring"] = "global"


class RandomSettings(_AnySearch):
    """Random search and how long it runs."""

    name: Literal["random"]


class AdamSettings(_AnySearch):
    """Gradient descent and how long it runs: a step counts as three evaluations of the budget."""

    name: Literal["adam"]
    population_size: Annotated[int, Field(ge=1)] = 32  # starts, those of the other searches; it goes on from the best
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.1  # of the first step, in units of the space


SearchSettings = (
    GaussNewtonSettings | DESettings | ShadeSettings | CMASettings | PSOSettings | RandomSettings | AdamSettings
)


class PolishSettings(_Settings):
    """Gradient steps after a black-box search, from the best that it found. They come on top of its budget."""

    steps: Annotated[int, Field(ge=0)] = 0
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.05  # of the first step, in units of the space


class RunConfig(_Settings):
    """Everything that decides the result of a run."""

    format: int = FORMAT
    preset: str | None = None  # the preset these settings started from
    plan: str | None = None  # hash of the plan that the run was started under
    target: str
    instrument: str = "vsm13"
    constants: str | None = None  # policy: `fitted`, `anchor:USA,JPN`, `midpoint`; `none` where the zero is fixed
    # Fitted forms: every wording in every order. None: the first two wordings, or the one that the instrument has.
    wordings: Annotated[tuple[int, ...], Field(min_length=1)] | None = None
    orders: Annotated[tuple[Literal["listed", "reversed"], ...], Field(min_length=1)] = ("listed", "reversed")
    cue: str = ""  # what the assistant's answer begins with, before the label
    model: ModelSettings = ModelSettings()
    space: SpaceSettings = SpaceSettings()
    objective: ObjectiveSettings = PLAIN
    stop: StopSettings = StopSettings()
    search: Annotated[SearchSettings, Field(discriminator="name")] = GaussNewtonSettings()
    polish: PolishSettings = PolishSettings()
    read_out: ReadOut = EXPECTED

    @model_validator(mode="before")
    @classmethod
    def _name_the_search(cls, table: Any) -> Any:
        """Take a search without a name to be the default."""
        if isinstance(table, Mapping) and isinstance(search := table.get("search"), Mapping):
            return {**table, "search": {"name": GaussNewtonSettings().name, **search}}
        return table


def resolve(
    preset: str | None = None,
    file: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    sets: Sequence[str] = (),
) -> RunConfig:
    """Return the settings of a run.

    Args:
        preset: name of a bundled preset, such as `masoud2025`.
        file: a TOML file with some of the settings.
        flags: dotted key (`search.seed`) to value; None means that the flag was not given.
        sets: texts `key=value`, the value in TOML syntax or a bare word.

    Raises:
        ConfigError: an unknown preset or key, a value out of range, a key given twice, a file that is not TOML.
    """
    given = {key: value for key, value in {"preset": preset, **(flags or {})}.items() if value is not None}
    table: dict[str, Any] = {}
    if file is not None:
        merge(table, read_toml(file))
    for key, value in given.items():
        merge(table, nested(key, value))
    for text in sets:
        one = nested(*parse_set(text))
        for key in by_dotted_key(one):
            if key in given:
                raise ConfigError(f"{key} is given both by its flag and by --set; keep one")
        merge(table, one)
    if "preset" in table:  # wherever it was named: it stands below all else
        named, table = table, _read_preset(str(table["preset"]))
        searches = [one.get("search", {}).get("name") for one in (named, table)]
        if searches[0] not in (None, searches[1]):
            table.pop("search", None)  # its settings are those of another search
        merge(table, named)
    return check(table)


def check(table: Mapping[str, Any]) -> RunConfig:
    """Return the settings in a nested table. Raises ConfigError with the first problem, in one line."""
    if table.get("format", FORMAT) != FORMAT:
        raise ConfigError(f"want settings of format {FORMAT}, got format {table['format']!r}")
    return check_table(RunConfig, table)


def check_model(**fields: Any) -> ModelSettings:
    """Return model settings; None is as good as not given. Raises ConfigError if a value is not allowed."""
    return check_table(ModelSettings, {name: value for name, value in fields.items() if value is not None})


def template_arguments(texts: Sequence[str]) -> dict[str, Any]:
    """Return what `name=value` texts say, values in TOML syntax or bare words. Raises ConfigError for anything else."""
    return dict(parse_set(text, "--template") for text in texts)


def check_read_out(**fields: Any) -> ReadOut:
    """Return a read-out; None is as good as not given. Raises ConfigError if a value is not allowed."""
    return check_table(ReadOut, {name: value for name, value in fields.items() if value is not None})


def to_toml(config: RunConfig) -> str:
    """Return the settings as TOML that `check` reads back; what is None is left out."""
    import tomli_w

    return tomli_w.dumps(config.model_dump(exclude_none=True, mode="json"))


def settings_apart(one: RunConfig, other: RunConfig) -> dict[str, tuple[Any, Any]]:
    """Return the settings in which two runs differ, by dotted key, with both values.

    Of two kinds of search it is `search.name`, and what both have.

    >>> settings_apart(resolve(flags={"target": "JPN"}), resolve(flags={"target": "CHN", "search.seed": 3}))
    {'target': ('JPN', 'CHN'), 'search.seed': (0, 3)}
    """
    own, others = (dict(_settings(config)) for config in (one, other))
    return {key: (own[key], others[key]) for key in own if key in others and own[key] != others[key]}


def _settings(config: RunConfig) -> Iterator[tuple[str, Any]]:
    for key, value in config:
        if isinstance(value, BaseModel):
            yield from ((f"{key}.{name}", inner) for name, inner in value)
        else:
            yield key, value


def search_names() -> tuple[str, ...]:
    """Return the names that `search.name` may have."""
    return tuple(name for kind in get_args(SearchSettings) for name in get_args(kind.model_fields["name"].annotation))


def preset_names() -> tuple[str, ...]:
    """Return the names of the bundled presets."""
    return tuple(sorted(path.stem for path in PRESETS.glob("*.toml")))


def _read_preset(name: str) -> dict[str, Any]:
    names = preset_names()
    if name not in names:
        raise ConfigError(f"unknown preset {name!r}{did_you_mean(name, names)} (there are {', '.join(names)})")
    return read_toml(PRESETS / f"{name}.toml")


def check_table(model: type[M], table: Any, where: str | None = None) -> M:
    """Return the pydantic model or dataclass that a table holds.

    Args:
        model: what is wanted.
        table: nested, as TOML or JSON give it.
        where: the file that it is all of, in words; None for settings, which flags and other files may complete.

    Raises:
        ConfigError: the first problem, in one line.
    """
    try:
        found: M = _checker(cast("Any", model)).validate_python(table)
        return found
    except ValidationError as error:
        problem = _first_problem(error, model, complete=where is not None)
        raise ConfigError(problem if where is None else f"{where}: {problem}") from None


@cache
def _checker(model: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(model)


def _first_problem(error: ValidationError, model: type[Any], complete: bool) -> str:
    problem = error.errors(include_url=False)[0]
    parts = list(map(str, problem["loc"]))
    if not parts:
        return f"want a table, got {problem['input']!r}"
    search = parts.pop(1) if parts[0] == "search" and len(parts) > 2 else ""  # pydantic puts its name there
    key = ".".join(parts)
    match problem["type"]:
        case "extra_forbidden":
            keys = _keys(model)
            if key in keys:  # known, but of another search
                owner = next(one for one in get_args(SearchSettings) if parts[-1] in one.model_fields)
                name = get_args(owner.model_fields["name"].annotation)[0]
                return f"search.name = {search!r} has no setting {key!r}; name {name!r}, which has it"
            by_end = {name.rpartition(".")[2]: name for name in reversed(keys)}  # `seed` stands for `search.seed`
            hint = did_you_mean(by_end.get(key, key), keys)
            return f"unknown setting {key!r}{hint}"
        case "missing" if complete:
            return f"want the entry {key!r}, got none"
        case "missing":
            return f"the setting {key!r} is missing: give --{key}, or name it in a settings file"
        case "literal_error" | "union_tag_invalid":
            tagged = problem["type"] == "union_tag_invalid"
            wanted = problem["ctx"]["expected_tags" if tagged else "expected"]
            key, given = ("search.name", problem["ctx"]["tag"]) if tagged else (key, problem["input"])
            names = [name.strip("' ") for name in wanted.replace(" or ", ", ").split(",")]
            return f"{key} wants {wanted}, got {given!r}{did_you_mean(str(given), names)}"
    return f"{key}: {problem['msg'][0].lower()}{problem['msg'][1:]}, got {problem['input']!r}"


def _keys(model: type[Any], prefix: str = "") -> list[str]:
    keys = []
    for name, field in model.model_fields.items():
        models = [one for one in (get_args(field.annotation) or (field.annotation,)) if _is_model(one)]
        keys += [key for inner in models for key in _keys(inner, f"{prefix}{name}.")] or [f"{prefix}{name}"]
    return list(dict.fromkeys(keys))


def _is_model(one: Any) -> bool:
    return isinstance(one, type) and issubclass(one, BaseModel)
