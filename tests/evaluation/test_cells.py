"""What the cell of a baseline depends on, and what its loss is read against."""

from copy import copy
from dataclasses import replace

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from hofsteer.config import ModelSettings, resolve
from hofsteer.evaluation.cells import BASELINES, Cell, Scoring
from hofsteer.evaluation.plan import HeldOut
from hofsteer.parts import make_objective
from hofsteer.respondent.hf import HFRespondent
from hofsteer.targets import constants_for, index_loss, load_target, mean_country, noise_floor

PLAIN = {"target": "JPN", "wordings": [0], "orders": ["listed"], "constants": "midpoint"}


def scoring(respondent, held_out=None, **flags):
    settings = resolve(flags={**PLAIN, **{name.replace("__", "."): value for name, value in flags.items()}})
    objective = make_objective(settings, respondent)
    forms = HeldOut(**(held_out or {"orders": ("listed",)})).forms(objective.instrument, objective.administrations)
    return Scoring(objective, replace(objective, administrations=forms), settings.space.tokens)


@pytest.mark.parametrize("method", BASELINES)
def test_the_same_twice_decides_the_same(method, tiny):
    assert scoring(tiny).decides(method) == scoring(tiny).decides(method)


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("fitted", {"wordings": [3]}),
        ("fitted", {"orders": ["reversed"]}),
        ("fitted", {"cue": "So: "}),
        ("held_out", {"held_out": {"wordings": (2,)}}),
        ("held_out", {"held_out": {"orders": ("reversed",)}}),
        ("read_out", {"read_out__kind": "tempered", "read_out__temperature": 0.5}),
        ("target", {"target": "CHN"}),
        ("target", {"target": "JPN@hofstede-2015"}),
        ("instrument", {"instrument": "vsm13-cat"}),
    ],
)
def test_what_is_asked_and_how_it_is_read_decides(key, change, tiny):
    plain, other = scoring(tiny).decides("naive"), scoring(tiny, **change).decides("naive")
    assert plain[key] != other[key]


def test_the_values_of_constants_decide_but_for_their_last_digits(tiny):
    plain = scoring(tiny)

    def moved(by):
        constants = replace(plain.fitted.constants, values=plain.fitted.constants.values + by)
        return Scoring(replace(plain.fitted, constants=constants), plain.held_out, plain.tokens).decides("naive")

    assert moved(0.01) != plain.decides("naive")
    assert moved(1e-6) == plain.decides("naive")
    assert constants_for(plain.fitted.instrument, "midpoint").kind == plain.decides("naive")["constants"]["kind"]


def test_weights_and_chat_template_decide(tiny, tiny_folder):
    plain = scoring(tiny).decides("naive")
    half = HFRespondent.load(ModelSettings(id=str(tiny_folder), dtype="bfloat16"))
    assert scoring(half).decides("naive")["model"] != plain["model"]
    assert scoring(half).decides("naive")["rendered_sha256"] == plain["rendered_sha256"]
    tokenizer: PreTrainedTokenizerFast = copy(tiny.tokenizer)
    tokenizer.chat_template = tokenizer.chat_template.replace("<end>", "<end> ")
    other = scoring(HFRespondent(tiny.model, tokenizer, tiny.settings)).decides("naive")
    assert other["model"] == plain["model"]
    assert other["rendered_sha256"] != plain["rendered_sha256"]


def test_only_the_random_soft_prompt_has_tokens(tiny):
    two, three = scoring(tiny, space__tokens=2), scoring(tiny, space__tokens=3)
    assert two.prefixes("random")[0].soft_prompts.shape == (1, 2, tiny.width)
    assert {method for method in BASELINES if two.decides(method) != three.decides(method)} == {"random"}


def test_texts_and_examples_decide(tiny, monkeypatch):
    plain = {method: scoring(tiny).decides(method)["before"] for method in BASELINES}
    monkeypatch.setattr("hofsteer.evaluation.cells.persona_text", lambda target: "Live there.")
    now = {method: scoring(tiny).decides(method)["before"] for method in BASELINES}
    assert {method for method in BASELINES if plain[method] != now[method]} == {"persona", "icl"}


def test_skill_is_against_the_mean_of_the_other_countries():
    japan = load_target("JPN")
    scored = scoring(None)
    dimensions = scored.fitted.instrument.dimension_ids
    mean = float(index_loss(mean_country(dimensions, leaving_out=japan), japan.vector(dimensions)))
    asked = Cell("JPN", "naive", None, 3.0, mean / 4, 1.0)
    rows = {cell.method: cell for cell in scored.read_against([asked, *scored.without_model()])}
    assert rows["naive"].skill == pytest.approx(0.75)  # of the held-out loss
    assert rows["mean-country"].skill == pytest.approx(0)
    assert rows["table"].skill == pytest.approx(1)
    assert rows["nearest"].skill == pytest.approx(1 - rows["nearest"].fitted / mean)
    assert {tuple(cell.noise_floors.items()) for cell in rows.values()} == {
        (("index", noise_floor(scored.fitted.instrument, japan).points),)
    }
    assert rows["naive"].to_row()["skill"] == rows["naive"].skill
    assert rows["naive"].to_row()["noise_floor"] == rows["naive"].noise_floors["index"]
    assert Cell.from_json(rows["naive"].to_json()) == rows["naive"]
    assert np.isfinite([cell.skill for cell in rows.values()]).all()
