"""Baselines through the same respondent as the steered model: an administration or a plain soft prompt each."""

from hofsteer.baselines.in_context import check_examples, constructed_examples
from hofsteer.baselines.noise import random_prompt
from hofsteer.baselines.persona import persona_text, persona_texts, scores_in_words

__all__ = [
    "check_examples",
    "constructed_examples",
    "persona_text",
    "persona_texts",
    "random_prompt",
    "scores_in_words",
]
