"""What a model would rather say: the likeliest of some answers to a line, by their log-likelihood as text.

It needs no labels and no instructions, so it works with any language model. The log-likelihood is that of the whole
answer, in nats, not divided by its length: answers to one question should be about as long as each other, and none may
begin as another one goes.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from hofsteer.instruments.base import Floats
from hofsteer.respondent.neutral import Exchange, Neutral, answer_log_likelihoods, render_neutral
from hofsteer.respondent.render import ChatTokenizer

if TYPE_CHECKING:
    import torch

    from hofsteer.respondent.passes import Passes


class Question(NamedTuple):
    """A line and the answers to choose from, two at least; what is hoped for comes first."""

    user: str
    answers: tuple[str, ...]


def render_questions(
    questions: Sequence[Question], tokenizer: ChatTokenizer, template: Mapping[str, Any] | None = None
) -> tuple[tuple[Neutral, ...], ...]:
    """Return the answers to every question as token ids, in the model's own chat format."""
    return tuple(
        render_neutral([Exchange(user, answer) for answer in answers], tokenizer, template)
        for user, answers in questions
    )


def preferences(passes: "Passes", prompts: "torch.Tensor", questions: Sequence[Sequence[Neutral]]) -> Floats:
    """Return how likely each answer is among those to its question (P, Q, A) behind soft prompts (P, L, W).

    Probabilities sum to 1 over the answers of a question; a question with fewer than A has zeros at its end.
    """
    import numpy as np
    from scipy.special import softmax

    found = np.zeros((len(prompts), len(questions), max(map(len, questions))))
    for p, prompt in enumerate(prompts):
        for q, texts in enumerate(questions):
            found[p, q, : len(texts)] = softmax(answer_log_likelihoods(passes, prompt[None], texts))
    return found
