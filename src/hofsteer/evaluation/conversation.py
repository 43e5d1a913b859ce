"""Another way to ask: the whole survey in one chat, beside the same form item by item.

It is an administration of its own, not a cell of the held-out factorial: it is never pooled with that, and no claim
rests on it. What it shows is whether a soft prompt still leads to the target where the model sees what it said before.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hofsteer.errors import ModelError
from hofsteer.evaluation.evidence import Question, answers_to
from hofsteer.instruments import Administration
from hofsteer.instruments.base import Floats
from hofsteer.respondent.base import Respondent, SoftPrompts
from hofsteer.targets import index_loss

SHUFFLES = (None, 0)  # the instrument's own order, and one that is drawn


@dataclass(frozen=True, eq=False)
class Conversations:
    """Losses under the run's own constants, in points, of S soft prompts in O conversations that differ in order."""

    steered: Floats  # (S, O)
    naive: Floats  # (O,)
    persona: Floats  # (O,)
    one_by_one: Floats  # (S,), the same form with a chat of its own for every item

    def to_json(self) -> dict[str, Any]:
        """Return the losses as JSON values."""
        return {
            "shuffles": list(SHUFFLES),
            "steered": self.steered.tolist(),
            "naive": self.naive.tolist(),
            "persona": self.persona.tolist(),
            "one_by_one": self.one_by_one.tolist(),
        }


def measure_conversations(respondent: Respondent, soft_prompts: SoftPrompts, question: Question) -> Conversations | str:
    """Return what the first fitted form comes to in one conversation, behind soft prompts (S, L, W) and without.

    Where that cannot be asked or answered, such as by a model that reads too few tokens, the reason is returned.
    """
    form = question.fitted[0]
    goal = question.target.vector(question.instrument.dimension_ids)
    constants = next(iter(question.constants.values()))
    chats = [replace(form, conversation=True, shuffle=shuffle) for shuffle in SHUFFLES]

    def losses(asked: list[Administration], given: SoftPrompts | None = None) -> Floats:
        scores = question.instrument.score(answers_to(respondent, asked, given).probabilities) + constants.values
        return index_loss(scores, goal)

    try:
        return Conversations(
            steered=losses(chats, soft_prompts),
            naive=losses(chats)[0],
            persona=losses([replace(chat, system=question.persona) for chat in chats])[0],
            one_by_one=np.asarray(losses([form], soft_prompts)[:, 0]),
        )
    except ModelError as error:
        return str(error)
