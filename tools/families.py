"""Small random models of many families: each covers a mechanism that the respondent must get right.

python tools/families.py    # writes the table of docs/families.md; tests/respondent/test_families.py holds it true
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers

PAGE = Path(__file__).parents[1] / "docs" / "families.md"
WINDOW = 40  # shorter than any row, so that a wrong window shows
SIZE = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4}
LLAMA_LIKE = {
    **SIZE,
    **{"intermediate_size": 64, "num_key_value_heads": 2, "initializer_range": 0.2, "max_position_embeddings": 512},
}
HEADS = {**LLAMA_LIKE, "head_dim": 8}
WINDOWS = ["sliding_attention", "full_attention"] * 2


@dataclass(frozen=True)
class Family:
    """A family by the name of its classes in transformers, and a configuration small enough for a test."""

    name: str
    kind: str  # prefix of its config class
    mechanism: str
    trie: bool  # whether the items of a survey fit one pass
    options: dict[str, Any] = field(default_factory=dict)

    def save(self, folder: Path, tokenizer: Any) -> Path:
        """Write a random model with a tokenizer as a folder that users could have."""
        special = {"bos_token_id": 1, "eos_token_id": 5, "pad_token_id": 0}
        config = getattr(transformers, f"{self.kind}Config")(vocab_size=len(tokenizer), **special, **self.options)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = transformers.AutoModelForCausalLM.from_config(config)
            for parameter in model.parameters():  # what is started at zero, such as attention sinks, would hide errors
                if parameter.numel() > 1 and float(parameter.detach().std()) == 0.0:
                    torch.nn.init.normal_(parameter, float(parameter.detach().mean()), 0.1)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder


ROPE_3 = {
    **{"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0},
    **{"high_freq_factor": 4.0, "original_max_position_embeddings": 64},
}
MOE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
FAMILIES = (
    Family("Llama 3", "Llama", "scaled rotary positions, grouped heads", True, {**HEADS, "rope_parameters": ROPE_3}),
    Family(
        "Llama 4",
        "Llama4Text",
        "chunked attention, layers without positions, experts",
        True,
        {
            **{**HEADS, "attention_chunk_size": WINDOW, "no_rope_layers": [1, 0, 1, 0], "num_local_experts": 2},
            **{"intermediate_size_mlp": 64, "attn_temperature_tuning": True},
        },
    ),
    Family(
        "Qwen 2",
        "Qwen2",
        "windows in some layers",
        True,
        {**LLAMA_LIKE, "use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 2},
    ),
    Family("Qwen 3", "Qwen3", "normalised queries and keys", True, HEADS),
    Family("Qwen 3 MoE", "Qwen3Moe", "experts", True, {**HEADS, **MOE}),
    Family(
        "Gemma 2",
        "Gemma2",
        "soft-capped attention and logits, windows",
        True,
        {
            **{**HEADS, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0},
            **{"sliding_window": WINDOW, "layer_types": WINDOWS},
        },
    ),
    Family(
        "Gemma 3",
        "Gemma3Text",
        "windows, two rotary bases, scaled embeddings",
        True,
        {**HEADS, "sliding_window": WINDOW, "layer_types": WINDOWS},
    ),
    Family("Mistral", "Mistral", "a window in every layer", True, {**HEADS, "sliding_window": WINDOW}),
    Family(
        "Phi-3", "Phi3", "joint projections, a window in every layer", True, {**LLAMA_LIKE, "sliding_window": WINDOW}
    ),
    Family(
        "GPT-2",
        "GPT2",
        "learned positions",
        True,
        {"n_embd": 32, "n_layer": 4, "n_head": 4, "n_positions": 512, "initializer_range": 0.2},
    ),
    Family(
        "GPT-NeoX",
        "GPTNeoX",
        "parallel attention, partial rotary positions",
        True,
        {**SIZE, "intermediate_size": 64, "initializer_range": 0.2},
    ),
    Family(
        "OPT",
        "OPT",
        "learned positions with an offset, embeddings narrower than the model",
        True,
        {**SIZE, "ffn_dim": 64, "word_embed_proj_dim": 16, "max_position_embeddings": 512, "init_std": 0.2},
    ),
    Family(
        "Falcon",
        "Falcon",
        "ALiBi, one key head",
        False,
        {**SIZE, "alibi": True, "initializer_range": 0.2, "bias": True},
    ),
    Family("Cohere", "Cohere", "interleaved rotary positions, scaled logits", True, LLAMA_LIKE),
    Family("SmolLM3", "SmolLM3", "layers without positions", True, {**LLAMA_LIKE, "no_rope_layers": [1, 1, 1, 0]}),
    Family(
        "gpt-oss",
        "GptOss",
        "attention sinks, windows, experts",
        True,
        {
            **{**HEADS, "sliding_window": WINDOW, "layer_types": WINDOWS},
            **{"num_local_experts": 4, "num_experts_per_tok": 2},
        },
    ),
    Family(
        "LFM2",
        "Lfm2",
        "convolutions between attention layers",
        False,
        {**LLAMA_LIKE, "layer_types": ["conv", "full_attention"] * 2, "block_multiple_of": 16},
    ),
    Family("Bloom", "Bloom", "ALiBi", False, {"hidden_size": 32, "n_layer": 4, "n_head": 4, "initializer_range": 0.2}),
    Family("MPT", "Mpt", "ALiBi", False, {"d_model": 32, "n_layers": 4, "n_heads": 4, "initializer_range": 0.2}),
    Family(
        "Mamba",
        "Mamba",
        "no attention at all",
        False,
        {"hidden_size": 32, "num_hidden_layers": 4, "state_size": 4, "initializer_range": 0.2},
    ),
)


def table() -> str:
    """Return the families as a Markdown table."""
    rows = [
        f"| {family.name} | {family.mechanism} | {'one pass' if family.trie else 'item by item'} |"
        for family in FAMILIES
    ]
    return "\n".join(["| family | what it covers | how a survey is put |", "|---|---|---|", *rows]) + "\n"


def main() -> None:
    """Write the table into the page, below its text."""
    text = PAGE.read_text(encoding="utf-8").partition("| family |")[0]
    PAGE.write_text(text + table(), encoding="utf-8")


if __name__ == "__main__":
    main()
