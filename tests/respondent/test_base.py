import subprocess
import sys

import numpy as np
import pytest

from hofsteer.errors import ConfigError, InstrumentError
from hofsteer.instruments import Administration, load_instrument
from hofsteer.respondent import Respondent, ScriptedRespondent
from hofsteer.respondent.base import LEAST_VALID_MASS, common_instrument, make_responses
from hofsteer.respondent.render import Rendered

MASK = np.array([[True, True, True], [True, True, False]])  # two items, of three and of two options
MASS = np.array([[0.1, 0.2, 0.5], [0.3, 0.1, 0.0]])


def log_mass(mass: np.ndarray, candidates: int = 1) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(np.tile(mass, (candidates, 1, 1, 1)))


def test_probabilities_are_renormalized_and_the_mass_is_kept():
    responses = make_responses(log_mass(MASS), MASK)
    np.testing.assert_allclose(responses.probabilities, [[[[0.125, 0.25, 0.625], [0.75, 0.25, 0.0]]]], rtol=1e-12)
    np.testing.assert_allclose(responses.valid_mass, [[[0.8, 0.4]]], rtol=1e-12)
    assert responses.failures == (None,)
    assert responses.option_mask is MASK


@pytest.mark.parametrize("junk", [0.0, np.nan, np.inf, -np.inf, 700.0])
def test_padded_options_are_not_read(junk):
    log_probabilities = log_mass(MASS)
    log_probabilities[..., 1, 2] = junk
    responses = make_responses(log_probabilities, MASK)
    np.testing.assert_array_equal(responses.probabilities, make_responses(log_mass(MASS), MASK).probabilities)
    np.testing.assert_allclose(responses.valid_mass, [[[0.8, 0.4]]], rtol=1e-12)
    assert responses.failures == (None,)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_broken_logit_fails_its_own_candidate_only(broken):
    log_probabilities = log_mass(MASS, candidates=3)
    log_probabilities[1, 0, 0, 1] = broken
    responses = make_responses(log_probabilities, MASK)
    assert responses.failures == (None, "the model gave NaN or infinite logits", None)
    assert np.isnan(responses.probabilities[1]).all()  # the whole candidate: no half answers
    np.testing.assert_array_equal(np.isnan(responses.valid_mass), [[[False, False]], [[True, False]], [[False, False]]])
    alone = make_responses(log_mass(MASS), MASK)
    for candidate in (0, 2):
        np.testing.assert_array_equal(responses.probabilities[candidate], alone.probabilities[0])


def test_an_option_may_have_no_probability():
    mass = MASS.copy()
    mass[0, 0] = 0.0
    responses = make_responses(log_mass(mass), MASK)
    assert responses.failures == (None,)
    np.testing.assert_allclose(responses.probabilities[0, 0, 0], [0.0, 0.2 / 0.7, 0.5 / 0.7])


@pytest.mark.parametrize(
    ("factor", "shown"), [(0.0, "0.0e+00"), (1e-30, "4.0e-31"), (LEAST_VALID_MASS * 2.4, "9.6e-07")]
)
def test_an_item_without_mass_fails_the_candidate_and_is_named(factor, shown):
    mass = np.tile(MASS, (2, 3, 1, 1))  # two candidates, three administrations
    mass[1, 2, 1] *= factor
    with np.errstate(divide="ignore"):
        responses = make_responses(np.log(mass), MASK)
    assert responses.failures == (
        None,
        f"the model gives no probability to the answer options ({shown} for item 2)",
    )
    assert np.isnan(responses.probabilities[1]).all()
    np.testing.assert_allclose(responses.valid_mass, mass.sum(axis=-1))  # said as it is, failed or not


def test_just_enough_mass_is_an_answer():
    mass = MASS.copy()
    mass[1] *= LEAST_VALID_MASS * 2.6
    responses = make_responses(log_mass(mass), MASK)
    assert responses.failures == (None,)
    np.testing.assert_allclose(responses.probabilities[0, 0, 1], [0.75, 0.25, 0.0])


def test_tiny_probabilities_do_not_vanish_in_the_ratio():
    responses = make_responses(log_mass(np.array([[1e-5, 3e-5, 0.0], [1.0, 1e-300, 0.0]])), MASK)
    np.testing.assert_allclose(responses.probabilities[0, 0, 0], [0.25, 0.75, 0.0])
    assert responses.probabilities[0, 0, 1, 1] == pytest.approx(1e-300)


def test_administrations_must_be_of_one_instrument(vsm13):
    assert common_instrument([Administration(vsm13), Administration(vsm13, order="reversed")]) is vsm13
    with pytest.raises(InstrumentError, match=r"want administrations of one instrument, got none$"):
        common_instrument([])
    with pytest.raises(InstrumentError, match=r"one instrument, got vsm13-own, vsm13-cat$"):
        common_instrument([Administration(vsm13), Administration(load_instrument("vsm13-cat"))])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float23"}, r"dtype wants .*, got 'float23'; did you mean 'float32'\?"),
        ({"devise": "cpu"}, r"unknown setting 'devise'; did you mean 'device'\?"),
    ],
)
def test_an_unknown_option_of_from_pretrained_is_refused_before_loading(options, message):
    with pytest.raises(ConfigError, match=message):
        Respondent.from_pretrained("mini", **options)


def test_a_respondent_without_tokens_says_so(vsm13, neutral_answers):
    respondent = ScriptedRespondent(neutral_answers)
    assert respondent.rendered(Administration(vsm13)) is None
    assert respondent.identity() == respondent.conditions() == {}
    with pytest.raises(NotImplementedError, match="ScriptedRespondent puts no tokens"):
        respondent.use_rendered(Administration(vsm13), Rendered((), ()))


def test_a_scripted_survey_runs_without_torch():
    program = (
        "import sys, numpy as np\n"
        "from hofsteer import Administration, ScriptedRespondent, load_instrument\n"
        "vsm13 = load_instrument('vsm13')\n"
        "answers = ScriptedRespondent(np.full((24, 5), 0.2)).respond([Administration(vsm13)])\n"
        "assert answers.failures == (None,)\n"
        "print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
