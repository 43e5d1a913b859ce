import builtins

import pytest

from hofsteer import errors
from hofsteer.errors import HofsteerError, did_you_mean

CLASSES = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, HofsteerError)]


@pytest.mark.parametrize("error", [c for c in CLASSES if c is not HofsteerError])
def test_errors_are_also_the_builtin_they_stand_for(error):
    assert error.__bases__ == (HofsteerError, builtins.ValueError)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("jpan", "; did you mean 'Japan'?"),
        ("JAPAN", "; did you mean 'Japan'?"),
        ("usa", "; did you mean 'USA'?"),
        ("xyzzy", ""),
        ("", ""),
    ],
)
def test_did_you_mean(name, hint):
    assert did_you_mean(name, ["USA", "Japan", "India"]) == hint
