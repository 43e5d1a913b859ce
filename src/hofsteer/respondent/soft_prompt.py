"""A soft prompt on disk: a PEFT `PROMPT_TUNING` adapter, so that anyone with PEFT can load it."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hofsteer.errors import SoftPromptError
from hofsteer.files import hash_bytes, replace_bytes, replace_json

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
KEY = "prompt_embeddings"
SHAPE = ("num_virtual_tokens", "token_dim")  # of the configuration: L, W


@dataclass(frozen=True, eq=False)
class SoftPrompt:
    """Rows of input embeddings that stand in front of everything, the beginning-of-sequence token included."""

    values: NDArray[np.float32]  # (L, W)
    base_model: str | None = None  # the model they were found for

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or not self.values.size or not np.isfinite(self.values).all():
            lost = self.values.size - int(np.isfinite(self.values).sum())
            what = f" with {lost} numbers that are NaN or infinite" if lost else ""
            raise SoftPromptError(f"want finite rows (tokens, width), got an array of shape {self.values.shape}{what}")

    def identity(self) -> dict[str, str | None]:
        """Return the model that it was found for and the SHA-256 of its values, little-endian float32 row by row."""
        return {"base_model": self.base_model, "sha256": hash_bytes(self.values.astype("<f4").tobytes())}

    def save(self, folder: Path) -> None:
        """Write the adapter's two files into `folder`, which is made if needed."""
        from safetensors.numpy import save

        folder.mkdir(parents=True, exist_ok=True)
        tokens, width = self.values.shape
        replace_bytes(folder / WEIGHTS_FILE, save({KEY: np.asarray(self.values, dtype=np.float32, order="C")}))
        config = {
            "peft_type": "PROMPT_TUNING",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": self.base_model,
            "inference_mode": True,
            "num_virtual_tokens": tokens,
            "token_dim": width,
            "num_transformer_submodules": 1,
            "prompt_tuning_init": "RANDOM",
        }
        replace_json(folder / CONFIG_FILE, config)

    @classmethod
    def load(cls, folder: Path) -> "SoftPrompt":
        """Return the adapter in `folder`, or in its subfolder `soft_prompt` if it is a run.

        Raises:
            SoftPromptError: a file is missing or broken, the two do not agree, or it is another kind of adapter.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        folder = folder / "soft_prompt" if (folder / "soft_prompt").is_dir() else folder
        for name in (CONFIG_FILE, WEIGHTS_FILE):
            if not (folder / name).is_file():
                raise SoftPromptError(f"want a run or a PEFT adapter, but {folder} has no {name}")
        try:
            config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
            tensors = load_file(folder / WEIGHTS_FILE)
        except (ValueError, SafetensorError) as error:
            raise SoftPromptError(f"the adapter in {folder} cannot be read: {error}") from None
        except (TypeError, AttributeError):  # bfloat16, float8
            raise SoftPromptError(f"the adapter in {folder} is stored in a dtype NumPy lacks; want float32") from None
        kind = config.get("peft_type") if isinstance(config, dict) else None
        if kind != "PROMPT_TUNING" or KEY not in tensors:
            raise SoftPromptError(f"want a PROMPT_TUNING adapter with {KEY!r}, got {kind!r} with {sorted(tensors)}")
        try:
            found = cls(tensors[KEY].astype(np.float32), config.get("base_model_name_or_path"))
        except SoftPromptError as error:
            raise SoftPromptError(f"the adapter in {folder} cannot be used: {error}") from None
        for name, size in zip(SHAPE, found.values.shape, strict=True):
            if (said := config.get(name)) not in (None, size):
                raise SoftPromptError(
                    f"the adapter in {folder} does not agree with itself: want {name} {said}, as {CONFIG_FILE} says, "
                    f"got {size} in {WEIGHTS_FILE}"
                )
        return found
