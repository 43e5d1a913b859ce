"""What a comparison asks: methods by name, and forms that none of them fits."""

import pytest

from hofsteer.comparison import SEARCHES, Comparison
from hofsteer.errors import ConfigError, TargetError
from hofsteer.evaluation.cells import Prefix
from hofsteer.evaluation.plan import HeldOut, make_plan


def compared(tmp_path, methods, **settings):
    return Comparison(("JPN",), methods, (0,), settings, tmp_path)


def test_the_random_search_and_the_random_baseline_have_names_of_their_own(tmp_path):
    """`random` was always the baseline, and stood twice in the list of methods."""
    one = compared(tmp_path, ("random", "random-search"))
    assert one.searched == ("random-search",)
    assert one.search("random-search", "JPN", 3).search.name == "random"
    assert {method for method, name in SEARCHES.items() if method != name} == {"random-search"}
    with pytest.raises(ConfigError, match="did you mean 'random'") as raised:
        compared(tmp_path, ("randon",))
    known = str(raised.value).partition("among ")[2].partition(", got")[0].split(", ")
    assert len(set(known)) == len(known)


def test_no_form_is_held_out_that_a_preset_fits(tmp_path):
    """`masoud2025` fits wording 0, whatever the comparison fits: it was scored on it as held out."""
    settings = {"wordings": [2, 3]}
    assert {form.wording for form in compared(tmp_path, ("naive", "de"), **settings).forms("JPN")[1]} == {
        0,
        1,
        4,
        5,
        6,
        7,
    }
    fitted, held_out = compared(tmp_path, ("naive", "masoud2025"), **settings).forms("JPN")
    assert ({form.wording for form in fitted}, {form.wording for form in held_out}) == ({2, 3}, {1, 4, 5, 6, 7})
    with pytest.raises(ConfigError, match="leave a wording out"):
        compared(tmp_path, ("masoud2025",), wordings=list(range(1, 8))).check()


def test_a_plan_may_hold_out_a_fitted_wording_with_other_labels_and_system_texts(tmp_path):
    held_out = HeldOut(wordings=(0, 2), orders=("listed",), labels=("letters",), systems=("", "Be brief."))
    plan = make_plan(model="mini", targets=["JPN"], held_out=held_out)
    comparison = Comparison.under(plan, None, ("naive", "default"), tmp_path)
    comparison.check()
    found = [(form.wording, form.labels, form.system) for form in comparison.forms("JPN")[1]]
    assert found == [(w, "letters", text) for w in (0, 2) for text in (None, "Be brief.")]
    form = comparison.forms("JPN")[1][1]
    assert Prefix().before(form) == form  # asked as the steered model is
    assert Prefix("You live in Japan.").before(form).system == "You live in Japan."


@pytest.mark.parametrize("method", ["icl", "scores-in-words"])
def test_a_baseline_that_an_instrument_cannot_have_is_refused_before_anything_is_asked(tmp_path, method):
    compared(tmp_path, (method,)).check()
    with pytest.raises(TargetError):
        compared(tmp_path, (method, "default"), instrument="ivs10").check()


def test_settings_are_checked_for_every_method_before_anything_is_asked(tmp_path):
    with pytest.raises(ConfigError, match=r"search\.budget wants at least the 20 evaluations of one population, got 8"):
        compared(tmp_path, ("de", "masoud2025"), **{"search.budget": 8, "search.population_size": 4}).check()
    with pytest.raises(ConfigError, match="budgt"):
        compared(tmp_path, ("naive", "masoud2025"), **{"search.budgt": 8}).check()
