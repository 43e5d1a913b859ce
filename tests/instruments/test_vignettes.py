"""The forced choices: balanced, scored as a share, and without a word of the VSM13 items that they stand beside."""

import csv
import re
from collections import Counter
from importlib.resources import files

import numpy as np
import pytest

from hofsteer.instruments import Administration, load_instrument

VIGNETTES = load_instrument("vignettes")
VSM13 = load_instrument("vsm13")
DIMENSIONS = VSM13.dimension_ids
DOMAINS = {"work", "family", "school", "public"}

FUNCTION_WORDS = set(
    re.findall(
        r"\w+",
        """
    a about across after again all along also although am among an and another any anyone anything are around as at be
    because been before behind being below beneath beside between both but by can could did do does doing done down
    during each either even ever every everyone everything few for from had has have having he her here hers herself
    him himself his how i if in into is it its itself just many may me might mine more most much must my myself near
    neither never no nobody none nor not nothing now of off on once one ones only onto or other others ought our out
    over own round same several shall she should since so some somebody someone something such than that the their
    theirs them themselves then there these they this those though through till to too toward towards under until up
    upon us very was we were what whatever when where wherever whether which while who whoever whom whose why will with
    within without would yes you your yours yourself yourselves
    """,
    )
)
IRREGULAR = dict(
    re.findall(
        r"(\w+):(\w+)",
        """
    ate:eat began:begin begun:begin best:good better:good bought:buy broke:break broken:break brought:bring built:build
    came:come children:child chose:choose chosen:choose drew:draw fallen:fall fell:fall felt:feel found:find gave:give
    given:give gone:go got:get grew:grow heard:hear held:hold kept:keep knew:know known:know laid:lay lain:lie lay:lie
    led:lead left:leave lent:lend lies:lie lives:life loss:lose lost:lose lying:lie made:make meant:mean met:meet
    paid:pay ran:run rang:ring risen:rise rose:rise said:say sang:sing sat:sit saw:see seen:see sent:send shown:show
    slept:sleep spent:spend spoke:speak spoken:speak stood:stand sung:sing taken:take taught:teach thought:think
    told:tell took:take tries:try tried:try went:go won:win worse:bad worst:bad written:write wrote:write
    """,
    )
)
CASES = [
    pytest.param(item, dimension, id=item.id)
    for dimension in VIGNETTES.dimensions
    for item in [VIGNETTES.item(item_id) for item_id, _ in dimension.weights]
]


def stem(word):
    """Cut off common endings; crude, so that it joins too much rather than too little."""
    word = word.removesuffix("'s")
    word = IRREGULAR.get(word, word)
    if word.endswith(("ies", "ied")) and len(word) > 4:
        word = word[:-3] + "y"
    else:
        for ending in ("ings", "ing", "ers", "ed", "er", "es", "ly", "s"):
            if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
                word = word.removesuffix(ending)
                break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiouls":
        word = word[:-1]
    return word.removesuffix("e") if len(word) > 3 else word


def content(*texts):
    words = (word for text in texts for word in re.findall(r"[a-z]+(?:'[a-z]+)?", text.lower()))
    return {stem(word) for word in words if word not in FUNCTION_WORDS}


def poles(item):
    high, low = sorted(item.options, key=lambda option: -option.value)
    return high.text, low.text


@pytest.mark.parametrize(
    "words",
    [
        "plan plans planned planning",
        "worry worries worried",
        "made make making makes",
        "boss boss's",
        "hope hoping",
        "give gave giving",
    ],
)
def test_stems_join_the_forms_of_a_word(words):
    assert len(content(words)) == 1


def test_six_items_for_each_dimension_of_vsm13():
    assert VIGNETTES.dimension_ids == DIMENSIONS
    assert [d.name for d in VIGNETTES.dimensions] == [d.name for d in VSM13.dimensions]
    assert len(VIGNETTES.items) >= 36
    for dimension in VIGNETTES.dimensions:
        assert len(dimension.weights) >= 6
    assert ((VIGNETTES.weights != 0).sum(axis=0) == 1).all()  # each item in one dimension


def test_two_actions_that_count_one_and_nought():
    for item in VIGNETTES.items:
        assert sorted(option.value for option in item.options) == [0, 1]


def test_score_is_the_share_of_high_pole_choices():
    values = VIGNETTES.option_values
    np.testing.assert_allclose(VIGNETTES.score_means(np.ones(36)), 100, rtol=1e-14)
    np.testing.assert_array_equal(VIGNETTES.score_means(np.zeros(36)), 0)
    rng = np.random.default_rng(0)
    chosen = rng.integers(2, size=36)
    answers = values[np.arange(36), chosen]
    shares = [100 * answers[row != 0].mean() for row in VIGNETTES.weights]
    np.testing.assert_allclose(VIGNETTES.score_means(answers), shares)
    np.testing.assert_allclose(VIGNETTES.score(np.eye(2)[chosen]), shares)


def test_labelled_as_a_direction_that_nobody_has_validated():
    assert not VIGNETTES.validated
    assert VIGNETTES.constants == "fixed"
    for text in (VIGNETTES.title, VIGNETTES.source):
        assert "direction" in text
        assert "unvalidated" in text


@pytest.mark.parametrize("dimension", VIGNETTES.dimensions, ids=DIMENSIONS)
def test_balanced_within_a_dimension(dimension):
    items = [VIGNETTES.item(item_id) for item_id, _ in dimension.weights]
    assert {item.domain for item in items} == DOMAINS
    assert sum(item.options[0].value == 1 for item in items) * 2 == len(items)
    words = np.array([[len(text.split()) for text in poles(item)] for item in items])
    letters = np.array([[len(text) for text in poles(item)] for item in items])
    assert abs(np.diff(words.mean(axis=0))) < 1
    assert (abs(np.diff(words)) <= 1).all()
    assert abs(np.diff(letters.mean(axis=0))) < 4
    longer = np.sign(np.diff(letters)).ravel().tolist()
    assert max(longer.count(1), longer.count(-1)) < len(items)  # not always the same pole


def test_answering_always_in_one_place_says_nothing():
    for place in (0, 1):
        always = np.eye(2)[np.full(36, place)]
        np.testing.assert_allclose(VIGNETTES.score(always), 50)


def test_domains_are_balanced_over_all():
    assert set(Counter(item.domain for item in VIGNETTES.items).values()) == {9}


@pytest.mark.parametrize(("item", "dimension"), CASES)
def test_no_content_word_shared_with_the_items_of_its_dimension(item, dimension):
    weights = {d.id: d.weights for d in VSM13.dimensions}[dimension.id]
    theirs = [VSM13.item(item_id) for item_id, _ in weights]
    taken = content(*(text for i in theirs for text in (*i.wordings, i.construct, *(o.text for o in i.options))))
    ours = content(*item.wordings, item.construct, *(option.text for option in item.options))
    assert not ours & taken


@pytest.mark.parametrize(("item", "dimension"), CASES)
def test_no_name_of_a_dimension_gives_the_key_away(item, dimension):
    names = content(*(d.name for d in VIGNETTES.dimensions))
    assert not content(*item.wordings, *(option.text for option in item.options)) & (names - content("power long term"))
    assert dimension.id.lower() not in item.id.lower()


@pytest.mark.parametrize(("item", "dimension"), CASES)
def test_second_wording_tells_it_anew(item, dimension):
    first, second = (content(wording) for wording in item.wordings)
    assert len(first & second) / len(first | second) < 0.45
    assert first & second  # but it is the same story
    for wording in item.wordings:
        assert wording.endswith("?")
        assert 15 <= len(wording.split()) <= 50


def test_no_wording_or_action_twice():
    texts = [text for i in VIGNETTES.items for text in (*i.wordings, *(o.text for o in i.options))]
    assert len(set(texts)) == len(texts)


def test_no_country_of_the_tables_is_named():
    with (files("hofsteer.targets") / "data" / "hofstede-2015.csv").open(encoding="utf-8") as file:
        names = {row["name"] for row in csv.DictReader(file)}
    assert "Albania" in names
    text = " ".join(text for i in VIGNETTES.items for text in (*i.wordings, *(o.text for o in i.options)))
    assert not [name for name in names if re.search(rf"\b{re.escape(name)}", text)]


def test_put_to_a_respondent():
    item = VIGNETTES.item("V08")
    [message] = Administration(VIGNETTES, wording=1, order="reversed", labels="letters").messages(item)
    assert message.content.endswith(
        "What is your next step?\nA. sit in the library and read until dusk\n"
        "B. run to the river and swim until dusk\nReply with one letter only."
    )
