"""What answers a survey, and what an answer is."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hofsteer.config import EXPECTED, ModelSettings, ReadOut, check_model
from hofsteer.errors import InstrumentError, ModelError
from hofsteer.instruments import Administration, Instrument
from hofsteer.instruments.base import Floats
from hofsteer.respondent.choice import Question
from hofsteer.respondent.draws import draw_shares
from hofsteer.respondent.neutral import Neutral
from hofsteer.respondent.render import Rendered

if TYPE_CHECKING:
    from hofsteer.respondent.hf import HFRespondent
    from hofsteer.respondent.vocabulary import Vocabulary

SoftPrompts = NDArray[np.float32]  # (P, L, W)
Pull = Callable[[int, Floats], Floats]  # administration, log-probabilities of its options (I, K) -> derivatives (I, K)

NOT_NUMBERS = "the model gave NaN or infinite logits"
LEAST_VALID_MASS = 1e-6  # an item whose options get less was not answered: nothing is left to renormalise


@dataclass(frozen=True, eq=False)
class Responses:
    """Answer distributions of P candidates to A administrations, options always in canonical order."""

    probabilities: Floats  # (P, A, I, K), renormalised over an item's options; zero where an item has fewer
    valid_mass: Floats  # (P, A, I), what the model gave to the options before that, in [0, 1]
    option_mask: NDArray[np.bool_]  # (I, K)
    failures: tuple[str | None, ...]  # (P,), why a candidate's answers cannot be used; its probabilities are NaN
    refused: Floats  # (P, A, I), share of the draws that are refusals; 0 where answers are read from probabilities
    unparsable: Floats  # (P, A, I), share of the draws that are neither an option nor a refusal


class Respondent(ABC):
    """Anything that answers administrations: a frozen language model, a table, a simulated world."""

    settings: ModelSettings  # what loads it again
    simulated: bool = False  # it is the bundled model, whatever its folder is called
    differentiable: bool = False  # it has the two methods with a gradient

    @property
    @abstractmethod
    def width(self) -> int:
        """W, the width of the input embeddings (not always the hidden size)."""

    @property
    @abstractmethod
    def spread(self) -> float:
        """Standard deviation of the vocabulary's embedding values: the unit of the search."""

    @abstractmethod
    def respond(
        self,
        administrations: Sequence[Administration],
        soft_prompts: SoftPrompts | None = None,
        read_out: ReadOut = EXPECTED,
    ) -> Responses:
        """Answer every administration once per soft prompt (P, L, W); None is P = 1 without one."""

    def respond_with_gradient(
        self, administrations: Sequence[Administration], soft_prompt: SoftPrompts, read_out: ReadOut, pull: Pull
    ) -> tuple[Responses, Floats]:
        """Answer every administration with one soft prompt (1, L, W), and return the gradient (L, W) of a function.

        Args:
            administrations: what is asked.
            soft_prompt: (1, L, W).
            read_out: one whose log-probabilities can be differentiated.
            pull: gives the function's derivatives with respect to the log-probabilities of an administration's options;
                what it returns at padded options is not read. May be called more than once.
        """
        raise NotImplementedError(f"{type(self).__name__} has no gradient")

    def identity(self) -> dict[str, str | None]:
        """What tells this respondent from another of the same name, such as a hash of the weights."""
        return {}

    def conditions(self) -> dict[str, str]:
        """What else decides the last digits of its answers, such as device and dtype."""
        return {}

    def rendered(self, administration: Administration) -> Rendered | None:
        """The administration as token ids, if it is put as tokens."""
        return None

    def use_rendered(self, administration: Administration, rendered: Rendered) -> None:
        """Put an administration with these token ids from now on, such as those stored in a run."""
        raise NotImplementedError(f"{type(self).__name__} puts no tokens")

    def drift(self, soft_prompts: SoftPrompts, texts: tuple[Neutral, ...] | None = None) -> Floats:
        """Return how far soft prompts (P, L, W) move it on neutral text, (P,), nats a token; see `respondent/drift.py`.

        Args:
            soft_prompts: (P, L, W).
            texts: what it is measured on; the text that searches are told of unless given.

        Raises:
            ModelError: it writes no text.
        """
        raise ModelError(f"{self.settings.id} writes no text, so its drift cannot be penalised: leave drift_penalty 0")

    def drift_with_gradient(self, soft_prompt: SoftPrompts) -> tuple[Floats, Floats]:
        """Return the drift (1,) of one soft prompt (1, L, W), as `drift` does, and its gradient (L, W)."""
        raise NotImplementedError(f"{type(self).__name__} has no gradient of its drift")

    def preferences(self, questions: Sequence[Question], soft_prompts: SoftPrompts | None = None) -> Floats:
        """Return how likely each answer is among those to its question (P, Q, A); see `respondent/choice.py`.

        Raises:
            ModelError: it writes no text.
        """
        raise ModelError(f"{self.settings.id} writes no text, so it cannot be asked what it would rather say")

    def surprisal(self, questions: Sequence[Question]) -> Floats:
        """Return how unlikely it finds each answer (Q, A); NaN where a question has fewer.

        The unit is what guessing among all tokens costs: 0 is certain, 1 no better than guessing.

        Raises:
            ModelError: it writes no text.
        """
        raise ModelError(f"{self.settings.id} writes no text, so no answer is likely")

    def neutral(self) -> tuple[Neutral, ...] | None:
        """The neutral text that searches are told of as token ids, if it is put as tokens."""
        return None

    def held_out_neutral(self) -> tuple[Neutral, ...]:
        """The neutral text that no search is told of, as far as the model alone writes it."""
        return ()

    def use_neutral(self, texts: tuple[Neutral, ...]) -> None:
        """Measure drift on these token ids from now on, such as those stored in a run."""
        raise NotImplementedError(f"{type(self).__name__} puts no tokens")

    def vocabulary(self) -> "Vocabulary":
        """Return the rows that stand for its tokens. Raises ModelError if it has no tokens."""
        raise ModelError(f"{self.settings.id} has no vocabulary: a search of it has no start or directions from one")

    def as_saved(self, soft_prompts: SoftPrompts) -> SoftPrompts:
        """Return soft prompts with each number as the model takes it in its own dtype, still float32."""
        return soft_prompts

    def measure_batch_size(self, administration: Administration, soft_tokens: int, most: int) -> int | None:
        """Time passes of more and more candidates, up to `most`; use and return the size that pays, if there is one."""
        return None

    @staticmethod
    def from_pretrained(model_id: str, **options: Any) -> "HFRespondent":
        """Load a causal language model: a hub id, a local folder or `mini`.

        Options are the other fields of `ModelSettings`: revision, dtype, device, trust_remote_code.
        """
        from hofsteer.respondent.hf import HFRespondent

        return HFRespondent.load(check_model(id=model_id, **options))


def make_responses(
    log_probabilities: Floats,
    option_mask: NDArray[np.bool_],
    administrations: Sequence[Administration] = (),
    read_out: ReadOut = EXPECTED,
) -> Responses:
    """Return Responses from the log-probability that the model gives to each option (P, A, I, K).

    What stands at padded options is not read. A candidate fails if a log-probability is NaN or infinite upwards, or if
    an item has no answer: its options together get less than `LEAST_VALID_MASS`, or no draw takes one of them.

    Args:
        log_probabilities: as the read-out leaves them (`token_log_probabilities`).
        option_mask: (I, K).
        administrations: those asked; needed for draws.
        read_out: `sampled` draws from the probabilities.
    """
    broken = (np.isnan(log_probabilities) | (log_probabilities == np.inf)) & option_mask
    masked = np.where(option_mask & ~broken, log_probabilities, -np.inf)
    mass = np.exp(masked)  # a sum over at most ten options: exp of log-probabilities cannot overflow
    valid_mass = mass.sum(axis=-1)
    unparsable = np.zeros_like(valid_mass)
    if read_out.kind == "sampled":
        probabilities, unparsable = draw_shares(mass, administrations, read_out)
    else:
        with np.errstate(invalid="ignore", divide="ignore"):
            probabilities = mass / valid_mass[..., None]
    failed = broken.any(axis=-1) | (valid_mass < LEAST_VALID_MASS) | (unparsable == 1)  # (P, A, I)
    candidate_failed = failed.any(axis=(1, 2))
    probabilities[candidate_failed] = np.nan
    failures = tuple(
        _failure(broken[p], valid_mass[p]) if candidate_failed[p] else None for p in range(len(candidate_failed))
    )
    valid_mass = np.where(broken.any(axis=-1), np.nan, valid_mass)
    return Responses(probabilities, valid_mass, option_mask, failures, np.zeros_like(unparsable), unparsable)


def option_log_probabilities(log_probabilities: Floats, read_out: ReadOut) -> Floats:
    """Return log-probabilities of options (..., K) as a read-out leaves them, for respondents without tokens.

    All that is no option counts as one answer more.
    """
    if read_out.kind == "expected":
        return log_probabilities
    import torch

    from hofsteer.respondent.read_out import token_log_probabilities

    with np.errstate(divide="ignore", invalid="ignore"):
        others = np.log(np.maximum(1 - np.exp(log_probabilities).sum(axis=-1, keepdims=True), 0.0))
    logs = np.concatenate([log_probabilities, others], axis=-1)
    return np.asarray(token_log_probabilities(torch.from_numpy(logs), read_out)[..., :-1])


def common_instrument(administrations: Sequence[Administration]) -> Instrument:
    """Return the one instrument that all administrations are of; InstrumentError if there is none or several."""
    instruments = {id(a.instrument): a.instrument for a in administrations}
    if len(instruments) != 1:
        names = ", ".join(i.id for i in instruments.values()) or "none"
        raise InstrumentError(f"want administrations of one instrument, got {names}")
    return administrations[0].instrument


def _failure(broken: NDArray[np.bool_], valid_mass: Floats) -> str:
    if broken.any():
        return NOT_NUMBERS
    if valid_mass.min() >= LEAST_VALID_MASS:
        return "no draw of an item took one of its options"
    item = int(np.argmin(valid_mass.min(axis=0))) + 1
    return f"the model gives no probability to the answer options ({valid_mass.min():.1e} for item {item})"
