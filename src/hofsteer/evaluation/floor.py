"""The read-out floor: how far from a target even its own people would be, read as the model was."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hofsteer.config import ReadOut
from hofsteer.errors import ModelError
from hofsteer.instruments import Administration, Instrument
from hofsteer.instruments.base import Floats
from hofsteer.respondent.scripted import ScriptedRespondent
from hofsteer.targets import Constants, Target, index_loss
from hofsteer.world.base import make_items, place
from hofsteer.world.curves import answer_distribution

LUCKS = 20  # over which the floor of drawn answers is averaged


def read_out_floor(
    administrations: Sequence[Administration], constants: Constants, target: Target, read_out: ReadOut
) -> float:
    """Return the loss, in index points, of answers that have the target's scores exactly, under the same read-out.

    Such answers have the item means nearest to the middle of the scales that give the target's scores, and vary about
    them as the instrument says that people do. Item means of whole countries lie near the middle, so the likeliest
    answer alone cannot reach a country. It is 0 for `expected`; text is taken to say what a draw takes.
    """
    instrument = administrations[0].instrument
    answers = ideal_answers(instrument, constants, target)
    goal = target.vector(instrument.dimension_ids)
    kind = "sampled" if read_out.kind == "generated" else read_out.kind
    seeds = range(LUCKS) if kind == "sampled" else range(1)
    losses = []
    for seed in seeds:
        asked = read_out.model_copy(update={"kind": kind, "seed": read_out.seed + seed})
        responses = ScriptedRespondent(answers).respond(administrations, None, asked)
        if responses.failures[0] is not None:
            raise ModelError(f"no read-out floor: {responses.failures[0]}")
        scores = instrument.score(responses.probabilities[0]) + constants.values
        losses.append(index_loss(scores, goal).mean())
    return float(np.mean(losses))


def ideal_answers(instrument: Instrument, constants: Constants, target: Target) -> Floats:
    """Return answer distributions (I, K) with the target's scores; a score it lacks is that of neutral answers."""
    items = make_items(instrument, seed=0)
    items = replace(items, intercepts=np.zeros_like(items.intercepts))
    flat = instrument.score_means(items.middle) + constants.values
    goal = target.vector(instrument.dimension_ids)
    profile = items.origin + np.where(np.isnan(goal), 0.0, goal - flat)
    means = np.clip(place(items, profile[None], np.zeros((1, len(items.unit))))[0], items.lowest, items.highest)
    answers = np.zeros(instrument.option_values.shape)
    for i, item in enumerate(instrument.items):
        values = np.array([option.value for option in item.options])
        answers[i, : len(values)] = answer_distribution(float(means[i]), item.deviation, values)
    return answers


def greedy_floor(instrument: Instrument, constants: Constants, target: Target) -> float:
    """Return a loss, in index points, that answers of one option an item cannot get below, mean over the dimensions.

    Each dimension by itself takes the options that come nearest to the target's score; where dimensions share items no
    single set of answers need reach that, so it is a lower bound. It holds for greedy answers in any number of wordings
    and orders, whose losses are averaged. Sums are kept to a hundredth of a point.
    """
    goal = target.vector(instrument.dimension_ids)
    flat = instrument.intercepts + constants.values
    gaps = []
    for m in np.flatnonzero(~np.isnan(goal)):
        sums = np.array([flat[m]])
        for i in np.flatnonzero(instrument.weights[m]):
            steps = instrument.weights[m, i] * np.array([option.value for option in instrument.items[i].options])
            sums = np.unique(np.round(sums[:, None] + steps, 2))
        gaps.append(np.abs(sums - goal[m]).min())
    return float(np.mean(gaps))
