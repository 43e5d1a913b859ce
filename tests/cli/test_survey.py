import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from hofsteer import Respondent, SoftPrompt, align, load_target
from hofsteer.instruments import Administration

KEYS = [
    *("schema", "model", "instrument", "constants", "policies", "administrations"),
    *("read_out", "soft_prompt", "scores", "items", "target", "n", "standard_errors"),
    *("loss", "losses", "item_losses", "read_out_floor"),
]


@pytest.fixture
def adapter(tmp_path):
    values = np.random.default_rng([2, 1]).normal(0.0, 0.2, size=(3, 32)).astype(np.float32)
    SoftPrompt(values, "tiny-llama").save(tmp_path / "adapter")
    return tmp_path / "adapter"


def test_json(hofsteer, tiny_folder, vsm13):
    result = hofsteer("survey", "--model", tiny_folder, "--json")
    assert result.code == 0
    table = result.json()
    assert list(table) == KEYS
    assert (table["schema"], table["model"], table["instrument"]) == (1, str(tiny_folder), "vsm13-own")
    assert (table["constants"], table["target"], table["loss"]) == ("midpoint", None, None)
    assert list(table["scores"]) == list(vsm13.dimension_ids)
    assert list(table["items"]) == list(vsm13.item_ids)
    for item in table["items"].values():
        assert list(item) == ["mean", "probabilities", "valid_mass", "refused", "unparsable"]
        assert sum(item["probabilities"]) == pytest.approx(1)
        assert item["mean"] == pytest.approx(np.dot(item["probabilities"], [1, 2, 3, 4, 5]))
        assert 0 < item["valid_mass"] <= 1
    means = np.array([item["mean"] for item in table["items"].values()])
    assert list(table["scores"].values()) == pytest.approx(vsm13.score_means(means) + 50)


def test_warnings_go_to_stderr_also_with_json(hofsteer, tiny_folder):
    result = hofsteer("survey", "--model", tiny_folder, "--json")
    result.json()
    assert result.err.startswith("warning: valid mass 0.0")  # random weights give the options next to nothing
    assert result.err.count("\n") == 1


def test_loss_is_the_distance_to_the_target(hofsteer, tiny_folder, vsm13):
    table = hofsteer("survey", "--model", tiny_folder, "--target", "jpn", "--json").json()
    assert table["target"] == "JPN"
    scores = np.array(list(table["scores"].values()))
    loss = np.abs(scores - load_target("JPN").vector(vsm13.dimension_ids)).mean()
    assert table["loss"] == pytest.approx(loss)


def test_without_constants_there_is_no_loss(hofsteer, tiny_folder):
    arguments = ("survey", "--model", tiny_folder, "--target", "JPN")
    plain, table = hofsteer(*arguments, "--json").json(), hofsteer(*arguments, "--constants", "none", "--json").json()
    assert (table["constants"], table["loss"]) == ("none", None)
    assert list(table["scores"].values()) == pytest.approx([score - 50 for score in plain["scores"].values()])
    assert "no loss: without constants" in hofsteer(*arguments, "--constants", "none").out


def test_constants_of_anchors(hofsteer, tiny_folder):
    arguments = ("survey", "--model", tiny_folder, "--target", "JPN", "--constants", "anchor:usa,CHN")
    result = hofsteer(*arguments, "--json")
    table = result.json()
    assert table["constants"] == "anchor:USA,CHN"
    assert [policy["kind"] for policy in table["policies"]] == list(table["losses"])
    assert list(table["losses"]) == ["anchor:USA,CHN", "midpoint", "fitted"]
    assert table["losses"]["anchor:USA,CHN"] == pytest.approx(table["loss"])
    assert table["policies"][0]["countries"] == ["USA", "CHN"]
    assert set(table["policies"][0]["slopes"]) == set(table["scores"])
    warnings = result.err.splitlines()
    assert warnings[0].startswith("warning: under personas the scores hardly follow the published ones on ")
    said = " ".join(hofsteer(*arguments).out.split())
    assert "Loss under each policy of constants: anchor:USA,CHN " in said
    assert "so that the personas of 2 countries score as published on average. Slope and R2 of computed" in said


@pytest.mark.slow
def test_constants_are_fitted_to_all_measured_countries_by_default(hofsteer, all_measured_countries):
    result = hofsteer("survey", "--as", "JPN", "--json")
    table = result.json()
    assert (table["constants"], result.err) == ("fitted", "")
    assert list(table["losses"]) == ["fitted", "midpoint"]
    fitted = table["policies"][0]
    assert len(fitted["countries"]) == 64
    assert all(0.7 < slope < 0.95 for slope in fitted["slopes"].values())  # `mini` keeps 10 % of a bias by design
    assert all(abs(value - 50) < 6 for value in fitted["values"].values())  # of which C takes its share


def test_several_personas_and_their_differences(hofsteer, tiny_folder):
    both = hofsteer("survey", "--model", tiny_folder, "--as", "JPN", "--as", "USA", "--json").json()
    alone = [hofsteer("survey", "--model", tiny_folder, "--as", c, "--json").json() for c in ("JPN", "USA")]
    assert both["conditions"] == alone
    goals = [load_target(code).scores for code in ("JPN", "USA")]
    scores = [condition["scores"] for condition in alone]
    apart = {d: abs(scores[0][d] - scores[1][d] - goals[0][d] + goals[1][d]) for d in goals[0]}
    assert both["differences"]["dimensions"] == pytest.approx(apart)
    assert both["differences"]["loss"] == pytest.approx(np.mean(list(apart.values())))
    said = " ".join(hofsteer("survey", "--model", tiny_folder, "--as", "JPN", "--as", "USA").out.split())
    assert "loss of the differences " in said
    twice = ("survey", "--model", tiny_folder, "--as", "JPN", "--as", "JPN", "--json")
    assert hofsteer(*twice).json()["differences"] is None


def test_sample(hofsteer, tiny_folder):
    table = hofsteer("survey", "--model", tiny_folder, "--as", "JPN", "--sample", "grid-24", "--json").json()
    assert list(table) == [*KEYS, "sample"]
    assert len(table["sample"]["cells"]) == 24
    assert table["administrations"][0]["system"] == "You live in Japan."
    scores = np.array([list(cell["scores"].values()) for cell in table["sample"]["cells"]])
    assert list(table["scores"].values()) == pytest.approx(scores.mean(axis=0))
    assert list(table["sample"]["spread"]["scores"].values()) == pytest.approx(scores.std(axis=0))


@pytest.mark.slow
def test_sample_for_people(hofsteer, tiny_folder):
    said = " ".join(hofsteer("survey", "--model", tiny_folder, "--sample", "grid-24").out.split())
    assert (
        "sample grid-24: 24 cells, 24.0 in effect; above are the means. Standard deviation between cells: PDI " in said
    )


def test_sample_file_to_start_from(hofsteer, refused, tmp_path):
    printed = hofsteer("sample")
    assert printed.code == 0
    (tmp_path / "mine.toml").write_text(printed.out, encoding="utf-8")
    assert hofsteer("sample", tmp_path / "mine.toml").out == printed.out
    table = hofsteer("sample", "--json").json()
    assert (table["schema"], table["id"], len(table["cells"])) == (1, "grid-24", 24)
    assert refused("sample", "grid24").startswith("want a TOML file or a bundled sample (grid-24), got 'grid24'")


CODES = ["JPN", "USA", "CHN", "BRA", "DEU", "FRA", "IND", "IRN", "SWE", "NGA"]


@pytest.mark.slow
def test_reliability(hofsteer, tiny_folder):
    options = [option for code in CODES for option in ("--as", code)]
    table = hofsteer("survey", "--model", tiny_folder, "--reliability", *options, "--json").json()
    assert (table["schema"], table["wordings"], table["orders"], table["countries"]) == (1, 8, 2, CODES)
    assert (table["model"], table["instrument"]) == (str(tiny_folder), "vsm13-own")
    for one in ("generalizability", "icc2", "standard_error", "standard_error_relative"):
        assert list(table[one]) == ["one_form", "all_forms"]
    assert all(0 <= value <= 1 for value in table["generalizability"]["all_forms"].values())


def test_table_of_a_reliability(capsys):
    from hofsteer.cli.reliability import show_reliability
    from hofsteer.evaluation.reliability import Reliability

    scores = np.random.default_rng([4, 1]).normal(50, 10, size=(10, 4, 2, 2))
    show_reliability(Reliability(("PDI", "IDV"), tuple(CODES), scores), "some-model")
    said = " ".join(capsys.readouterr().out.split())
    assert f"some-model: 10 countries ({', '.join(CODES)}) x 4 wordings x 2 orders" in said
    assert "One form, and the mean of all 8" in said
    assert "alpha" not in said


def answers(tiny, vsm13, soft_prompt=None, **form):
    """What the library says, to hold the command line against."""
    return tiny.respond([Administration(vsm13, **form)], soft_prompt).probabilities[0, 0]


@pytest.mark.parametrize(
    ("options", "form"),
    [
        ((), {}),
        (("--as", "JPN"), {"system": "You live in Japan."}),
        (("--as", "usa"), {"system": "You live in the United States."}),
        (("--system", "You are old."), {"system": "You are old."}),
        (("--wording", "1"), {"wording": 1}),
        (("--order", "reversed"), {"order": "reversed"}),
        (("--labels", "letters"), {"labels": "letters"}),
        (("--numbering", "falling"), {"numbering": "falling"}),
        (("--layout", "scale-first"), {"layout": "scale-first"}),
        (("--instrument", "vsm13-cat"), {}),
    ],
)
def test_options_reach_the_model(options, form, hofsteer, tiny, tiny_folder, vsm13):
    items = hofsteer("survey", "--model", tiny_folder, *options, "--json").json()["items"]
    found = np.array([item["probabilities"] for item in items.values()])
    np.testing.assert_allclose(found, answers(tiny, vsm13, **form), rtol=1e-4)
    if form:
        assert not np.allclose(found, answers(tiny, vsm13), rtol=1e-2)


def test_read_outs_have_their_floor(hofsteer):
    table = hofsteer(
        *("survey", "--model", "mini", "--as", "JPN", "--read-out", "sampled"),
        *("--temperature", "0.8", "--top-p", "0.8", "--draws", "5", "--json"),
    ).json()
    assert table["read_out"]["kind"] == "sampled"
    assert table["read_out_floor"] > 5
    assert hofsteer("survey", "--model", "mini", "--as", "JPN", "--json").json()["read_out_floor"] < 1e-6


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--read-out", "greddy"), "got 'greddy'; did you mean 'greedy'?"),
        (("--top-p", "1.5"), "top_p: "),
        (("--draws", "0"), "draws: "),
        (("--template", "thinking"), "--template wants key=value, got 'thinking'"),
    ],
)
def test_settings_of_the_read_out_are_checked(hofsteer, options, said):
    result = hofsteer("survey", *options)
    assert result.code == 2
    assert said in result.err


def test_persona_names_the_target(hofsteer, tiny_folder):
    assert hofsteer("survey", "--model", tiny_folder, "--as", "Japan", "--json").json()["target"] == "JPN"
    table = hofsteer("survey", "--model", tiny_folder, "--as", "Japan", "--target", "USA", "--json").json()
    assert table["target"] == "USA"


def test_soft_prompt_is_used(hofsteer, tiny, tiny_folder, adapter, vsm13):
    items = hofsteer("survey", "--model", tiny_folder, "--prompt", adapter, "--json").json()["items"]
    found = np.array([item["probabilities"] for item in items.values()])
    prompt = SoftPrompt.load(adapter).values[None]
    np.testing.assert_allclose(found, answers(tiny, vsm13, prompt), rtol=1e-4)
    assert not np.allclose(found, answers(tiny, vsm13), rtol=1e-2)


@pytest.fixture
def run_on_other_weights(folder, tmp_path):
    """A run of a model whose weights were changed since: the run and the hash of the weights that it was on."""
    settings = {"search.budget": 4, "search.population_size": 4, "space.tokens": 2, "search.name": "de"}
    run = align(Respondent.from_pretrained(str(folder)), "JPN", out=tmp_path / "run", settings=settings)
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"] * np.float32(1.001)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return run.path, run.folder.read_json("provenance.json")["model"]["weights_sha256"]


def test_soft_prompt_of_other_weights_is_warned_of(hofsteer, folder, run_on_other_weights):
    # such a survey printed scores without a word
    path, before = run_on_other_weights
    now = Respondent.from_pretrained(str(folder)).fingerprint
    for prompt in (path, path / "soft_prompt"):
        result = hofsteer("survey", "--model", folder, "--prompt", prompt, "--json")
        (line,) = (line for line in result.err.splitlines() if "was found" in line)
        assert line == (
            f"warning: the soft prompt of {path} was found on weights {before[:12]}, and {folder} has {now[:12]} "
            "(in float32): what it does here need not be what the run found"
        )
        assert result.code == 0
    assert "was found" not in hofsteer("survey", "--model", folder, "--json").err


def test_soft_prompt_of_the_same_weights_is_not_warned_of(hofsteer, folder, run_on_other_weights):
    path, _ = run_on_other_weights
    record = json.loads((path / "provenance.json").read_text(encoding="utf-8"))
    record["model"]["weights_sha256"] = Respondent.from_pretrained(str(folder)).fingerprint
    (path / "provenance.json").write_text(json.dumps(record), encoding="utf-8")
    assert "was found" not in hofsteer("survey", "--model", folder, "--prompt", path, "--json").err


def test_table_for_people(hofsteer, tiny_folder):
    result = hofsteer("survey", "--model", tiny_folder, "--target", "JPN")
    assert result.code == 0
    for words in ("PDI Power distance", "IVR Indulgence", "Japan", "95.0", "(constants: midpoint)", "valid mass 0.0"):
        assert words in result.out
    said = " ".join(result.out.split())
    assert "two samples of 50 from one country differ by 11 points" in said
    assert f"{tiny_folder}, no system text, wording 0, options listed, digits rising" in said
    assert "mean over PDI, IDV, MAS, UAI, LTO, IVR" in said
    assert "simulated respondent" not in said
    assert "Only differences between samples asked alike have meaning" in result.out
    assert "warning: valid mass" in result.err
    assert "warning" not in result.out


def test_estimates_and_gaps_are_said(hofsteer, tiny_folder):
    said = " ".join(hofsteer("survey", "--model", tiny_folder, "--target", "SAU").out.split())
    assert "95.0*" in said
    assert "36.0*" not in said
    assert "* estimate of its source" in said
    said = " ".join(hofsteer("survey", "--model", tiny_folder, "--as", "SAU@hofstede-2015").out.split())
    assert "mean over LTO, IVR" in said
    assert "system text 'You live in Saudi Arabia.'" in said


def test_instrument_with_its_own_zero(hofsteer, tiny_folder):
    survey = ("survey", "--model", tiny_folder, "--instrument", "ivs10")
    said = " ".join(hofsteer(*survey, "--target", "JPN").out.split())
    assert "ivs10 (constants: none)" in said
    assert "points, mean over SSE, TSR" in said
    assert "vary as the instrument says of each item, two samples of 50 from one country differ by 0.2 points" in said
    assert "moves with the constants" not in said
    untested = hofsteer(*survey, "--as", "SAU")
    assert (untested.code, "loss" in untested.out) == (0, False)
    assert "no distance to a target: Saudi Arabia is not testable on the map of tao2024" in untested.err


def test_blank_system_text(hofsteer, tiny_folder):
    result = hofsteer("survey", "--model", tiny_folder, "--system", " ")
    assert (result.code, result.out) == (2, "")
    assert "--system wants a text, got a blank one" in result.err


def test_model_folder_with_a_name_like_markup(hofsteer, tiny_folder, tmp_path):
    # such a name was once a traceback
    model = shutil.copytree(tiny_folder, tmp_path / "a[/b]:cat:")
    result = hofsteer("survey", "--model", model)
    assert result.code == 0
    assert "[/b]:cat:" in result.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--as", "Jpan"), "want the code or name of a country or region, got 'Jpan'; did you mean 'Japan'?"),
        (("--target", "Jpan"), "want the code or name of a country or region, got 'Jpan'; did you mean 'Japan'?"),
        (("--as", "JPN", "--system", "Hello."), "--as and --system both say what the system text is; keep one"),
        (("--as", "JPN", "--as", "USA", "--target", "IND"), "under several --as each is compared with its own row"),
        (("--constants", "anchor:JPN"), "anchor: wants two or more countries, each once, as in anchor:USA,JPN; got"),
        (("--instrument", "ivs10", "--constants", "fitted"), "ivs10 has its own zero: want constants none, got"),
        (("--sample", "grid24"), "want a TOML file or a bundled sample (grid-24), got 'grid24'; did you mean"),
        (("--reliability", "--as", "JPN"), "reliability wants at least 10 countries, each once; got JPN"),
        (("--reliability", "--wording", "1"), "--reliability asks every wording and order under personas, without"),
        (("--instrument", "vsm14"), "unknown instrument 'vsm14'; did you mean 'vsm13'? (there are "),
        (("--instrument", "broken.toml"), "broken.toml is not a TOML file: "),
        (
            ("--constants", "midpiont"),
            "want constants midpoint, none, fitted, anchor:USA,JPN,..., got 'midpiont'; did you mean 'midpoint'?",
        ),
        (("--wording", "9"), "vsm13-own has wordings 0 to "),
        (("--wording", "-1"), "vsm13-own has wordings 0 to "),
        (("--order", "sideways"), "want order listed or reversed, got 'sideways'"),
        (("--dtype", "float12"), "dtype wants 'float32', 'bfloat16' or 'float16', got 'float12'"),
        (("--model", "./nowhere"), "want a hub id (owner/name), a model folder or 'mini', got './nowhere'"),
        (("--model", "."), "want a model folder, but . has no config.json"),
        (("--prompt", "nowhere"), "want a run or a PEFT adapter, but nowhere has no adapter_config.json"),
    ],
)
def test_refused_before_a_model_is_loaded(arguments, message, refused, tmp_path, monkeypatch):
    from hofsteer.respondent.hf import HFRespondent

    (tmp_path / "cwd" / "broken.toml").write_text("items = [", encoding="utf-8")
    monkeypatch.setattr(HFRespondent, "__init__", lambda *a, **k: pytest.fail("a model was loaded"))
    for extra in ([], ["--json"]):
        assert refused("survey", *arguments, *extra).startswith(message)


def test_device_that_is_none(refused, tiny_folder):
    message = refused("survey", "--model", tiny_folder, "--device", "nonsense")
    assert message.startswith(f"cannot load model '{tiny_folder}': ")
    assert "nonsense" in message


def test_adapter_of_another_width(refused, tiny_folder, tmp_path):
    SoftPrompt(np.zeros((2, 31), dtype=np.float32)).save(tmp_path / "adapter")
    message = refused("survey", "--model", tiny_folder, "--prompt", tmp_path / "adapter")
    assert message == f"want soft prompts (candidates, tokens, 32) for {tiny_folder}, got (1, 2, 31)"


def test_broken_adapter(refused, tiny_folder, adapter):
    (adapter / "adapter_model.safetensors").write_bytes(b"no tensors")
    message = refused("survey", "--model", tiny_folder, "--prompt", adapter)
    assert message.startswith(f"the adapter in {adapter} cannot be read: ")


def test_model_that_gives_the_options_no_mass(refused, silent):
    for extra in ([], ["--json"]):
        message = refused("survey", "--model", silent, *extra)
        assert message.startswith(f"{silent}: the model gives no probability to the answer options (")


def test_folder_that_holds_no_model(refused, folder):
    (folder / "model.safetensors").unlink()
    assert refused("survey", "--model", folder).startswith(f"cannot load model '{folder}': ")


def test_tokenizer_without_a_chat_template(hofsteer, folder, caplog):
    (folder / "chat_template.jinja").unlink()
    result = hofsteer("survey", "--model", folder, "--json")
    assert list(result.json()) == KEYS
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{folder}: the tokenizer has no chat template: items are put as plain text that ends in 'Answer: '"
    )


@pytest.mark.slow
def test_tokenizer_without_a_chat_template_in_a_process_of_its_own(process, folder):
    (folder / "chat_template.jinja").unlink()
    result = process("survey", "--model", folder, "--constants", "midpoint", "--json")
    assert result.code == 0
    assert list(result.json()) == KEYS
    template, mass = result.err.splitlines()
    assert template.startswith("WARNING: ")
    assert "the tokenizer has no chat template" in template
    assert mass.startswith("warning: valid mass")


def test_in_one_conversation(hofsteer, refused, tiny_folder):
    short = ("survey", "--model", tiny_folder, "--instrument", "ivs10", "--json")
    alone, chat, shuffled = (
        hofsteer(*short, *more).json() for more in ((), ("--conversation",), ("--conversation", "--shuffle", "3"))
    )
    forms = [table["administrations"][0] for table in (alone, chat, shuffled)]
    assert [(form["conversation"], form["shuffle"]) for form in forms] == [(False, None), (True, None), (True, 3)]
    first, *others = alone["items"]
    assert chat["items"][first]["mean"] == pytest.approx(alone["items"][first]["mean"], abs=1e-5)
    assert all(chat["items"][name]["mean"] != pytest.approx(alone["items"][name]["mean"], abs=1e-5) for name in others)
    assert shuffled["items"] != chat["items"]
    assert list(shuffled["items"]) == list(chat["items"])
    assert (
        "in one conversation (items shuffled, seed 3)" in hofsteer(*short[:-1], "--conversation", "--shuffle", "3").out
    )
    assert "want another --read-out than generated" in refused(*short, "--conversation", "--read-out", "generated")
    assert "by a seed of 0 or more; got 3 without one" in refused(*short, "--shuffle", "3")
