"""A whole survey in one chat: each item is asked after those before it and the model's own answers to them.

What stays in the chat is the likeliest answer. An expected answer such as 3.4 cannot be said, and a drawn one would
make every later item depend on luck; the likeliest is what the model says at temperature 0, and the same for everybody
who repeats it. The distribution over the options is read at every item as it always is.

Candidates answer differently, so each has a chat of its own. Every item is a full pass over its chat: nothing is kept
from the item before.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch

from hofsteer.config import ReadOut
from hofsteer.errors import ModelError
from hofsteer.instruments import Administration
from hofsteer.instruments.base import Floats
from hofsteer.respondent.render import by_option

if TYPE_CHECKING:
    from hofsteer.respondent.hf import HFRespondent

History = tuple[tuple[str, int], ...]  # item id and canonical option, in the order in which they were said


def converse(
    respondent: "HFRespondent", prompts: torch.Tensor, administration: Administration, read_out: ReadOut
) -> Floats:
    """Return the log-probability of every option (P, I, K) in one conversation behind each of P soft prompts (P, L, W).

    Raises:
        ModelError: the conversation is longer than what the model reads.
    """
    instrument, soft = administration.instrument, prompts.shape[1]
    *before, last = (instrument.items[i] for i in administration.sequence)
    whole = respondent.rendered_in_conversation(administration, last, [(item.id, 0) for item in before])
    _check_length(respondent, soft + max(map(len, whole.rows)))
    found = np.full((len(prompts), *instrument.option_mask.shape), -np.inf)
    histories: list[History] = [()] * len(prompts)
    for i in administration.sequence:
        item = instrument.items[i]
        together: dict[History, list[int]] = {}
        for candidate, history in enumerate(histories):
            together.setdefault(history, []).append(candidate)
        for history, candidates in together.items():
            rendered = respondent.rendered_in_conversation(administration, item, history)
            _check_length(respondent, soft + max(map(len, rendered.rows)))  # some answers are longer than others
            logs = respondent.passes.log_probabilities(prompts[candidates], rendered, read_out)
            found[candidates, i] = by_option(rendered, logs, (len(candidates), 1, found.shape[2]))[:, 0]
        likeliest = np.nan_to_num(found[:, i], nan=-np.inf).argmax(axis=1)
        histories = [(*said, (item.id, int(k))) for said, k in zip(histories, likeliest, strict=True)]
    return found


def _check_length(respondent: "HFRespondent", tokens: int) -> None:
    most = getattr(respondent.model.config.get_text_config(), "max_position_embeddings", None)
    if most is not None and tokens > most:
        raise ModelError(
            f"{respondent.settings.id} reads {most} tokens, and the conversation has {tokens}: ask the items one by one"
        )
