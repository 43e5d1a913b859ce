"""Examples are computed back from the scores, and never tell of the dimension that is asked."""

from dataclasses import replace

import numpy as np
import pytest

from hofsteer import load_target
from hofsteer.baselines import constructed_examples
from hofsteer.errors import InstrumentError, TargetError
from hofsteer.evaluation.floor import ideal_answers
from hofsteer.instruments import Administration, load_instrument
from hofsteer.targets import constants_for, load_constants, target_for


@pytest.fixture(scope="module")
def examples(vsm13):
    target, constants = load_target("JPN"), load_constants("midpoint", vsm13.dimension_ids)
    means = vsm13.item_means(ideal_answers(vsm13, constants, target))
    return constructed_examples(vsm13, constants, target, means)


def test_two_examples_a_dimension(examples, vsm13):
    names = [item_id for item_id, _ in examples]
    for dimension in vsm13.dimensions:
        assert len(set(names) & {item_id for item_id, _ in dimension.weights}) == 2
    assert names == sorted(names, key=vsm13.item_ids.index)


def test_all_answers_of_a_dimension_would_score_next_to_the_target(vsm13, monkeypatch):
    """With every example kept, whole-number answers come as near as their steps of 5 or 35 points allow."""
    from hofsteer.baselines import in_context

    monkeypatch.setattr(in_context, "PER_DIMENSION", 4)
    target, constants = load_target("JPN"), load_constants("midpoint", vsm13.dimension_ids)
    means = vsm13.item_means(ideal_answers(vsm13, constants, target))
    chosen = dict(in_context.constructed_examples(vsm13, constants, target, means))
    answers = np.array([vsm13.item(i).options[chosen[i]].value for i in vsm13.item_ids])
    scores = vsm13.score_means(answers) + constants.values
    apart = dict(zip(vsm13.dimension_ids, np.abs(scores - target.vector(vsm13.dimension_ids)), strict=True))
    assert max(apart[d] for d in ("PDI", "UAI", "LTO", "IVR")) <= 2.5
    assert max(apart[d] for d in ("IDV", "MAS")) <= 17.5


def test_no_example_shares_a_dimension_with_what_is_asked(examples, vsm13):
    form = Administration(vsm13, system="You live in Japan.", examples=examples, order="reversed")
    for item in vsm13.items:
        messages = form.messages(item)
        assert [m.role for m in messages] == ["system", *["user", "assistant"] * 10, "user"]
        linked = next(d for d in vsm13.dimensions if item.id in dict(d.weights))
        for other, _ in linked.weights:
            stem = vsm13.item(other).wordings[0]
            assert sum(stem in m.content for m in messages) == (other == item.id)


def test_the_answers_are_labels_of_the_form(examples, vsm13):
    listed, turned = (Administration(vsm13, examples=examples[:1], order=order) for order in ("listed", "reversed"))
    asked = next(item for item in vsm13.items if not listed._linked(item.id, examples[0][0]))
    answers = [form.messages(asked)[1].content for form in (listed, turned)]
    assert int(answers[0]) + int(answers[1]) == 6
    assert int(answers[0]) == examples[0][1] + 1


def test_examples_that_are_not_there_are_refused(vsm13):
    plain = Administration(vsm13)
    with pytest.raises(InstrumentError, match="has no item 'Q99' to give as an example"):
        replace(plain, examples=(("Q99", 0),))
    with pytest.raises(InstrumentError, match="want option 0 to 4 of Q1 as an example, got 5"):
        replace(plain, examples=(("Q1", 5),))


def test_an_instrument_with_too_many_ways_to_answer_is_refused_at_once():
    # ten items in each score of ivs10: all 27 million ways to answer them were once looked through
    ivs10 = load_instrument("ivs10")
    target, constants = target_for("JPN", ivs10), constants_for(ivs10)
    with pytest.raises(
        TargetError, match=r"at most 200,000 ways to answer their items, got 27,648,000 for \w+ of ivs10"
    ):
        constructed_examples(ivs10, constants, target, ivs10.neutral_means)
