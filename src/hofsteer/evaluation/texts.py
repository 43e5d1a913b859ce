"""Written answers beside first tokens: refusals, what cannot be parsed, and what the scores would be without them."""

import numpy as np

from hofsteer.config import ReadOut
from hofsteer.evaluation.evidence import Question, Texts
from hofsteer.evaluation.floor import read_out_floor
from hofsteer.instruments import Instrument
from hofsteer.instruments.base import Floats
from hofsteer.respondent.base import Respondent, SoftPrompts
from hofsteer.targets import Constants, index_loss

# As the pilots of the paper read: each of the five draws fills in the whole form with a seed of its own. The stream is
# not that of searches, so a run that was fitted to sampled answers is not read with the luck that it was fitted to.
WRITTEN = ReadOut(kind="generated", temperature=0.8, top_p=0.8, draws=5, stream=1)
READ = WRITTEN.model_copy(update={"kind": "tempered"})  # the same distribution, of first tokens, exactly


def measure_texts(respondent: Respondent, soft_prompts: SoftPrompts, question: Question) -> Texts:
    """Return what texts say on the first fitted form, behind soft prompts (S, L, W).

    The gap is the mean absolute difference of the scores of texts and of first tokens at the same temperature and
    top-p, less what drawing so few texts costs by itself (the read-out floors' difference), and at least 0. A soft
    prompt whose texts cannot be scored, since some item never got an answer, has a gap and a loss of +inf, and bounds
    as if none of its texts could be used.
    """
    form, instrument = question.fitted[:1], question.instrument
    constants = next(iter(question.constants.values()))
    goal = question.target.vector(instrument.dimension_ids)
    written = respondent.respond(form, soft_prompts, WRITTEN)
    read = respondent.respond(form, soft_prompts, READ)
    said, likely = (instrument.score(answers.probabilities) + constants.values for answers in (written, read))
    apart: Floats = np.abs(said - likely).mean(axis=(1, 2))
    floor, exact = (read_out_floor(form, constants, question.target, how) for how in (WRITTEN, READ))
    gap = np.maximum(0.0, apart - max(0.0, floor - exact))
    unusable = (written.refused + written.unparsable)[:, 0]
    best, worst = loss_bounds(instrument, constants, goal, written.probabilities[:, 0], unusable)
    return Texts(
        refused=written.refused.mean(axis=(1, 2)),
        unparsable=written.unparsable.mean(axis=(1, 2)),
        gap=_infinite(gap),
        losses=_infinite(index_loss(said, goal)[:, 0]),
        best=best,
        worst=worst,
        first_tokens=_infinite(index_loss(likely, goal)[:, 0]),
        floor=floor,
        first_tokens_floor=exact,
    )


def loss_bounds(
    instrument: Instrument, constants: Constants, goal: Floats, probabilities: Floats, unusable: Floats
) -> tuple[Floats, Floats]:
    """Return the losses (...), in points, that answers cannot get below or above, whatever stands for unusable draws.

    Such a draw may have been any option of its item, so each item mean, and each score with it, lies between two ends;
    the losses are the distances from the target to the nearest and to the farthest point between them. They are bounds:
    draws take whole options, and where dimensions share items no one set of options need reach every end. The upper one
    is reached where no items are shared. With no unusable draw both are the loss.

    Args:
        instrument: what was asked.
        constants: added to its scores.
        goal: scores of the target (M,); NaN where it has none.
        probabilities: of the options among the usable draws (..., I, K); NaN where they are not known, as if none
            could be used.
        unusable: share of an item's draws (..., I).
    """
    values, weights = instrument.option_values, instrument.weights
    means = instrument.item_means(probabilities)
    share = np.where(np.isnan(means), 1.0, unusable)
    usable = (1 - share) * np.nan_to_num(means)
    least, most = usable + share * np.nanmin(values, axis=1), usable + share * np.nanmax(values, axis=1)
    positive, negative = np.maximum(weights, 0.0).T, np.minimum(weights, 0.0).T
    zero = instrument.intercepts + constants.values
    bottom, top = least @ positive + most @ negative + zero, most @ positive + least @ negative + zero
    farthest = np.where(goal - bottom > top - goal, bottom, top)
    return index_loss(np.clip(goal, bottom, top), goal), index_loss(farthest, goal)


def _infinite(numbers: Floats) -> Floats:
    return np.where(np.isnan(numbers), np.inf, numbers)
