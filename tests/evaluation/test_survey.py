import json

import numpy as np
import pytest

from hofsteer import ScriptedRespondent, SoftPrompt, load_target
from hofsteer.alignment.objective import Objective, forms
from hofsteer.errors import ModelError
from hofsteer.evaluation.survey import survey
from hofsteer.targets import load_constants


@pytest.fixture
def ask(vsm13, neutral_answers):
    def ask(target="JPN", constants="midpoint", soft_prompt=None, valid_mass=0.5):
        respondent = ScriptedRespondent(neutral_answers, valid_mass=valid_mass)
        policy = load_constants(constants, vsm13.dimension_ids)
        goal = None if target is None else load_target(target)
        return survey(Objective(respondent, forms(vsm13, (0,), ("listed",)), policy, goal), soft_prompt)

    return ask


def test_json(ask, vsm13):
    result = ask()
    table = result.to_json()
    assert {"schema", "model", "instrument", "constants", "scores", "items", "target", "loss"} <= set(table)
    assert table["administrations"] == [
        {
            "wording": 0,
            "order": "listed",
            "labels": "digits",
            "numbering": "rising",
            "layout": "stem-first",
            "system": None,
            "cue": "",
            "conversation": False,
            "shuffle": None,
        }
    ]
    assert table["soft_prompt"] is None
    assert (table["schema"], table["model"], table["instrument"]) == (1, "scripted", "vsm13-own")
    assert (table["constants"], table["target"]) == ("midpoint", "JPN")
    assert table["scores"] == dict.fromkeys(vsm13.dimension_ids, pytest.approx(50))
    assert table["loss"] == pytest.approx(np.abs(np.array([54, 46, 95, 92, 88, 42]) - 50).mean())
    assert list(table["items"]) == list(vsm13.item_ids)
    assert table["items"]["Q7"] == {
        "mean": pytest.approx(3),
        "probabilities": pytest.approx([0.2] * 5),
        "valid_mass": pytest.approx(0.5),
        "refused": 0.0,
        "unparsable": 0.0,
    }
    assert json.loads(json.dumps(table, allow_nan=False)) == table


def test_without_a_target_there_is_no_loss(ask):
    assert ask(target=None).to_json()["target"] is None
    assert ask(target=None).loss is None


def test_without_constants_there_is_no_loss(ask):
    result = ask(constants="none")
    assert (result.loss, result.to_json()["loss"], result.to_json()["target"]) == (None, None, "JPN")
    assert result.to_json()["scores"]["PDI"] == pytest.approx(0)


def test_soft_prompt_is_used(ask):
    values = np.zeros((3, 24), dtype=np.float32)
    values[:, 6] = 50.0
    table = ask(soft_prompt=SoftPrompt(values)).to_json()
    assert table["items"]["Q7"]["mean"] == pytest.approx(5)
    assert table["scores"]["PDI"] == pytest.approx(120)
    assert table["scores"]["IDV"] == pytest.approx(50)


def test_valid_mass(ask):
    assert ask(valid_mass=0.25).valid_mass == pytest.approx(0.25)


def test_no_usable_answers(ask):
    with pytest.raises(ModelError, match=r"^scripted: the model gives no probability to the answer options"):
        ask(valid_mass=1e-9)
