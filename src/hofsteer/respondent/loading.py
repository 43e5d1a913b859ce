"""Finding and loading a model: the bundled one, a local folder, or a hub id."""

import logging
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from hofsteer.config import ModelSettings
from hofsteer.errors import ModelError, did_you_mean

BUNDLED = ("mini",)


def quiet_libraries() -> None:
    """Send our own warnings to standard error, and keep the model libraries' chatter off it."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    logging.getLogger("hofsteer").setLevel(logging.WARNING)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def load_model(settings: ModelSettings) -> tuple[Any, Any]:
    """Return a model and its tokenizer; see `HFRespondent.load`."""
    source = locate(settings.id)
    local = source is not None
    name = str(source or settings.id)
    options: dict[str, Any] = {"trust_remote_code": settings.trust_remote_code, "local_files_only": local}
    if not local:
        options["revision"] = settings.revision
    try:
        device = torch.device(settings.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        dtype = getattr(torch, settings.dtype or ("float32" if device.type == "cpu" else "bfloat16"))
        tokenizer = AutoTokenizer.from_pretrained(name, **options)
        model, found = AutoModelForCausalLM.from_pretrained(
            name, dtype=dtype, use_safetensors=True, output_loading_info=True, **options
        )
        if missing := sorted(found["missing_keys"]):  # transformers would fill them with random numbers
            raise ValueError(f"its weights lack {len(missing)} tensors, such as {missing[0]}")
        model = model.to(device)
    except Exception as error:  # torch, tokenizers and safetensors raise their own, bare Exceptions included
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"cannot load model {settings.id!r}: {reason}") from error
    return model, tokenizer


def locate(model_id: str) -> Path | None:
    """Return the folder of a bundled or local model; None for what can only be a hub id."""
    if model_id in BUNDLED:
        return Path(str(files("hofsteer.respondent"))) / model_id
    path = Path(model_id).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(f"want a model folder, but {model_id} has no config.json")
        return path
    if path.exists() or path.is_absolute() or model_id.startswith((".", "~")) or model_id.count("/") != 1:
        hint = did_you_mean(model_id, BUNDLED)
        raise ModelError(f"want a hub id (owner/name), a model folder or {BUNDLED[0]!r}, got {model_id!r}{hint}")
    return None
