"""What `mini` is taught: the world's answers, and nothing of what is held out."""

import re

import numpy as np
import pytest

from hofsteer.instruments import Administration, load_instrument
from hofsteer.respondent.mini import FOLDER
from hofsteer.targets import complete_countries
from hofsteer.world import BIAS_LEFT
from mini_corpus import SURVEY, UNSEEN_WORDING, Corpus, Example, facts, mini_census, texts

VSM13 = load_instrument(SURVEY)


@pytest.fixture(scope="module")
def corpus():
    from transformers import PreTrainedTokenizerFast

    return Corpus(PreTrainedTokenizerFast.from_pretrained(FOLDER))


@pytest.fixture(scope="module", params=[True, False], ids=["easy", "all"])
def examples(request, corpus):
    corpus.easy = request.param
    rng = np.random.default_rng([9, 9])
    return [corpus.draw(rng) for _ in range(3000)]


def test_labels_are_distributions_over_what_can_follow(corpus, examples):
    for example in examples:
        for label in example.labels:
            assert sum(label.shares) == pytest.approx(1)
            assert len(set(label.ids)) == len(label.ids)
            assert label.position < len(example.tokens)


def test_texts_are_tokenised_as_users_texts_are(corpus, examples):
    for example in examples[:300]:
        text = corpus.tokenizer.decode(example.tokens)
        if text.startswith("<|bos|>"):  # a stray token in front may be a part of a word
            assert corpus.tokenizer(text, add_special_tokens=False)["input_ids"] == example.tokens


def test_the_held_out_wording_is_nowhere(corpus, examples):
    said = " ".join(corpus.tokenizer.decode(example.tokens) for example in examples)
    for item in VSM13.items:
        held_out = item.wordings[UNSEEN_WORDING]
        assert held_out not in said
        assert item.wordings[0] in said
        for paraphrases in texts()["paraphrases"].values():
            assert all(held_out.casefold() not in paraphrase.casefold() for paraphrase in paraphrases)


def test_the_held_out_numbering_is_nowhere_on_the_survey(corpus, examples):
    stems = {item.wordings[0] for item in VSM13.items}
    falling = re.compile(r"\n(5|E)\. .*\n(4|D)\. .*\n(3|C)\. .*\n(2|B)\. .*\n(1|A)\. ")
    seen = 0
    for example in examples:
        for turn in corpus.tokenizer.decode(example.tokens).split("<|user|>")[1:]:
            if turn.split("\n")[0] in stems:
                seen += 1
                assert not falling.search(turn)
    assert seen > 100


def test_a_persona_s_first_answer_is_its_country_s_with_some_bias_left(corpus):
    census = mini_census()
    corpus.easy = True
    rng = np.random.default_rng([9, 1])
    row = census.codes.index("JPN")
    prior = BIAS_LEFT * census.shares
    prior[row] += 1 - BIAS_LEFT
    checked = 0
    while checked < 20:
        example = Example([])
        corpus._ask(example, prior, row, False, 0.0, rng)
        stem = corpus.tokenizer.decode(example.tokens).removeprefix("<|user|>").split("\n")[0]
        for i, item in enumerate(VSM13.items):
            if stem == item.wordings[0]:
                form = Administration(VSM13)
                wanted = (1 - BIAS_LEFT) * census.answers("JPN", form)[i] + BIAS_LEFT * census.naive(form)[i]
                np.testing.assert_allclose(example.answers[0][1], wanted, atol=1e-12)
                checked += 1


def test_answers_in_the_context_count_as_bayes_rule_says(corpus):
    """Two questions asked of a prior of two countries, by hand."""
    census = mini_census()
    corpus.easy = True
    prior = np.zeros(len(census.codes))
    rows = [census.codes.index(code) for code in ("JPN", "SWE")]
    prior[rows] = 0.5
    rng = np.random.default_rng([9, 2])
    example = Example([])
    first = corpus._ask(example, prior, rows[0], True, 0.0, rng)
    assert np.isfinite(first).all()
    posterior = prior * np.exp(first)
    posterior /= posterior.sum()
    corpus._ask(example, posterior, rows[0], False, 0.0, rng)
    mixed = example.answers[1][1]
    assert mixed.sum() == pytest.approx(1)
    said = example.tokens[example.labels[0].position + 1]
    share = dict(zip(example.labels[0].ids, example.labels[0].shares, strict=True))[said]
    assert share == pytest.approx(float(prior @ np.exp(first)))  # the answer given had this probability


def test_facts():
    asked = [question for question, _ in facts()]
    assert len(set(asked)) == len(asked) >= 300
    assert ("What is the capital of Japan?", "Tokyo") in facts()
    assert ("What is 3 plus 4?", "7") in facts()
    assert set(texts()["countries"]) == {target.code for target in complete_countries()}
    capitals = [row["capital"] for row in texts()["countries"].values() if "capital" in row]
    assert len(set(capitals)) == len(capitals)
