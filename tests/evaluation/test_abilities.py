"""What is there to be lost, and how much of it a soft prompt leaves."""

import re

import numpy as np
import pytest

from hofsteer import Respondent
from hofsteer.evaluation import abilities
from hofsteer.evaluation.abilities import load_probe, measure_abilities
from hofsteer.respondent.choice import Question


@pytest.fixture(scope="module")
def mini():
    return Respondent.from_pretrained("mini", device="cpu")


@pytest.fixture
def prompts(mini):
    rng = np.random.default_rng([7, 2])
    return (rng.normal(size=(3, 4, mini.width)) * mini.spread).astype(np.float32)


def test_what_mini_does_not_write_is_not_there_to_be_lost(mini, prompts):
    alone, behind = measure_abilities(mini), measure_abilities(mini, prompts)
    assert list(alone.kept) == list(behind.kept) == ["facts"]
    assert alone.absent == behind.absent
    assert list(alone.absent) == ["refusals of harmful requests", "evenness"]
    for why in alone.absent.values():
        assert re.fullmatch(r"surprisal 1\d\d% of that of random tokens, at most 50% wanted", why)
    right = mini.preferences(load_probe()["facts"], prompts).argmax(axis=2) == 0
    np.testing.assert_array_equal(behind.kept["facts"], right.mean(axis=1))


def test_what_a_model_writes_is_measured(mini, prompts, monkeypatch):
    own = (Question("Goodbye!", ("See you soon.", "Green.")),)
    monkeypatch.setattr(abilities, "load_probe", lambda: {"harm": own, "stereotypes": own})
    found = measure_abilities(mini, prompts)
    assert found.absent == {}
    np.testing.assert_allclose(found.kept["evenness"], mini.preferences(own, prompts)[:, 0, 0])
    assert found.kept["refusals of harmful requests"].tolist() == [1, 1, 1]


def test_drift_is_that_on_text_which_searches_are_not_told_of(mini, prompts):
    assert measure_abilities(mini).kl is None
    found = measure_abilities(mini, prompts).kl
    np.testing.assert_array_equal(found, mini.drift(prompts, mini.held_out_neutral()))
    assert (found != mini.drift(prompts)).all()


def test_a_model_that_writes_nothing_has_no_drift(tiny_folder):
    tiny = Respondent.from_pretrained(str(tiny_folder))
    found = measure_abilities(tiny, np.zeros((1, 2, tiny.width), dtype=np.float32))
    assert found.kl is None
    assert found.absent["neutral text"] == "it writes 0 of the answers, at least 5 wanted"
    assert "evenness" in found.absent


def test_facts_that_a_model_does_not_know_are_not_there(mini, monkeypatch):
    wrong = tuple(Question(user, answers[::-1]) for user, answers in load_probe()["facts"])
    monkeypatch.setattr(abilities, "load_probe", lambda: {"facts": wrong})
    assert measure_abilities(mini).absent == {"facts": "0% there, at least 50% wanted"}


def test_a_model_that_gives_no_numbers_knows_nothing(mini):
    broken = np.full((1, 2, mini.width), np.nan, dtype=np.float32)
    assert measure_abilities(mini, broken).kept["facts"].tolist() == [0]
