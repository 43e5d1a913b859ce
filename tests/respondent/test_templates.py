"""Tokenizers trained on the spot, byte-level and in SentencePiece style, and templates with habits of their own."""

import re

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from hofsteer.instruments import Administration, load_instrument
from hofsteer.respondent.render import render

SPECIAL = ["<pad>", "<bos>", "<end>", "<user>", "<system>", "<assistant>", "<think>", "</think>"]
CHAT = "<bos>{% for m in messages %}<{{ m.role }}>{{ m.content }}<end>{% endfor %}<assistant>"
DATED = "<bos><system>Today is {{ strftime_now('%d %b %Y') }}.<end>" + CHAT.removeprefix("<bos>")
STRIPPING = "<bos>{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}<end>{% endfor %}<assistant>"
THINKING = CHAT + "{% if enable_thinking is not defined or enable_thinking %}<think>{% endif %}"
VSM13, IVS10 = load_instrument("vsm13-own"), load_instrument("ivs10")


def train(style: str) -> PreTrainedTokenizerFast:
    """Return a tokenizer trained on the surveys: a byte-level BPE, or a unigram model with SentencePiece's spaces."""
    texts = [m.content for s in (VSM13, IVS10) for item in s.items for m in Administration(s).messages(item)]
    if style == "byte-level":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=600,
            special_tokens=SPECIAL,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
    else:
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.normalizer = normalizers.Replace("\n", "⏎")
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.decoder = decoders.Metaspace()
        alphabet = [chr(code) for code in range(33, 127)] + ["⏎", "▁"]
        trainer = trainers.UnigramTrainer(
            vocab_size=600, special_tokens=[*SPECIAL, "<unk>"], unk_token="<unk>", initial_alphabet=alphabet
        )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<end>", pad_token="<pad>", chat_template=CHAT
    )


@pytest.fixture(scope="module", params=["byte-level", "sentencepiece"])
def tokenizer(request):
    return train(request.param)


@pytest.mark.parametrize("cue", ["", "Answer: ", "Answer:", "The number is "])
@pytest.mark.parametrize("labels", ["digits", "letters"])
@pytest.mark.parametrize("survey", [VSM13, IVS10], ids=["five options", "up to ten options"])
def test_options_are_read_as_they_stand_in_the_whole_text(tokenizer, survey, labels, cue):
    form = Administration(survey, labels=labels, cue=cue)
    rendered = render(form, tokenizer)
    end = tokenizer.eos_token_id
    for item, options in zip(survey.items, rendered.reads, strict=True):
        assert len(options) == len(item.options)
        (user,) = form.messages(item)
        prompt = f"<bos><user>{user.content}<end><assistant>{cue}"
        shown = dict(zip(form.presented(item), form.option_labels(item), strict=True))
        for k, reads in enumerate(options):
            first = reads[0]
            ids = [*rendered.rows[first.row][: first.position + 1], *(read.token for read in reads)]
            whole = tokenizer(prompt + shown[k], add_special_tokens=False)["input_ids"]
            assert ids in (whole, [*whole, end])
        paths = [tuple(read.token for read in reads) for reads in options]
        assert not any(a != b and b[: len(a)] == a for a in paths for b in paths)  # P("1") does not hold P("10")
        assert rendered.rows[first.row].count(tokenizer.bos_token_id) == 1


def test_a_template_with_todays_date_is_rendered_once(tokenizer, make_respondent, monkeypatch):
    monkeypatch.setattr(tokenizer, "chat_template", DATED)
    respondent = make_respondent(tokenizer)
    form = Administration(VSM13)
    before = respondent.rendered(form)
    assert re.search(r"Today.*is.*20\d\d", tokenizer.decode(before.rows[0]))
    monkeypatch.setattr(tokenizer, "chat_template", DATED.replace("Today", "Tomorrow"))  # midnight has passed
    assert respondent.rendered(form) == before
    assert render(form, tokenizer) != before


def test_a_template_that_strips_the_trailing_space_keeps_the_cue_s(tokenizer, monkeypatch):
    monkeypatch.setattr(tokenizer, "chat_template", STRIPPING)
    form = Administration(VSM13, system="You live in Japan. ", cue="Answer: ")
    rendered = render(form, tokenizer)
    assert rendered.notes == ()  # a system text that is merely stripped is not dropped
    for reads in rendered.reads[0]:
        ids = [*rendered.rows[reads[0].row][: reads[0].position + 1], *(read.token for read in reads)]
        assert re.search(r"Answer: ?[1-5]$", tokenizer.decode(ids, skip_special_tokens=True))


def test_thinking_channels_are_closed_by_an_argument_or_a_cue(tokenizer, monkeypatch):
    monkeypatch.setattr(tokenizer, "chat_template", THINKING)
    form = Administration(VSM13)
    thinks, closes = tokenizer.convert_tokens_to_ids(["<think>", "</think>"])
    assert thinks in render(form, tokenizer).rows[0][-2:]  # SentencePiece may put a space of its own behind it
    assert thinks not in render(form, tokenizer, {"enable_thinking": False}).rows[0]
    closed = render(Administration(VSM13, cue="</think>"), tokenizer).rows[0]
    assert [token for token in closed if token in (thinks, closes)] == [thinks, closes]
    assert closes in closed[-2:]


def test_both_kinds_of_tokenizer_give_answers(tokenizer, make_respondent):
    respondent = make_respondent(tokenizer)
    for survey in (VSM13, IVS10):
        responses = respondent.respond([Administration(survey)])
        sums = responses.probabilities[0, 0].sum(axis=-1)
        np.testing.assert_allclose(sums, 1.0)
        assert respondent.passes.uses_trie
