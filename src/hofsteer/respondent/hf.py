"""A frozen causal language model of transformers as a respondent.

Options are read from logits that `passes.py` gets. The soft prompt stands in front of everything, the
beginning-of-sequence token included, because that is where PEFT puts it.
"""

import inspect
import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import load_file

from hofsteer.config import EXPECTED, ModelSettings, ReadOut
from hofsteer.errors import ModelError, SoftPromptError
from hofsteer.files import hash_bytes
from hofsteer.instruments import Administration, Item
from hofsteer.instruments.base import Floats
from hofsteer.respondent import mini
from hofsteer.respondent.backward import pull_back
from hofsteer.respondent.base import Pull, Respondent, Responses, SoftPrompts, common_instrument, make_responses
from hofsteer.respondent.choice import Question, preferences, render_questions
from hofsteer.respondent.conversation import converse
from hofsteer.respondent.drift import drift_of, drift_with_gradient
from hofsteer.respondent.generate import generated_responses
from hofsteer.respondent.loading import load_model
from hofsteer.respondent.neutral import FEWEST_TEXTS, MOST_SURPRISAL, Neutral, load_exchanges, render_neutral, surprisal
from hofsteer.respondent.passes import Passes
from hofsteer.respondent.render import Read, Rendered, by_option, render
from hofsteer.respondent.vocabulary import Vocabulary

log = logging.getLogger(__name__)


class HFRespondent(Respondent):
    """Reads the answers of a causal language model from its logits. The model is never changed."""

    differentiable = True

    def __init__(self, model: Any, tokenizer: Any, settings: ModelSettings) -> None:
        takes = inspect.signature(model.forward).parameters
        if "inputs_embeds" not in takes:
            raise ModelError(f"{settings.id}: {type(model).__name__} takes no inputs_embeds, so no soft prompt either")
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.settings = settings
        same_size = model.num_parameters() == mini.card()["parameters"]  # spares large models the comparison
        self.simulated = same_size and _has_weights(model, mini.FOLDER / "model.safetensors")
        self._said: set[str] = set()
        self._rendered: dict[Administration, Rendered] = {}
        self._neutral: tuple[Neutral, ...] | None = None
        self.passes = Passes(model, settings.id, settings.batch_size)

    @classmethod
    def load(cls, settings: ModelSettings) -> "HFRespondent":
        """Load a model from a hub id, a local folder, or the bundled `mini`; only safetensors weights are read.

        Unless settings say otherwise, the device is a GPU if there is one, the dtype float32 on the CPU and bfloat16
        elsewhere.

        Raises:
            ModelError: there is no such model, or it cannot be loaded.
        """
        model, tokenizer = load_model(settings)
        return cls(model, tokenizer, settings)

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self.passes.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the input embeddings, to which a soft prompt is cast."""
        return cast(torch.dtype, self.model.get_input_embeddings().weight.dtype)

    @cached_property
    def width(self) -> int:
        """W, the width of the input embeddings (not always the hidden size)."""
        return int(self.embed(torch.zeros(1, dtype=torch.long, device=self.device)).shape[-1])

    @cached_property
    def spread(self) -> float:
        """Standard deviation of all values that the embedding module gives for the vocabulary."""
        rows = self.model.get_input_embeddings().weight.shape[0]
        total = squares = 0.0
        for ids in torch.split(torch.arange(rows, device=self.device), 8192):
            values = self.embed(ids).double()
            total += float(values.sum())
            squares += float(values.square().sum())
        count = rows * self.width
        return float(np.sqrt(squares / count - (total / count) ** 2))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the weights that are in use, in their dtype."""
        parts = []
        for name, tensor in sorted(self.model.state_dict().items()):
            data = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
            parts.append(f"{name} {tensor.dtype} {hash_bytes(data.tobytes())}")
        return hash_bytes("\n".join(parts).encode())

    def identity(self) -> dict[str, str | None]:
        """The hub commit that was loaded, if any, and a hash of the weights."""
        revision = getattr(self.model.config, "_commit_hash", None) or self.settings.revision
        return {"revision": revision, "weights_sha256": self.fingerprint}

    def conditions(self) -> dict[str, str]:
        """Device and dtype."""
        return {"device": self.device.type, "dtype": str(self.dtype).removeprefix("torch.")}

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Return what the embedding module gives for token ids, any scaling inside it included."""
        return self.passes.embed(ids)

    def rendered(self, administration: Administration) -> Rendered:
        """The administration as token ids, rendered on first use and never again."""
        if administration not in self._rendered:
            self.use_rendered(administration, render(administration, self.tokenizer, self.settings.template))
        return self._rendered[administration]

    def use_rendered(self, administration: Administration, rendered: Rendered) -> None:
        """Put an administration with these token ids from now on, for example those stored in a run."""
        self._rendered[administration] = self._noted(rendered)

    def rendered_in_conversation(
        self, administration: Administration, item: Item, history: Sequence[tuple[str, int]]
    ) -> Rendered:
        """One item of an administration as token ids, behind what was asked before it and answered."""
        return self._noted(render(administration, self.tokenizer, self.settings.template, [item], history))

    def _noted(self, rendered: Rendered) -> Rendered:
        """Warn of what had to be changed, once."""
        for note in sorted(set(rendered.notes) - self._said):
            self._said.add(note)
            log.warning("%s: %s", self.settings.id, note)
        return rendered

    def respond(
        self,
        administrations: Sequence[Administration],
        soft_prompts: SoftPrompts | None = None,
        read_out: ReadOut = EXPECTED,
    ) -> Responses:
        """Answer every administration once per soft prompt; see `Respondent.respond`.

        Raises:
            SoftPromptError: the soft prompts have another width than the model.
            ModelError: a conversation is longer than what the model reads, or its answers would be generated.
        """
        option_mask = common_instrument(administrations).option_mask
        if soft_prompts is None:
            soft_prompts = np.zeros((1, 0, self.width), dtype=np.float32)
        prompts = self._to_device(soft_prompts)
        if read_out.kind == "generated":
            if any(administration.conversation for administration in administrations):
                raise ModelError(
                    "answers in a conversation are read from probabilities; generated ones are not offered"
                )
            return generated_responses(self, prompts, administrations, read_out)
        log_probabilities = np.empty((len(prompts), len(administrations), *option_mask.shape))
        for a, administration in enumerate(administrations):
            if administration.conversation:
                log_probabilities[:, a] = converse(self, prompts, administration, read_out)
                continue
            rendered = self.rendered(administration)
            found = self.passes.log_probabilities(prompts, rendered, read_out)
            log_probabilities[:, a] = by_option(rendered, found, (len(prompts), *option_mask.shape))
        return make_responses(log_probabilities, option_mask, administrations, read_out)

    def respond_with_gradient(
        self, administrations: Sequence[Administration], soft_prompt: SoftPrompts, read_out: ReadOut, pull: Pull
    ) -> tuple[Responses, Floats]:
        """Answer with one soft prompt and return a gradient; see `Respondent.respond_with_gradient`.

        Raises:
            ModelError: not even one item and its gradient fit in memory.
        """
        option_mask = common_instrument(administrations).option_mask
        prompt = self._to_device(soft_prompt)[0]
        log_probabilities = np.empty((1, len(administrations), *option_mask.shape))
        gradient = np.zeros(prompt.shape)
        for a, administration in enumerate(administrations):
            rendered = self.rendered(administration)

            def weigh(found: dict[Read, Floats], a: int = a, rendered: Rendered = rendered) -> dict[Read, float]:
                log_probabilities[:, a] = by_option(rendered, found, (1, *option_mask.shape))
                slopes = pull(a, log_probabilities[0, a])
                weights: dict[Read, float] = defaultdict(float)
                for i, options in enumerate(rendered.reads):
                    for k, reads in enumerate(options):
                        for read in reads:
                            weights[read] += float(slopes[i, k])
                return weights

            gradient += pull_back(self.passes, prompt, rendered, read_out, weigh)
        return make_responses(log_probabilities, option_mask, administrations, read_out), gradient

    def drift(self, soft_prompts: SoftPrompts, texts: tuple[Neutral, ...] | None = None) -> Floats:
        """Return how far soft prompts move the model on neutral text; see `Respondent.drift`."""
        return drift_of(self.passes, self._to_device(soft_prompts), self.neutral() if texts is None else texts)

    def drift_with_gradient(self, soft_prompt: SoftPrompts) -> tuple[Floats, Floats]:
        """Return the drift of one soft prompt and its gradient; see `Respondent.drift_with_gradient`.

        Raises:
            ModelError: not even one text and its gradient fit in memory.
        """
        return drift_with_gradient(self.passes, self._to_device(soft_prompt), self.neutral())

    def preferences(self, questions: Sequence[Question], soft_prompts: SoftPrompts | None = None) -> Floats:
        """Return how likely each answer is among those to its question (P, Q, A); see `Respondent.preferences`."""
        if soft_prompts is None:
            soft_prompts = np.zeros((1, 0, self.width), dtype=np.float32)
        rendered = render_questions(questions, self.tokenizer, self.settings.template)
        return preferences(self.passes, self._to_device(soft_prompts), rendered)

    def surprisal(self, questions: Sequence[Question]) -> Floats:
        """Return how unlikely the model alone finds each answer; see `Respondent.surprisal`."""
        found = np.full((len(questions), max(len(question.answers) for question in questions)), np.nan)
        for q, texts in enumerate(render_questions(questions, self.tokenizer, self.settings.template)):
            found[q, : len(texts)] = surprisal(self.passes, self._no_prompt(), texts)
        return found

    def neutral(self) -> tuple[Neutral, ...]:
        """The neutral text that searches are told of, as far as the model writes it; all if it writes none."""
        if self._neutral is None:
            texts = render_neutral(load_exchanges("told"), self.tokenizer, self.settings.template)
            written = self._written(texts)
            if len(written) < FEWEST_TEXTS:
                said = "%s would write %d of the %d neutral answers: its drift says little"
                log.warning(said, self.settings.id, len(written), len(texts))
            self._neutral = written or texts
        return self._neutral

    def held_out_neutral(self) -> tuple[Neutral, ...]:
        """The neutral text that no search is told of, as far as the model writes it."""
        return self._written(render_neutral(load_exchanges("held_out"), self.tokenizer, self.settings.template))

    def _written(self, texts: tuple[Neutral, ...]) -> tuple[Neutral, ...]:
        """Return the texts whose answers the model alone finds likely enough; one that gives no numbers has none."""
        found = surprisal(self.passes, self._no_prompt(), texts)
        return tuple(text for text, cost in zip(texts, found, strict=True) if cost <= MOST_SURPRISAL)

    def _no_prompt(self) -> torch.Tensor:
        return self._to_device(np.zeros((1, 0, self.width), dtype=np.float32))

    def use_neutral(self, texts: tuple[Neutral, ...]) -> None:
        """Measure drift on these token ids from now on, such as those stored in a run."""
        self._neutral = texts

    def _to_device(self, soft_prompts: SoftPrompts) -> torch.Tensor:
        if soft_prompts.ndim != 3 or soft_prompts.shape[2] != self.width:
            raise SoftPromptError(
                f"want soft prompts (candidates, tokens, {self.width}) for {self.settings.id}, got {soft_prompts.shape}"
            )
        own = np.array(soft_prompts, order="C")  # a copy: torch takes neither read-only nor reversed arrays
        return torch.from_numpy(own).to(self.device, self.dtype)

    def vocabulary(self) -> Vocabulary:
        """Return the rows that stand for the model's tokens."""
        size = self.model.get_input_embeddings().weight.shape[0]
        return Vocabulary(lambda ids: self.embed(ids.to(self.device)), size, self.tokenizer, self.settings.id)

    def as_saved(self, soft_prompts: SoftPrompts) -> SoftPrompts:
        """Return soft prompts rounded to the dtype of the embeddings, as float32."""
        if self.dtype == torch.float32:
            return soft_prompts
        return torch.from_numpy(soft_prompts).to(self.dtype).float().numpy()

    def measure_batch_size(self, administration: Administration, soft_tokens: int, most: int) -> int:
        """Double the candidates of a pass for as long as that saves a twentieth of the time for each.

        The size is kept in `settings`; what settings say already is not measured.
        """
        if self.settings.batch_size is not None:
            return self.settings.batch_size
        rng = np.random.default_rng([1, 1])
        prompts = rng.normal(0.0, self.spread, (most, soft_tokens, self.width)).astype(np.float32)
        self.respond([administration], prompts[:1])  # renders, checks and warms up

        def seconds_each(size: int) -> float:
            self.passes.batch_size = size
            times = []
            for _ in range(2):
                began = time.perf_counter()
                self.respond([administration], prompts[:size])
                times.append(time.perf_counter() - began)
            return min(times) / size

        size, best = 1, seconds_each(1)
        while 2 * size <= most and (now := seconds_each(2 * size)) < 0.95 * best:
            size, best = 2 * size, now
        self.passes.batch_size = size
        self.settings = self.settings.model_copy(update={"batch_size": size})
        return size

    @cached_property
    def end_ids(self) -> frozenset[int]:
        """Tokens that end a generated text."""
        named = getattr(self.model.generation_config, "eos_token_id", None)
        ids = [*(named if isinstance(named, list) else [named]), self.tokenizer.eos_token_id]
        return frozenset(int(one) for one in ids if one is not None)

    def prompt_ids(self, administration: Administration, item: int) -> tuple[int, ...]:
        """The token ids of an item up to where its options part."""
        rendered = self.rendered(administration)
        first = rendered.reads[item][0][0]
        return rendered.rows[first.row][: first.position + 1]

    def next_logits(self, prompt: torch.Tensor, texts: list[tuple[int, ...]]) -> torch.Tensor:
        """Return the logits (len(texts), V) of the token that follows each text, behind one soft prompt (L, W)."""
        reads = [Read(row, len(text) - 1, 0) for row, text in enumerate(texts)]
        with torch.inference_mode():
            logits, places = self.passes.padded_logits(prompt[None], texts, reads)
            return logits[0, places].float()


def _has_weights(model: Any, path: Path) -> bool:
    """Return whether a model has the weights in a file, but for the rounding of a dtype of 16 bits.

    Both are rounded: a copy that was saved in such a dtype lacks the other digits, whatever dtype it is loaded in.
    """
    own, stored = model.state_dict(), load_file(path)
    return stored.keys() <= own.keys() and all(
        any(torch.equal(own[name].cpu().to(dtype), tensor.to(dtype)) for dtype in (torch.bfloat16, torch.float16))
        for name, tensor in stored.items()
    )
