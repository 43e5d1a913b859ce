"""The texts of `vsm13-own`: four wordings an item that say the same and share few words, all of them our own."""

import csv
import re
from importlib.resources import files
from itertools import combinations

import pytest

from hofsteer.instruments import Administration, load_instrument

VSM13 = load_instrument("vsm13")
STYLE12 = load_instrument("style12")
MOST_OVERLAP = 0.3  # Jaccard index of the content words of two wordings of one item
CONTENT = [pytest.param(item, id=item.id) for item in VSM13.items]
OPTIONAL = [pytest.param(item, id=item.id) for item in VSM13.optional_items]


def words(text):
    return re.findall(r"[a-z]+", text.lower())


# Words without content of their own, and those that only put the question: "how much does it matter to you", ...
FUNCTION = set(
    words(
        """
        a about above after again all also am an and another any anybody anyone anything are as at be because been
        before being but by can could did do does done down each either even every for from had has have having he her
        here him his how i if in into is it its just many may me might mine much must my neither no nobody nor not
        nothing of off on one ones only or other others our out over own same shall she should so some somebody someone
        something still such than that the their theirs them then there these they thing things this those though to
        too under until up upon us very was we were what when where which while who whom whose why will with would yet
        you your yours
        """
    )
)
FRAME = set(
    words("agree find frequently give happen happens imagine important matter often right say says think view weight")
)

# Runs of two or three words that would give the official questionnaire away. Ours say the same things otherwise.
NOT_OURS = (
    "ideal job",
    "sufficient time",
    "personal or home",
    "respect your",
    "recognition for",
    "security of employment",
    "pleasant people",
    "work that is interesting",
    "consulted by",
    "desirable area",
    "respected by",
    "chances for promotion",
    "time free for",
    "few desires",
    "service to a",
    "nervous or tense",
    "happy person",
    "ever prevent",
    "other people or circumstances",
    "state of health",
    "these days",
    "all in all",
    "afraid to contradict",
    "precise answer",
    "persistent effort",
    "surest way",
    "at all cost",
    "should not be broken",
    "best interest",
)

PEOPLES = words(
    "american african arab asian european latin western eastern oriental nordic french german dutch british english "
    "chinese indian japanese russian saudi spanish swedish turkish brazilian mexican italian muslim christian hindu "
    "buddhist jewish africa america asia europe"
)


def content_words(text):
    return {_stem(word) for word in words(text) if word not in FUNCTION | FRAME}


def _stem(word):
    for ending in ("ing", "ed", "es", "ly", "s"):
        if word.endswith(ending) and len(word) >= len(ending) + 3:
            return word.removesuffix(ending)
    return word


def country_names():
    with (files("hofsteer.targets") / "data" / "hofstede-2015.csv").open(encoding="utf-8") as file:
        return {row["name"].lower() for row in csv.DictReader(file)}


@pytest.mark.parametrize("item", CONTENT)
def test_eight_wordings_of_eight_to_thirty_words(item):
    assert len(item.wordings) == 8
    for wording in item.wordings:
        assert 8 <= len(wording.split()) <= 30
        assert wording == wording.strip()
        assert wording[-1] in "?:"  # a question, or a beginning that the option completes


@pytest.mark.parametrize("item", CONTENT)
def test_wordings_of_an_item_differ_in_more_than_a_synonym(item):
    contents = [content_words(wording) for wording in item.wordings]
    for one, other in combinations(contents, 2):
        assert len(one & other) <= MOST_OVERLAP * len(one | other), one & other
    assert not set.intersection(*contents)
    assert min(len(content) for content in contents) >= 2


def test_all_wordings_are_different():
    texts = [" ".join(words(w)) for item in (*VSM13.items, *VSM13.optional_items) for w in item.wordings]
    assert len(texts) == len(set(texts)) == 30 * 8


@pytest.mark.parametrize("item", CONTENT + OPTIONAL)
def test_nothing_that_sounds_like_the_official_questionnaire(item):
    for wording in item.wordings:
        flat = f" {' '.join(words(wording))} "
        assert [run for run in NOT_OURS if f" {run}" in flat] == []


def test_no_country_and_no_people_is_named():
    names = country_names() | set(PEOPLES)
    assert "japan" in names
    pattern = re.compile(rf"\b({'|'.join(re.escape(name) for name in names)})s?\b")
    items = (*VSM13.items, *VSM13.optional_items, *STYLE12.items)
    texts = [t for item in items for t in (*item.wordings, *(option.text for option in item.options))]
    assert [text for text in texts if pattern.search(text.lower())] == []


@pytest.mark.parametrize("item", CONTENT)
def test_a_wording_does_not_hold_an_answer(item):
    """A stem with an option of its scale in it would prime that answer."""
    for wording in item.wordings:
        for option in item.options:
            if len(option.text.split()) > 1:
                assert option.text not in wording.lower()


def test_demographics_are_optional_and_in_no_formula():
    assert VSM13.item_ids == tuple(f"Q{n}" for n in range(1, 25))
    assert [item.id for item in VSM13.optional_items] == [f"Q{n}" for n in range(25, 31)]
    scored = {item_id for dimension in VSM13.dimensions for item_id, _ in dimension.weights}
    assert scored == set(VSM13.item_ids)


@pytest.mark.parametrize("item", OPTIONAL)
def test_demographics_can_be_asked_in_every_form(item):
    assert len(item.wordings) == 8
    assert all(6 <= len(wording.split()) <= 30 for wording in item.wordings)
    assert 2 <= len(item.options) <= 10
    assert [option.value for option in item.options] == list(range(1, len(item.options) + 1))
    everyone = VSM13.with_optional()
    for wording in range(8):
        asked = Administration(everyone, wording=wording, order="reversed").messages(item)[0].content
        assert asked.startswith(item.wordings[wording])
        assert f"1. {item.options[-1].text}" in asked
