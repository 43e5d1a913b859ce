"""Written answers beside first tokens: refusals, answers that cannot be parsed, and whether both say the same."""

import numpy as np

from hofsteer.config import ReadOut
from hofsteer.evaluation.evidence import Question, Texts
from hofsteer.evaluation.floor import read_out_floor
from hofsteer.instruments.base import Floats
from hofsteer.respondent.base import Respondent, SoftPrompts

WRITTEN = ReadOut(kind="generated", temperature=0.8, top_p=0.8, draws=5)  # as the pilots of the paper read
READ = WRITTEN.model_copy(update={"kind": "tempered"})  # the same distribution, of first tokens, exactly


def measure_texts(respondent: Respondent, soft_prompts: SoftPrompts, question: Question) -> Texts:
    """Return what texts say on the first fitted form, behind soft prompts (S, L, W).

    The gap is the mean absolute difference of the scores of texts and of first tokens at the same temperature and
    top-p, less what drawing so few texts costs by itself (the read-out floors' difference), and at least 0. A soft
    prompt whose texts cannot be scored, since some item never got an answer, has a gap of +inf.
    """
    form = question.fitted[:1]
    constants = next(iter(question.constants.values()))
    written = respondent.respond(form, soft_prompts, WRITTEN)
    read = respondent.respond(form, soft_prompts, READ)
    score = question.instrument.score
    apart: Floats = np.abs(score(written.probabilities) - score(read.probabilities)).mean(axis=(1, 2))
    lucky = read_out_floor(form, constants, question.target, WRITTEN)
    noise = max(0.0, lucky - read_out_floor(form, constants, question.target, READ))
    gap = np.where(np.isnan(apart), np.inf, np.maximum(0.0, apart - noise))
    return Texts((written.refused + written.unparsable).mean(axis=(1, 2)), gap)
