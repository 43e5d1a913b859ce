import pytest

from hofsteer.report import MINI_STATEMENT, NOT_CONCLUDED, statement
from hofsteer.targets import load_target


def test_statement_names_model_instrument_target_and_source():
    text = statement("some/Model-8B", load_target("USA"), "vsm13-own")
    assert text.startswith(
        "This adapter makes some/Model-8B answer vsm13-own items like the published average of the United States "
        "[hofstede-2015; n not recorded]."
    )


def test_statement_names_estimates_and_every_source():
    text = statement("m", load_target("SAU"), "vsm13-own")
    assert (
        "Saudi Arabia [hofstede-insights-2021-04, hofstede-2015, PDI, IDV, MAS, UAI estimated; n not recorded]" in text
    )


def test_statement_of_one_source():
    text = statement("m", load_target("SAU@arab-2021-05"), "vsm13-own")
    assert "Saudi Arabia [arab-2021-05; n not recorded]" in text


@pytest.mark.parametrize(
    "words",
    [
        "not a person from there nor that country's culture",
        "most variation in cultural values lies within countries",
        "not for predicting, profiling or judging people",
        "does not replace respondents",
        "nobody's voice",
        "Tested: the fitted forms of one survey.",
        "Not shown: other wordings, other instruments, behaviour",
    ],
)
def test_what_is_said_of_limits(words):
    assert words in statement("m", load_target("JPN"), "vsm13-own")


def test_no_word_says_more_than_was_shown():
    said = " ".join([statement("m", load_target("JPN"), "vsm13-own"), NOT_CONCLUDED, MINI_STATEMENT]).lower()
    for word in ("culturally aligned", "authentic", "speaks like"):
        assert word not in said
    assert "proves little" in said
    assert "simulated respondent" in said
