import json
import logging
from collections.abc import Sequence
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from hofsteer.errors import ModelError
from hofsteer.instruments import Administration, Message
from hofsteer.respondent.render import Read, Rendered, prompt_text, render

NO_SYSTEM = (
    "{% for message in messages %}{% if message.role == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}<{{ message.role }}>{{ message.content }}<end>{% endfor %}<assistant>"
)


def read_texts(rendered: Rendered, tokenizer) -> list[list[tuple[str, str]]]:
    """For each item and canonical option: the text before the first read token, and the text of the read tokens."""
    texts = []
    for options in rendered.reads:
        texts.append([])
        for reads in options:
            first = reads[0]
            before = rendered.rows[first.row][: first.position + 1]
            texts[-1].append((tokenizer.decode(before), tokenizer.decode([read.token for read in reads])))
    return texts


def assert_reads_follow_each_other(rendered: Rendered) -> None:
    """A later token of an option is read right behind the earlier ones, in a row that contains them."""
    for options in rendered.reads:
        for reads in options:
            row = rendered.rows[reads[0].row]
            for before, read in pairwise(reads):
                assert (read.row, read.position) == (before.row, before.position + 1)
                assert row[read.position] == before.token


# Each option is the tokens we think it is.


@pytest.mark.parametrize("labels", ["digits", "letters"])
@pytest.mark.parametrize("order", ["listed", "reversed"])
def test_each_option_is_the_token_of_the_label_shown_beside_it(vsm13, tiny_tokenizer, labels, order):
    administration = Administration(vsm13, labels=labels, order=order)
    rendered = render(administration, tiny_tokenizer)
    assert len(rendered.rows) == len(vsm13.items)
    assert rendered.notes == ()
    for item, options in zip(vsm13.items, read_texts(rendered, tiny_tokenizer), strict=True):
        for option, (before, token) in zip(item.options, options, strict=True):
            chat = f"<user>{administration.messages(item)[0].content}<end><assistant>"
            assert before.removeprefix("<bos>") == chat
            assert f"\n{token}. {option.text}\n" in chat  # the label that stands at this very option
            assert token in administration.option_labels(item)


def test_system_text_and_cue_are_in_every_row(short, tiny_tokenizer):
    administration = Administration(short, system="You live in Japan.", cue="My answer is ")
    for options in read_texts(render(administration, tiny_tokenizer), tiny_tokenizer):
        for label, (before, token) in enumerate(options, start=1):
            assert before.startswith("<bos><system>You live in Japan.<end><user>")
            assert (before + token).endswith(f"<end><assistant>My answer is {label}")


def test_a_cue_that_merges_with_the_label_is_tokenized_jointly(make_instrument, make_tokenizer):
    merges = [(" ", digit) for digit in "12345"]
    tokenizer = make_tokenizer(merges)
    ids = tokenizer.convert_tokens_to_ids
    apart = tokenizer.encode("Answer: ", add_special_tokens=False) + tokenizer.encode("1", add_special_tokens=False)
    assert apart[-2:] == ids([" ", "1"])  # what a careless rendering would read
    rendered = render(Administration(make_instrument(5), cue="Answer: "), tokenizer)
    assert [[read.token for read in reads] for reads in rendered.reads[0]] == [[ids(f" {k}")] for k in range(1, 6)]
    (row,) = rendered.rows
    assert row[-1] == ids(":")
    assert {read.position for reads in rendered.reads[0] for read in reads} == {len(row) - 1}


def test_a_cue_that_merges_with_some_labels_gives_paths(make_instrument, make_tokenizer, make_respondent, plain_mass):
    """As a vocabulary with ' 2' but no ' 1': options of one and of two tokens part before the blank."""
    tokenizer = make_tokenizer([(" ", "2"), (" ", "3")])
    administration = Administration(make_instrument(4, 3), cue="Answer: ")
    rendered = render(administration, tokenizer)
    ids = tokenizer.convert_tokens_to_ids
    tokens = [[read.token for read in reads] for reads in rendered.reads[0]]
    assert tokens == [ids([" ", "1"]), [ids(" 2")], [ids(" 3")], ids([" ", "4"])]
    assert_reads_follow_each_other(rendered)
    assert len(rendered.rows) == 2  # both paths of an item are read in one row
    check_against_plain(make_respondent(tokenizer), administration, plain_mass)


def check_against_plain(respondent, administration, plain_mass, end: Sequence[int] = ()) -> None:
    """Compare with one plain forward pass a string, with and without a soft prompt; 1e-5 in float32."""
    soft_prompts = np.random.default_rng(4).normal(size=(2, 3, respondent.width)).astype(np.float32)
    for prompts in (None, soft_prompts):
        responses = respondent.respond([administration], prompts)
        for candidate in range(len(responses.failures)):
            mass = plain_mass(respondent, administration, None if prompts is None else prompts[candidate], end)
            valid = mass.sum(axis=-1)
            assert (valid > 1e-5).all()  # otherwise the comparison says nothing
            np.testing.assert_allclose(responses.valid_mass[candidate, 0], valid, rtol=1e-4, atol=1e-7)
            np.testing.assert_allclose(responses.probabilities[candidate, 0], mass / valid[:, None], atol=1e-5)
            np.testing.assert_allclose(responses.probabilities[candidate, 0].sum(axis=-1), 1.0, rtol=1e-12)


# Options of several tokens.


def test_one_begins_ten(make_instrument, make_tokenizer, make_respondent, plain_mass):
    """Without an end behind each option, P("1") would contain P("10")."""
    tokenizer = make_tokenizer()
    end = tokenizer.eos_token_id
    administration = Administration(make_instrument(10, 9))
    rendered = render(administration, tokenizer)
    ids = tokenizer.convert_tokens_to_ids
    ten, nine = ([[read.token for read in reads] for reads in options] for options in rendered.reads)
    assert ten == [*([ids(str(k)), end] for k in range(1, 10)), [ids("1"), ids("0"), end]]
    assert nine == [[ids(str(k))] for k in range(1, 10)]  # no option begins another: no end needed
    assert_reads_follow_each_other(rendered)

    respondent = make_respondent(tokenizer)
    with_end = plain_mass(respondent, administration, end=[end])
    without_end = plain_mass(respondent, administration)
    responses = respondent.respond([administration])
    mass = np.stack([with_end[0], without_end[1]])
    np.testing.assert_allclose(responses.valid_mass[0, 0], mass.sum(axis=-1), rtol=1e-4)
    np.testing.assert_allclose(responses.probabilities[0, 0], mass / mass.sum(axis=-1, keepdims=True), atol=1e-5)
    assert without_end[0, 0] > with_end[0, 0] + with_end[0, 9]  # the trap is there to fall into


def test_one_begins_ten_in_reversed_order(make_instrument, make_tokenizer, make_respondent, plain_mass):
    tokenizer = make_tokenizer()
    administration = Administration(make_instrument(10), order="reversed", cue="Answer:")
    first, last = render(administration, tokenizer).reads[0][0], render(administration, tokenizer).reads[0][9]
    assert [tokenizer.decode([read.token for read in reads[:-1]]) for reads in (first, last)] == ["10", "1"]
    check_against_plain(make_respondent(tokenizer), administration, plain_mass, end=[tokenizer.eos_token_id])


def test_ten_as_one_token_needs_no_end(make_instrument, make_tokenizer, make_respondent, plain_mass):
    tokenizer = make_tokenizer([("1", "0")])
    administration = Administration(make_instrument(10))
    rendered = render(administration, tokenizer)
    wanted = [[tokenizer.convert_tokens_to_ids(str(k))] for k in range(1, 11)]
    assert [[read.token for read in reads] for reads in rendered.reads[0]] == wanted
    assert len(rendered.rows) == 1
    check_against_plain(make_respondent(tokenizer), administration, plain_mass)


def test_without_an_end_token_an_option_that_begins_another_is_refused(make_instrument, make_tokenizer):
    tokenizer = make_tokenizer(eos=None)
    assert tokenizer.eos_token_id is None
    with pytest.raises(ModelError, match="begin another's and the tokenizer has no end-of-sequence token"):
        render(Administration(make_instrument(10)), tokenizer)
    render(Administration(make_instrument(9)), tokenizer)


def test_letters_of_two_tokens_each(make_instrument, make_tokenizer, make_respondent, plain_mass):
    """A tokenizer that spells B as 'zy': one option is a path, the others are single tokens."""
    tokenizer = make_tokenizer(rewrite=("B", "zy"))
    administration = Administration(make_instrument(4, 2), labels="letters")
    rendered = render(administration, tokenizer)
    ids = tokenizer.convert_tokens_to_ids
    assert [[read.token for read in reads] for reads in rendered.reads[0]] == [
        [ids("A")],
        ids(["z", "y"]),
        [ids("C")],
        [ids("D")],
    ]
    assert_reads_follow_each_other(rendered)
    check_against_plain(make_respondent(tokenizer), administration, plain_mass)


def test_options_by_their_own_words_are_paths_behind_what_they_share(
    make_instrument, make_tokenizer, make_respondent, plain_mass
):
    tokenizer = make_tokenizer(rewrite=("2", "zy"))
    administration = Administration(make_instrument(4, 3), labels="words", order="reversed")
    rendered = render(administration, tokenizer)
    assert [len(reads) for reads in rendered.reads[0]] == [1, 2, 1, 1]  # "about " is before the first of them
    assert_reads_follow_each_other(rendered)
    check_against_plain(make_respondent(tokenizer), administration, plain_mass)


def test_labels_that_share_their_first_token_are_read_behind_it(make_instrument, make_tokenizer, make_respondent):
    """As SentencePiece does: a blank of its own before every digit says nothing and is part of the prompt."""
    tokenizer = make_tokenizer()
    rendered = render(Administration(make_instrument(3), cue="Answer: "), tokenizer)
    assert rendered.rows[0][-1] == tokenizer.convert_tokens_to_ids(" ")
    assert [len(reads) for reads in rendered.reads[0]] == [1, 1, 1]


def test_rows_are_contexts_that_no_other_row_contains(make_instrument, make_tokenizer):
    rendered = render(Administration(make_instrument(10, 4)), make_tokenizer())
    # ten options of "digit, end" need the digit in the row, "10" needs both: nine rows, since "1" lies within "10"
    assert len(rendered.rows) == 9 + 1
    for a in rendered.rows:
        assert not any(a is not b and b[: len(a)] == a for b in rendered.rows)


def test_two_labels_that_become_the_same_tokens_are_refused(make_instrument, make_tokenizer):
    tokenizer = make_tokenizer(
        alphabet="abcdefghijklmnopqrstuvwxyzACHRUYIOn1234567890 .,?\n<>", unknown="<pad>"
    )  # no B, no D
    render(Administration(make_instrument(4)), tokenizer)
    with pytest.raises(ModelError, match=r"gives two of the options A, B, C, D the same tokens$"):
        render(Administration(make_instrument(4), labels="letters"), tokenizer)


def test_an_empty_prompt_is_refused(make_instrument, make_tokenizer):
    with pytest.raises(ModelError, match="no token before the answer options"):
        render(Administration(make_instrument(4)), make_tokenizer(template="{{ '' }}"))


# Orders and labels.


@pytest.mark.parametrize("labels", ["digits", "letters"])
@pytest.mark.parametrize("order", ["listed", "reversed"])
def test_answers_come_back_in_canonical_order(tiny, short, plain_mass, labels, order):
    administration = Administration(short, order=order, labels=labels)
    mass = plain_mass(tiny, administration)
    responses = tiny.respond([administration])
    np.testing.assert_allclose(responses.valid_mass[0, 0], mass.sum(axis=-1), atol=1e-5)
    np.testing.assert_allclose(responses.probabilities[0, 0], mass / mass.sum(axis=-1, keepdims=True), atol=1e-5)
    backwards = responses.probabilities[0, 0, :, ::-1]
    assert np.abs(responses.probabilities[0, 0] - backwards).max() > 0.1  # a flipped order would show


# Templates.


def test_no_chat_template_means_plain_text_and_a_note(make_instrument, make_tokenizer):
    tokenizer = make_tokenizer(template=None)
    administration = Administration(make_instrument(3), system="You live in Japan.")
    item = administration.instrument.items[0]
    rendered = render(administration, tokenizer)
    ((before, token), *_), *_ = read_texts(rendered, tokenizer)
    assert before == f"<bos>You live in Japan.\n\n{administration.messages(item)[1].content}\n\nAnswer: "
    assert token == "1"
    assert rendered.notes == (
        "the tokenizer has no chat template: items are put as plain text that ends in 'Answer: '",
    )


def test_no_chat_template_and_no_beginning_token():
    tokenizer = SimpleNamespace(chat_template=None, bos_token=None)
    assert prompt_text([Message("user", "How much?")], tokenizer)[0] == "How much?\n\nAnswer: "


def test_plain_text_merges_its_own_cue_with_the_label(make_instrument, make_tokenizer):
    tokenizer = make_tokenizer([(" ", digit) for digit in "123"], template=None)
    rendered = render(Administration(make_instrument(3)), tokenizer)
    wanted = [[tokenizer.convert_tokens_to_ids(f" {k}")] for k in range(1, 4)]
    assert [[read.token for read in reads] for reads in rendered.reads[0]] == wanted


def test_a_template_that_refuses_a_system_role_gets_it_in_the_user_message(make_instrument, make_tokenizer):
    tokenizer = make_tokenizer(template=NO_SYSTEM)
    administration = Administration(make_instrument(3, 4), system="You live in Japan.")
    rendered = render(administration, tokenizer)
    for item, options in zip(administration.instrument.items, read_texts(rendered, tokenizer), strict=True):
        user = administration.messages(item)[1].content
        assert {before for before, _ in options} == {f"<user>You live in Japan.\n\n{user}<end><assistant>"}
    assert rendered.notes == (  # once, however many items
        "the chat template refuses a system message: it stands at the head of the user message",
    )
    assert render(Administration(make_instrument(3)), tokenizer).notes == ()  # nothing to say without a system text


def test_a_template_that_drops_a_system_role_gets_it_in_the_user_message(make_instrument, make_tokenizer):
    tokenizer = make_tokenizer(template="<user>{{ messages[-1]['content'] }}<end><assistant>")
    rendered = render(Administration(make_instrument(3), system="You live in Japan."), tokenizer)
    assert all("You live in Japan." in before for item in read_texts(rendered, tokenizer) for before, _ in item)
    assert rendered.notes == ("the chat template drops a system message: it stands at the head of the user message",)


def test_a_template_that_refuses_even_the_user_is_an_error(make_instrument, make_tokenizer):
    tokenizer = make_tokenizer(template="{{ raise_exception('only the tool role') }}")
    for system in (None, "You live in Japan."):
        with pytest.raises(ModelError, match="the chat template cannot render a user message: only the tool role"):
            render(Administration(make_instrument(3), system=system), tokenizer)


@pytest.mark.parametrize(
    "template",
    [
        "{{ bos_token }}{% for message in messages %}<user>{{ message.content }}<end>{% endfor %}<assistant>",
        "{% for message in messages %}<user>{{ message.content }}<end>{% endfor %}<assistant>",
        None,
    ],
    ids=["with", "without", "no template"],
)
def test_the_beginning_token_is_put_by_the_template_alone(make_instrument, make_tokenizer, template):
    tokenizer = make_tokenizer(template=template)
    assert tokenizer.encode("x")[0] == tokenizer.bos_token_id  # this tokenizer would add one more of its own
    wanted = 1 if template is None or "bos" in template else 0
    for row in render(Administration(make_instrument(3, 10)), tokenizer).rows:
        assert row.count(tokenizer.bos_token_id) == wanted
        assert (row[0] == tokenizer.bos_token_id) == bool(wanted)


DATED = "{{ strftime_now('%H:%M:%S.%f') }}<user>{{ messages[0].content }}<end><assistant>"


def test_a_template_that_prints_the_time_is_rendered_once(make_instrument, make_tokenizer, make_respondent):
    tokenizer = make_tokenizer(template=DATED)
    administration = Administration(make_instrument(3))
    assert render(administration, tokenizer) != render(administration, tokenizer)
    respondent = make_respondent(tokenizer)
    first = respondent.respond([administration])
    rendered = respondent.rendered(administration)
    second = respondent.respond([administration])
    assert respondent.rendered(administration) is rendered
    np.testing.assert_array_equal(first.probabilities, second.probabilities)
    # an equal administration is the same one; another is rendered on its own
    assert respondent.rendered(Administration(administration.instrument)) is rendered
    assert respondent.rendered(Administration(administration.instrument, order="reversed")).rows != rendered.rows


def test_stored_tokens_are_put_instead_of_rendering(make_instrument, make_tokenizer, make_respondent):
    administration = Administration(make_instrument(3))
    yesterday = make_respondent(make_tokenizer(template=DATED))
    answers = yesterday.respond([administration])
    stored = json.loads(json.dumps(yesterday.rendered(administration).to_json()))

    today = make_respondent(make_tokenizer(template="{{ raise_exception('must not be rendered') }}"))
    today.use_rendered(administration, Rendered.from_json(stored))
    assert today.rendered(administration) == yesterday.rendered(administration)
    np.testing.assert_array_equal(today.respond([administration]).probabilities, answers.probabilities)


def test_notes_are_logged_once(make_instrument, make_tokenizer, make_respondent, caplog):
    respondent = make_respondent(make_tokenizer(template=None))
    administration = Administration(make_instrument(3, 3))
    with caplog.at_level(logging.WARNING, logger="hofsteer"):
        for _ in range(2):
            respondent.respond([administration])
    assert [record.getMessage() for record in caplog.records] == [
        "made: the tokenizer has no chat template: items are put as plain text that ends in 'Answer: '"
    ]


def test_rendered_survives_json(make_instrument, make_tokenizer):
    rendered = render(Administration(make_instrument(10, 2)), make_tokenizer(template=None))
    assert rendered.notes
    back = Rendered.from_json(json.loads(json.dumps(rendered.to_json())))
    assert back == rendered
    assert isinstance(back.reads[0][9][0], Read)
    assert hash(back) == hash(rendered)  # tuples all the way down
