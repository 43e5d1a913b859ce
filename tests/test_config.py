import tomllib

import pytest

from hofsteer.config import FORMAT, PSOSettings, RunConfig, check, check_model, preset_names, resolve, to_toml
from hofsteer.errors import ConfigError


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "settings.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def message_of(call, *args, **kwargs):
    with pytest.raises(ConfigError) as caught:
        call(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_defaults():
    config = resolve(flags={"target": "JPN"})
    assert config == RunConfig(target="JPN")
    assert (config.model.id, config.instrument, config.constants) == ("mini", "vsm13", None)  # the instrument decides
    assert (config.space.tokens, config.search.budget, config.search.seed) == (8, 2000, 0)
    assert (config.wordings, config.orders) == (None, ("listed", "reversed"))  # the first two that there are


def test_each_step_overrides_the_one_before(write):
    file = write('preset = "masoud2025"\n[space]\ntokens = 3\n[search]\ncrossover_rate = 0.3\nbudget = 300\n')
    target = {"target": "JPN"}
    assert resolve(flags=target).space.tokens == 8
    assert resolve("masoud2025", flags=target).space.tokens == 20
    assert resolve("masoud2025", file, flags=target).space.tokens == 3
    assert resolve("masoud2025", file, {**target, "space.tokens": 4}).space.tokens == 4
    assert resolve("masoud2025", file, {**target, "search.budget": 400}, ["space.tokens=5"]).space.tokens == 5


def test_a_step_changes_only_what_it_names(write):
    file = write("[search]\ncrossover_rate = 0.3\nbudget = 300\n")
    config = resolve("masoud2025", file, {"target": "JPN", "search.budget": 400}, ["search.seed=9"])
    assert (config.search.budget, config.search.crossover_rate, config.search.seed) == (400, 0.3, 9)
    assert (config.search.differential_weight, config.space.tokens) == (0.5, 20)


def test_a_flag_that_was_not_given_overrides_nothing(write):
    file = write("[search]\nbudget = 300\n")
    assert resolve(file=file, flags={"target": "JPN", "search.budget": None}).search.budget == 300


def test_zero_and_false_are_given():
    config = resolve(sets=["search.name=de", "search.seed=4"], flags={"target": "JPN", "search.crossover_rate": 0.0})
    assert (config.search.crossover_rate, config.search.seed) == (0.0, 4)


@pytest.mark.parametrize("text", ["search.seed=3", " search.seed = 3", "search={seed = 3}"])
def test_same_key_by_flag_and_set(text):
    message = message_of(resolve, flags={"target": "JPN", "search.seed": 3}, sets=[text])
    assert message == "search.seed is given both by its flag and by --set; keep one"


def test_same_key_by_flag_and_set_is_refused_for_the_preset_too():
    assert "preset is given both" in message_of(resolve, "masoud2025", flags={"target": "JPN"}, sets=["preset=x"])


@pytest.mark.parametrize("where", ["flag", "file", "set"])
def test_preset_named_anywhere_stands_below_all_else(where, write):
    # a file that named a preset once recorded its name and took none of its settings
    preset = "masoud2025"
    config = {
        "flag": lambda: resolve(preset, flags={"target": "JPN"}, sets=["search.seed=1"]),
        "file": lambda: resolve(None, write(f'preset = "{preset}"\n[search]\nseed = 1\n'), {"target": "JPN"}),
        "set": lambda: resolve(flags={"target": "JPN"}, sets=["search.seed=1", f"preset={preset}"]),
    }[where]()
    assert (config.preset, config.space.tokens, config.search.seed) == (preset, 20, 1)


def test_settings_of_a_run_can_be_used_as_a_file(write):
    config = resolve("masoud2025", flags={"target": "JPN"}, sets=["space.tokens=2"])
    assert resolve(file=write(to_toml(config))) == config


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("search.seed=3", 3),
        ("search.seed = 3", 3),
        ("search.inertia=1e-1", 0.1),
        ("wordings=[0, 1]", (0, 1)),
        ('orders=["reversed"]', ("reversed",)),
        ("model.trust_remote_code=true", True),
        ("target=JPN", "JPN"),
        ('target="JPN"', "JPN"),
        ("target=SAU@arab-2021-05", "SAU@arab-2021-05"),
        ("model.id=org/name=1", "org/name=1"),
    ],
)
def test_set_takes_toml_values_and_bare_words(text, value):
    found = resolve(sets=["target=USA", "search.name=pso", text])
    for part in text.partition("=")[0].strip().split("."):
        found = getattr(found, part)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["search.seed", "", "=3", " = 3"])
def test_set_without_key_or_value(text):
    assert message_of(resolve, flags={"target": "JPN"}, sets=[text]) == f"--set wants key=value, got {text!r}"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("search.sede=1", "unknown setting 'search.sede'; did you mean 'search.seed'?"),
        ("seed=1", "unknown setting 'seed'; did you mean 'search.seed'?"),
        ("tokens=1", "unknown setting 'tokens'; did you mean 'space.tokens'?"),
        ("targets=JPN", "unknown setting 'targets'; did you mean 'target'?"),
        ("xyzzy=1", "unknown setting 'xyzzy'"),
        (
            "search.strategy=rand/1",
            "search.name = 'gauss-newton' has no setting 'search.strategy'; name 'de', which has it",
        ),
        (
            "search.name=dee",
            "search.name wants 'gauss-newton', 'de', 'shade', 'lshade', 'sep-cma', 'cma', 'pso', 'random', 'adam', "
            "got 'dee'; did you mean 'de'?",
        ),
        (
            "search.name=annealing",
            "search.name wants 'gauss-newton', 'de', 'shade', 'lshade', 'sep-cma', 'cma', 'pso', 'random', 'adam', "
            "got 'annealing'",
        ),
        (
            "search={name='de', strategy='rand/2'}",
            "search.strategy wants 'rand/1', 'best/1' or 'current-to-best/1', got 'rand/2'; did you mean 'rand/1'?",
        ),
        (
            "model.dtype=float23",
            "model.dtype wants 'float32', 'bfloat16' or 'float16', got 'float23'; did you mean 'float32'?",
        ),
        (
            "space.start=vocab",
            "space.start wants 'noise', 'vocabulary', 'text:A SENTENCE' or 'run:FOLDER', got 'vocab'; did you mean "
            "'vocabulary'?",
        ),
        (
            "space.start=text:",
            "space.start wants 'noise', 'vocabulary', 'text:A SENTENCE' or 'run:FOLDER', got 'text:'",
        ),
        ("space.start='run: '", "space.start wants 'noise', "),
        ("space.start=noise:1", "space.start wants 'noise', "),
        ("space.coordinates=0", "space.coordinates: input should be greater than or equal to 1, got 0"),
        ("space.map=pcb", "space.map wants 'random' or 'pca', got 'pcb'; did you mean 'pca'?"),
        ("stop.second=1", "unknown setting 'stop.second'; did you mean 'stop.seconds'?"),
        ("stop.seconds=0", "stop.seconds: input should be greater than 0, got 0"),
        ("stop.stagnation=0", "stop.stagnation: input should be greater than or equal to 1, got 0"),
        ("objective.drift=1", "unknown setting 'objective.drift'; did you mean 'objective.drift_penalty'?"),
        ("objective.mass_penalty=-1", "objective.mass_penalty: input should be greater than or equal to 0, got -1"),
        ("objective.mass_threshold=2", "objective.mass_threshold: input should be less than or equal to 1, got 2"),
        ("objective.weights={PDI=-2}", "objective.weights.PDI: input should be greater than or equal to 0, got -2"),
        ("objective.weights=2", "objective.weights: input should be a valid dictionary, got 2"),
        ('orders=["reverse"]', "orders.0 wants 'listed' or 'reversed', got 'reverse'; did you mean 'reversed'?"),
        ("search.population_size=3", "search.population_size: input should be greater than or equal to 4, got 3"),
        (
            "search={name='de', crossover_rate=1.5}",
            "search.crossover_rate: input should be less than or equal to 1, got 1.5",
        ),
        (
            "search={name='de', differential_weight=0}",
            "search.differential_weight: input should be greater than 0, got 0",
        ),
        ("search.seed=-1", "search.seed: input should be greater than or equal to 0, got -1"),
        ("space.tokens=0", "space.tokens: input should be greater than or equal to 1, got 0"),
        ("search.budget=many", "search.budget: input should be a valid integer, unable to parse string as an integer"),
    ],
)
def test_bad_settings(setting, message):
    assert message_of(resolve, sets=["target=JPN", setting]).startswith(message)


@pytest.mark.parametrize("setting", ["stop.seconds=nan", "space.start_scale=inf", "space.start_scale=nan"])
def test_numbers_are_finite(setting):
    key = setting.partition("=")[0]
    assert message_of(resolve, sets=["target=JPN", setting]).startswith(key)


@pytest.mark.parametrize("setting", ["wordings=[]", "orders=[]"])
def test_some_form_is_fitted(setting):
    assert message_of(resolve, sets=["target=JPN", setting]).startswith(setting.partition("=")[0])


def test_target_is_the_one_setting_without_a_default():
    assert message_of(resolve) == "the setting 'target' is missing: give --target, or name it in a settings file"


def test_unknown_preset():
    message = message_of(resolve, "masoud2052", flags={"target": "JPN"})
    assert message.startswith("unknown preset 'masoud2052'; did you mean 'masoud2025'? (there are ")


def test_paper_preset():
    config = resolve("masoud2025", flags={"target": "SAU"})
    search = config.search
    assert (search.name, search.strategy, search.crossover) == ("de", "rand/1", "binomial")
    assert (search.differential_weight, search.crossover_rate, search.population_size) == (0.5, 0.7, 20)
    assert (config.space.tokens, config.space.start_scale) == (20, 1.0)
    assert (config.instrument, config.constants) == ("vsm13", "midpoint")
    assert (config.wordings, config.orders) == ((0,), ("listed",))
    assert config.preset == "masoud2025"


def test_every_preset_resolves():
    assert "masoud2025" in preset_names()
    for name in preset_names():
        assert resolve(name, flags={"target": "JPN"}).preset == name


@pytest.mark.parametrize("content", [b"[search\n", b"search.seed", b"a = \xff\n"])
def test_file_that_is_not_toml(content, tmp_path):
    path = tmp_path / "settings.toml"
    path.write_bytes(content)
    assert message_of(resolve, file=path).startswith(f"{path} is not a TOML file: ")


def test_file_that_is_not_there(tmp_path):
    path = tmp_path / "settings.toml"
    assert message_of(resolve, file=path) == f"cannot read settings from {path}: No such file or directory"
    assert message_of(resolve, file=tmp_path) == f"cannot read settings from {tmp_path}: Is a directory"


def test_toml_round_trip():
    config = resolve(
        "masoud2025",
        flags={
            "target": "SAU@arab-2021-05",
            "model.id": 'a "quoted" \\ name\nin Österreich',
            "model.dtype": "bfloat16",
        },
        sets=["search.crossover_rate=0.30000000000000004", "wordings=[1, 0]", 'orders=["listed", "reversed"]'],
    )
    assert check(tomllib.loads(to_toml(config))) == config


def test_start_of_a_search():
    assert RunConfig(target="JPN").space.start_kind == ("noise", "")
    config = resolve(sets=["target=JPN", "space.start=text: You live: in Japan. "])
    assert config.space.start_kind == ("text", "You live: in Japan.")
    assert check(tomllib.loads(to_toml(config))) == config


def test_none_is_left_out_of_toml_and_comes_back():
    text = to_toml(RunConfig(target="JPN"))
    assert "revision" not in text
    assert check(tomllib.loads(text)).model.revision is None


def test_newer_format_is_refused_with_both_numbers():
    message = message_of(check, {"format": FORMAT + 1, "target": "JPN"})
    assert message == f"want settings of format {FORMAT}, got format {FORMAT + 1}"
    # even where the newer format has settings that this one does not know
    assert message == message_of(check, {"format": FORMAT + 1, "target": "JPN", "new": 1})


def test_model_settings():
    assert check_model(id="x", dtype=None, device=None).dtype is None
    assert message_of(check_model, id="x", dtype="int8").startswith("dtype wants 'float32'")
    assert "unknown setting 'revison'; did you mean 'revision'?" in message_of(check_model, id="x", revison="main")


def test_settings_cannot_be_changed():
    config = RunConfig(target="JPN")
    with pytest.raises(ValueError, match="frozen"):
        config.target = "USA"


def test_another_search_than_the_presets_takes_none_of_its_settings():
    config = resolve(preset="masoud2025", flags={"target": "JPN", "search.name": "pso", "search.seed": 3})
    assert (config.search.name, config.search.seed, config.space.tokens) == ("pso", 3, 20)
    assert config.search.population_size == PSOSettings(name="pso").population_size
    same = resolve(preset="masoud2025", flags={"target": "JPN", "search.name": "de"})
    assert (same.search.name, same.search.strategy) == ("de", "rand/1")
