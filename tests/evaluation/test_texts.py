"""Written answers: bounds beside every filling by brute force, refusals apart from the rest, floors."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from hofsteer import ScriptedRespondent, load_target
from hofsteer.evaluation.evidence import Question
from hofsteer.evaluation.floor import read_out_floor
from hofsteer.evaluation.texts import READ, WRITTEN, loss_bounds, measure_texts
from hofsteer.instruments import Administration
from hofsteer.instruments.base import Dimension
from hofsteer.respondent.base import Responses
from hofsteer.targets import index_loss, load_constants

DRAWS = 5
UNUSABLE = {0: 2, 5: 1, 7: 3}  # item -> how many of its draws cannot be used: 5 ** 6 fillings


@pytest.fixture(scope="module")
def constants(vsm13):
    return load_constants("midpoint", vsm13.dimension_ids)


def drawn(instrument, unusable, seed=0):
    """Counts (I, K) of the options that draws took."""
    rng = np.random.default_rng([6, seed])
    n = DRAWS - np.array([unusable.get(i, 0) for i in range(len(instrument.items))])
    return np.array([rng.multinomial(k, np.full(5, 0.2)) for k in n])


def shares(counts):
    with np.errstate(invalid="ignore"):
        return counts / counts.sum(axis=1, keepdims=True), 1 - counts.sum(axis=1) / DRAWS


def filled(instrument, constants, goal, counts, unusable):
    """The loss of every way to put options in place of the unusable draws."""
    places = [i for i, n in unusable.items() for _ in range(n)]
    losses = []
    for options in product(range(5), repeat=len(places)):
        whole = counts.copy()
        np.add.at(whole, (places, options), 1)
        losses.append(index_loss(instrument.score(whole / DRAWS) + constants.values, goal))
    return np.array(losses)


@pytest.mark.parametrize("seed", [0, 1])
def test_no_filling_leaves_the_bounds(vsm13, constants, seed):
    counts, goal = drawn(vsm13, UNUSABLE, seed), load_target("JPN").vector(vsm13.dimension_ids)
    best, worst = loss_bounds(vsm13, constants, goal, *shares(counts))
    losses = filled(vsm13, constants, goal, counts, UNUSABLE)
    assert best <= losses.min() + 1e-9
    assert losses.min() - best < 3  # whole options come that near: a draw is worth 5 to 35 points of one of six scores
    assert worst == pytest.approx(losses.max())
    assert best < losses.mean() < worst


@pytest.mark.parametrize("goal", [-500.0, 500.0])
def test_both_bounds_are_reached_where_the_target_lies_beyond_every_answer(vsm13, constants, goal):
    counts, goals = drawn(vsm13, UNUSABLE), np.full(6, goal)
    goals[2] = np.nan  # a dimension that the target lacks
    losses = filled(vsm13, constants, goals, counts, UNUSABLE)
    found = loss_bounds(vsm13, constants, goals, *shares(counts))
    assert found == pytest.approx((losses.min(), losses.max()))


def test_where_dimensions_share_an_item_they_are_bounds_alone(vsm13, constants):
    one, other = (Dimension(name, name, (("Q1", points),)) for name, points in (("A", 10.0), ("B", -10.0)))
    both = replace(vsm13, dimensions=(one, other))
    zero = load_constants("none", both.dimension_ids)
    counts, goal = drawn(both, {0: 5}), np.array([10.0, -50.0])  # of A the first option is nearest, of B the last
    losses = filled(both, zero, goal, counts, {0: 5})
    best, worst = loss_bounds(both, zero, goal, *shares(counts))
    assert (best, losses.min()) == (0, pytest.approx(20))
    assert (worst, losses.max()) == (40, pytest.approx(20))


def test_without_unusable_draws_both_are_the_loss_and_of_unknown_answers_all_is_possible(vsm13, constants):
    goal = load_target("CHN").vector(vsm13.dimension_ids)
    known, unusable = shares(drawn(vsm13, {}))
    loss = float(index_loss(vsm13.score(known) + constants.values, goal))
    np.testing.assert_allclose(loss_bounds(vsm13, constants, goal, known, unusable), loss)
    best, worst = loss_bounds(vsm13, constants, goal, np.full_like(known, np.nan), unusable)
    reach = 2 * np.abs(vsm13.weights).sum(axis=1)  # from 50, with answers 1 to 5
    assert best == pytest.approx(0)
    assert worst == pytest.approx((reach + np.abs(goal - 50)).mean())


class Writer(ScriptedRespondent):
    """Writes the texts that were counted for each soft prompt, and notes how it was asked."""

    def __init__(self, answers, counts, refused):
        super().__init__(answers)
        self.counts, self.refused, self.asked = counts, refused, []

    def respond(self, administrations, soft_prompts=None, read_out=WRITTEN):
        self.asked.append(read_out)
        if read_out.kind != "generated":
            return super().respond(administrations, soft_prompts, read_out)
        used = self.counts.sum(axis=-1)
        with np.errstate(invalid="ignore"):
            probabilities = self.counts / used[..., None]
        silent = (used == 0).any(axis=1)
        probabilities[silent] = np.nan
        failures = tuple("no text chose an option" if one else None for one in silent)
        rest = DRAWS - used - self.refused
        parts = (used / DRAWS, self.refused / DRAWS, rest / DRAWS)
        mass, refused, unparsable = (part[:, None] for part in parts)
        mask = administrations[0].instrument.option_mask
        return Responses(probabilities[:, None], mass, mask, failures, refused, unparsable)


@pytest.fixture
def question(vsm13, constants):
    forms = tuple(Administration(vsm13, wording=w) for w in (0, 1))
    return Question(
        target=load_target("JPN"),
        fitted=forms[:1],
        held_out=forms[1:],
        constants={"midpoint": constants},
        countries=(),
        elsewhere={},
        choices=None,
        persona="You live in Japan.",
        noise_floor=10.0,
    )


def test_refused_and_unparsable_apart_and_each_loss_beside_its_floor(vsm13, constants, question, neutral_answers):
    counts = np.stack([drawn(vsm13, UNUSABLE), drawn(vsm13, {}), drawn(vsm13, {3: 5})])
    refused = np.zeros((3, 24))
    refused[0, 0], refused[0, 7], refused[2, 3] = 2, 1, 5
    writer = Writer(neutral_answers, counts, refused)
    found = measure_texts(writer, np.zeros((3, 1, 24), dtype=np.float32), question)

    np.testing.assert_allclose(found.refused, np.array([3, 0, 5]) / (24 * DRAWS))
    np.testing.assert_allclose(found.unparsable, np.array([3, 0, 0]) / (24 * DRAWS))
    np.testing.assert_allclose(found.unusable, np.array([6, 0, 5]) / (24 * DRAWS))
    goal = question.target.vector(vsm13.dimension_ids)
    said = [vsm13.score(shares(one)[0]) + constants.values for one in counts[:2]]
    np.testing.assert_allclose(found.losses[:2], [index_loss(scores, goal) for scores in said])
    assert found.best[0] < found.losses[0] < found.worst[0]
    assert found.best[1] == pytest.approx(found.losses[1]) == pytest.approx(found.worst[1])
    assert found.losses[2] == found.gap[2] == np.inf  # an item without an answer has no score
    assert found.best[2] == pytest.approx(0)

    np.testing.assert_allclose(found.first_tokens, np.abs(50 - goal).mean())  # even answers
    assert found.floor == read_out_floor(question.fitted, constants, question.target, WRITTEN)
    assert found.first_tokens_floor == read_out_floor(question.fitted, constants, question.target, READ)
    excess = found.floor - found.first_tokens_floor
    assert excess > 0
    apart = [np.abs(scores - 50).mean() for scores in said]
    np.testing.assert_allclose(found.gap[:2], np.maximum(0, np.array(apart) - excess))
    table = found.to_json()
    assert table["losses"][2] is None
    assert table["refused"] == pytest.approx(found.refused.tolist())


def test_texts_are_drawn_as_the_paper_did_with_luck_that_no_search_had(question, neutral_answers, vsm13):
    writer = Writer(neutral_answers, drawn(vsm13, {})[None], np.zeros((1, 24)))
    measure_texts(writer, np.zeros((1, 1, 24), dtype=np.float32), question)
    written, read = writer.asked
    assert (written.temperature, written.top_p, written.draws, written.kind) == (0.8, 0.8, 5, "generated")
    assert (read.temperature, read.top_p, read.kind) == (0.8, 0.8, "tempered")
    assert written.stream > 0
