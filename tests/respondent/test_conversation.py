"""A survey in one chat, against the same chat written out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from hofsteer.config import ReadOut
from hofsteer.errors import InstrumentError, ModelError
from hofsteer.instruments import Administration, Message


def by_hand(respondent, form, sequence, soft_prompt=None, temperature=1.0):
    """Ask item after item by plain passes over whole chats, without hofsteer's rendering, tries, batches or a cache.

    Returns the probability of every canonical option (I, K).
    """
    import torch

    model, tokenizer = respondent.model, respondent.tokenizer
    items = form.instrument.items
    found = np.zeros((len(items), max(len(item.options) for item in items)))
    chat = [] if form.system is None else [{"role": "system", "content": form.system}]
    for i in sequence:
        (question,) = replace(form, system=None).messages(items[i])
        chat.append({"role": "user", "content": question.content})
        prompt = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) + form.cue
        shown = form.presented(items[i])
        for label, k in zip(form.option_labels(items[i]), shown, strict=True):
            *ids, last = tokenizer.encode(prompt + label, add_special_tokens=False)
            embeds = model.get_input_embeddings()(torch.tensor([ids]))
            if soft_prompt is not None:
                embeds = torch.cat([torch.tensor(soft_prompt)[None], embeds], dim=1)
            with torch.inference_mode():
                logits = model(inputs_embeds=embeds, use_cache=False).logits[0, -1].double()
            found[i, k] = float((logits / temperature).softmax(-1)[last])
        said = form.option_labels(items[i])[shown.index(int(found[i].argmax()))]
        chat.append({"role": "assistant", "content": form.cue + said})
    return found


FORMS = {
    "plain": {},
    "reversed letters under a persona": {"order": "reversed", "labels": "letters", "system": "You live in Japan."},
    "falling numbers behind a cue, shuffled": {"numbering": "falling", "cue": "Answer:", "shuffle": 3},
}


@pytest.mark.parametrize("settings", FORMS.values(), ids=FORMS.keys())
def test_as_plain_passes_over_the_whole_chat(tiny, vsm13, settings):
    form = Administration(replace(vsm13, items=vsm13.items[:6], dimensions=()), conversation=True, **settings)
    soft_prompts = np.random.default_rng([4, 2]).normal(0, 1, (2, 3, tiny.width)).astype(np.float32)
    for given in (None, soft_prompts):
        responses = tiny.respond([form], given)
        assert responses.failures == (None,) * len(responses.failures)
        for candidate in range(len(responses.failures)):
            wanted = by_hand(tiny, form, form.sequence, None if given is None else given[candidate])
            mass = wanted.sum(axis=1)
            np.testing.assert_allclose(responses.valid_mass[candidate, 0], mass, rtol=1e-4)
            np.testing.assert_allclose(responses.probabilities[candidate, 0], wanted / mass[:, None], atol=1e-5)


def test_items_see_what_was_said_before_and_the_first_sees_nothing(tiny, vsm13):
    dozen = replace(vsm13, items=vsm13.items[:12], dimensions=())
    chat, alone = (tiny.respond([Administration(dozen, conversation=one)]).probabilities[0, 0] for one in (True, False))
    np.testing.assert_allclose(chat[0], alone[0], atol=1e-6)
    assert (np.abs(chat - alone).max(axis=1)[1:] > 1e-4).all()


def test_every_candidate_has_its_own_chat(tiny, vsm13):
    form = Administration(replace(vsm13, items=vsm13.items[:5], dimensions=()), conversation=True)
    soft_prompts = np.random.default_rng([4, 3]).normal(0, 1, (4, 3, tiny.width)).astype(np.float32)
    together = tiny.respond([form], soft_prompts).probabilities
    assert len({tuple(row) for row in together[:, 0].argmax(axis=2).tolist()}) > 1  # they did not say the same
    for one, row in zip(soft_prompts, together, strict=True):
        np.testing.assert_allclose(tiny.respond([form], one[None]).probabilities[0], row, atol=1e-5)


def test_the_order_is_a_permutation_by_its_seed(vsm13):
    orders = [Administration(vsm13, conversation=True, shuffle=seed).sequence for seed in (None, 0, 1, 0)]
    assert all(sorted(order) == list(range(24)) for order in orders)
    assert orders[0] == tuple(range(24))
    assert len(set(orders)) == 3
    assert orders[1] == orders[3]


def test_the_chat(vsm13):
    form = Administration(vsm13, system="You live in Japan.", cue="Answer: ", order="reversed", conversation=True)
    first, second = vsm13.items[:2]
    alone = replace(form, system=None)
    assert form.messages(second, [(first.id, 4)]) == [
        Message("system", "You live in Japan."),
        *alone.messages(first),
        Message("assistant", "Answer: 1"),
        *alone.messages(second),
    ]


def test_answers_of_one_dimension_stay_in_the_chat(vsm13):
    one, other = (vsm13.item(item_id) for item_id, _ in vsm13.dimensions[0].weights[:2])
    assert len(Administration(vsm13, conversation=True).messages(other, [(one.id, 0)])) == 3


def test_a_system_text_that_the_template_drops_stands_before_the_first_question(make_tokenizer, make_respondent, short):
    template = (
        "{{ bos_token }}{% for m in messages %}{% if m.role != 'system' %}<{{ m.role }}>{{ m.content }}<end>{% endif %}"
        "{% endfor %}<assistant>"
    )
    respondent = make_respondent(make_tokenizer(template=template))
    form = Administration(short, system="Live in Japan!", conversation=True)
    rendered = respondent.rendered_in_conversation(form, short.items[1], [(short.items[0].id, 0)])
    text = respondent.tokenizer.decode(rendered.rows[0])
    assert text.count("Live in Japan!") == 1
    assert text.index("Live in Japan!") < text.index(short.items[0].wordings[0][:20])


def test_at_another_temperature(tiny, vsm13):
    form = Administration(replace(vsm13, items=vsm13.items[:4], dimensions=()), conversation=True)
    found = tiny.respond([form], None, ReadOut(kind="tempered", temperature=0.7)).valid_mass[0, 0]
    wanted = by_hand(tiny, form, form.sequence, temperature=0.7)
    np.testing.assert_allclose(found, wanted.sum(axis=1), rtol=1e-4)


def test_too_long_for_the_model(tiny_folder, vsm13):
    from hofsteer import Respondent

    respondent = Respondent.from_pretrained(str(tiny_folder))
    respondent.model.config.max_position_embeddings = 400
    form = Administration(vsm13, conversation=True)
    with pytest.raises(
        ModelError, match=r"reads 400 tokens, and the conversation has \d{4}: ask the items one by one$"
    ):
        respondent.respond([form])


def test_refused(tiny, vsm13):
    with pytest.raises(ModelError, match="in a conversation are read from probabilities"):
        tiny.respond([Administration(vsm13, conversation=True)], None, ReadOut(kind="generated"))
    with pytest.raises(InstrumentError, match="want it without examples"):
        Administration(vsm13, conversation=True, examples=(("Q01", 0),))
    with pytest.raises(InstrumentError, match="by a seed of 0 or more; got 3 without one"):
        Administration(vsm13, shuffle=3)
    with pytest.raises(InstrumentError, match=r"by a seed of 0 or more; got -1$"):
        Administration(vsm13, conversation=True, shuffle=-1)
