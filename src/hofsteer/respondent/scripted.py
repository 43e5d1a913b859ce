"""A respondent that answers from a table: for tests and examples, without torch."""

from collections.abc import Mapping, Sequence

import numpy as np

from hofsteer.config import EXPECTED, ModelSettings, ReadOut
from hofsteer.errors import SoftPromptError
from hofsteer.instruments import Administration
from hofsteer.instruments.base import Floats
from hofsteer.respondent.base import (
    Respondent,
    Responses,
    SoftPrompts,
    common_instrument,
    make_responses,
    option_log_probabilities,
)


class ScriptedRespondent(Respondent):
    """Answers `answers` (I, K), or those of `personas[system text]`, tilted by the soft prompt.

    The mean of the soft prompt's rows (W = I) tilts each item: log-odds of an option rise by tilt x option value.
    So every answer can be reached, and what a search finds can be checked by hand. Its answers look at nothing else:
    wording and order change nothing.
    """

    settings = ModelSettings(id="scripted")
    width = 0  # as many as the table has items
    spread = 1.0

    def __init__(self, answers: Floats, personas: Mapping[str, Floats] | None = None, valid_mass: float = 1.0) -> None:
        self.answers = answers
        self.personas = dict(personas or {})
        self.valid_mass = valid_mass
        self.width = len(answers)

    def respond(
        self,
        administrations: Sequence[Administration],
        soft_prompts: SoftPrompts | None = None,
        read_out: ReadOut = EXPECTED,
    ) -> Responses:
        """Answer from the table; see `Respondent.respond`."""
        instrument = common_instrument(administrations)
        if soft_prompts is None:
            soft_prompts = np.zeros((1, 1, self.width), dtype=np.float32)
        if soft_prompts.shape[-1] != self.width:
            raise SoftPromptError(f"want soft prompts of width {self.width}, got {soft_prompts.shape[-1]}")
        tables = np.stack([self.personas.get(a.system or "", self.answers) for a in administrations])  # (A, I, K)
        tilt = soft_prompts.astype(np.float64).mean(axis=1)[:, None, :, None]  # (P, 1, I, 1)
        with np.errstate(divide="ignore", invalid="ignore"):  # no mass and NaN become recorded failures
            logits = np.log(tables) + tilt * np.nan_to_num(instrument.option_values)
            logits = np.where(instrument.option_mask, logits, -np.inf)
            logits -= np.logaddexp.reduce(logits, axis=-1, keepdims=True)
            logits += np.log(self.valid_mass)
        return make_responses(
            option_log_probabilities(logits, read_out), instrument.option_mask, administrations, read_out
        )
