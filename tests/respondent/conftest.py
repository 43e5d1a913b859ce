"""The plain way to read an answer, which every test of the respondent is measured against, and odd tokenizers."""

import string
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hofsteer.config import ModelSettings
from hofsteer.instruments import Administration, Instrument, Item, Option

SPECIAL = ("<pad>", "<bos>", "<end>", "<user>", "<system>", "<assistant>")
CHAT = (
    "{{ bos_token }}{% for message in messages %}<{{ message.role }}>{{ message.content }}<end>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture(scope="session")
def short(vsm13: Instrument) -> Instrument:
    """Four items whose prompts have four lengths, from 77 to 156 tokens of the tiny tokenizer."""
    return replace(vsm13, items=tuple(vsm13.items[i] for i in (0, 14, 20, 23)), dimensions=())


@pytest.fixture(scope="session")
def make_instrument() -> Callable[..., Instrument]:
    """Make an instrument from the number of options of each item."""

    def make(*counts: int) -> Instrument:
        items = tuple(
            Item(
                id=f"Q{number}",
                construct="quantity",
                wordings=("How much" + " and how much" * number + "?",),
                options=tuple(Option(f"about {value}", float(value)) for value in range(1, count + 1)),
            )
            for number, count in enumerate(counts, start=1)
        )
        return Instrument(
            id="made",
            title="made",
            source="",
            licence="",
            language="en",
            neutral=3.0,
            items=items,
            dimensions=(),
            hash="",
        )

    return make


@pytest.fixture(scope="session")
def make_tokenizer() -> Callable[..., Any]:
    """Make a tokenizer of single characters, which joins exactly the pairs in `merges` wherever they stand."""
    from tokenizers import Tokenizer, decoders, models, normalizers, processors
    from transformers import PreTrainedTokenizerFast

    def make(
        merges: Sequence[tuple[str, str]] = (),
        template: str | None = CHAT,
        eos: str | None = "<end>",
        alphabet: str = string.ascii_letters + string.digits + string.punctuation + " \n",
        unknown: str | None = None,
        rewrite: tuple[str, str] | None = None,
    ) -> Any:
        pieces = [*SPECIAL, *alphabet, *("".join(pair) for pair in merges)]
        vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
        tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=list(merges), unk_token=unknown))
        tokenizer.decoder = decoders.Fuse()
        if rewrite is not None:
            tokenizer.normalizer = normalizers.Replace(*rewrite)
        tokenizer.add_special_tokens(list(SPECIAL))
        tokenizer.post_processor = processors.TemplateProcessing(  # as Llama does: asked plainly, it adds a <bos>
            single="<bos> $A", special_tokens=[("<bos>", vocabulary["<bos>"])]
        )
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<bos>", eos_token=eos, pad_token="<pad>")
        fast.chat_template = template
        return fast

    return make


@pytest.fixture(scope="session")
def make_respondent() -> Callable[[Any], Any]:
    """Give a tokenizer a one-layer model of random weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from hofsteer.respondent.hf import HFRespondent

    def make(tokenizer: Any) -> HFRespondent:
        config = LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            initializer_range=0.2,
        )
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return HFRespondent(LlamaForCausalLM(config), tokenizer, ModelSettings(id="made"))

    return make


@pytest.fixture(scope="session")
def plain_mass() -> Callable[..., np.ndarray]:
    """Return what a model gives to each canonical option (I, K), without hofsteer's rendering, padding or batches.

    Every option is a string of its own, passed through `model(input_ids)`, or with a soft prompt (L, W) through
    `model(inputs_embeds)`; its probability is that of all its tokens over that of the tokens that all options share.
    `end` is what is put behind every option.
    """
    import torch

    def mass(
        respondent: Any, administration: Administration, soft_prompt: np.ndarray | None = None, end: Sequence[int] = ()
    ) -> np.ndarray:
        tokenizer = respondent.tokenizer
        items = administration.instrument.items
        found = np.zeros((len(items), max(len(item.options) for item in items)))
        for i, item in enumerate(items):
            chat = [message._asdict() for message in administration.messages(item)]
            prompt = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
            strings = [prompt + administration.cue + label for label in administration.option_labels(item)]
            joint = [[*tokenizer.encode(text, add_special_tokens=False), *end] for text in strings]
            shared = _common_length(joint)
            shown = [np.exp(_log_probability(respondent.model, ids, shared, soft_prompt)) for ids in joint]
            found[i, : len(shown)] = shown if administration.order == "listed" else shown[::-1]
        return found

    def _common_length(joint: list[list[int]]) -> int:
        shortest = min(map(len, joint))
        return next((n for n in range(shortest) if len({ids[n] for ids in joint}) > 1), shortest)

    def _log_probability(model: Any, ids: list[int], shared: int, soft_prompt: np.ndarray | None) -> float:
        tokens = torch.tensor([ids])
        with torch.inference_mode():
            if soft_prompt is None:
                logits = model(input_ids=tokens).logits[0]
            else:
                text = model.get_input_embeddings()(tokens)
                soft = torch.tensor(soft_prompt, dtype=text.dtype)
                logits = model(inputs_embeds=torch.cat([soft[None], text], dim=1)).logits[0, len(soft) :]
            predicted = logits.double().log_softmax(dim=-1)
        return float(sum(predicted[position - 1, ids[position]] for position in range(shared, len(ids))))

    return mass
