"""Models that every test can have without a network: built from a config, with random weights."""

import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models: a second thread only waits, and fights its neighbours

import numpy as np
import pytest

from hofsteer.instruments import Instrument, load_instrument

CHAT = (
    "<bos>{% for message in messages %}<{{ message.role }}>{{ message.content }}<end>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture(autouse=True, scope="session")
def _midpoint_unless_asked() -> Iterator[None]:
    """Constants are `midpoint` by default: most tests are about something else than sixty personas.

    `fitted`, where a test asks for it or a run gives its loss under every policy, rests on three countries.
    """
    from hofsteer.targets import constants, measured_countries

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(constants, "DEFAULT", "midpoint")
        patched.setattr(constants, "measured_countries", lambda dimensions: measured_countries(dimensions)[::31])
        yield


@pytest.fixture
def all_measured_countries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Constants as a user has them: `fitted` by default, from every measured country."""
    from hofsteer.targets import constants, reference

    monkeypatch.setattr(constants, "DEFAULT", "fitted")
    monkeypatch.setattr(constants, "measured_countries", reference.measured_countries)


@pytest.fixture(scope="session")
def vsm13() -> Instrument:
    return load_instrument("vsm13")


@pytest.fixture
def neutral_answers(vsm13: Instrument) -> np.ndarray:
    """Uniform answers to every item: all scores 50 at the midpoint constants."""
    return np.where(vsm13.option_mask, 1 / vsm13.option_mask.sum(axis=1, keepdims=True), 0.0)


@pytest.fixture(scope="session")
def tiny_tokenizer(vsm13: Instrument):
    """A byte-level BPE tokenizer with a chat template, trained on the survey's own text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "<bos>", "<system>", "<user>", "<assistant>", "<end>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([item.wordings[0] for item in vsm13.items], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<end>", pad_token="<pad>")
    fast.chat_template = CHAT
    return fast


@pytest.fixture(scope="session")
def tiny_folder(tiny_tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a two-layer Llama of random weights: a causal language model that knows nothing."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tiny_tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.2,
        bos_token_id=tiny_tokenizer.bos_token_id,
        eos_token_id=tiny_tokenizer.eos_token_id,
        pad_token_id=tiny_tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    folder = tmp_path_factory.mktemp("models") / "tiny-llama"
    model.save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path):
    """The respondent of `tiny_folder`."""
    from hofsteer import Respondent

    return Respondent.from_pretrained(str(tiny_folder))
