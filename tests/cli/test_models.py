import pytest

from hofsteer.respondent import mini


@pytest.fixture(autouse=True)
def _card(monkeypatch):
    monkeypatch.setattr(mini, "card", lambda: {"naive_loss": {"SAU": 17.25}, "valid_mass": 0.998})


def test_json(hofsteer):
    result = hofsteer("models", "--json")
    assert (result.code, result.err) == (0, "")
    assert result.json() == {
        "schema": 1,
        "models": [{"id": "mini", "kind": "bundled", "card": {"naive_loss": {"SAU": 17.25}, "valid_mass": 0.998}}],
    }


def test_list(hofsteer):
    result = hofsteer("models")
    assert (result.code, result.err) == (0, "")
    assert "results on it say nothing about real models" in result.out
    assert "naive loss: {'SAU': 17.25}" in result.out
    assert "--model ./my-model" in result.out
