"""Models of transformers: where they come from, what they can do, and new weights for them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from reasongym.core import Tokenizer, UserError
from reasongym.tokenizer import load, model_folder


def as_device(device: str | torch.device | None) -> torch.device | None:
    """The device of this name, if this machine has it."""
    try:
        found = None if device is None else torch.device(device)
    except RuntimeError as error:
        raise UserError(f"device={device!r} is no device that torch knows: give 'cpu' or 'cuda'") from error
    if found is not None and found.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"device={str(device)!r}: this machine has no usable CUDA device; give device='cpu'")
    return found


def as_dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    """The floating-point type of this name."""
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if dtype is not None and not (isinstance(found, torch.dtype) and found.is_floating_point):
        raise UserError(f"dtype={dtype!r} must be such as 'float32' or 'bfloat16'")
    return found


def tokenizer_of(model: Any, tokenizer: str | Tokenizer | None) -> Tokenizer:
    """The tokenizer that is given, or else the model's own."""
    if tokenizer is not None:
        return load(tokenizer) if isinstance(tokenizer, str) else tokenizer
    name = model if isinstance(model, str) else model.config.name_or_path
    if not name:
        raise UserError(f"{type(model).__name__} does not say where its tokenizer is: give tokenizer=")
    return load(name)


def load_model(model: Any, device: torch.device | None = None, dtype: torch.dtype | None = None) -> Any:
    """The causal language model of a folder, a hub id or ``"tiny"``, or a model as it is; moved, and of this type.

    Buffers keep their type, as in ``from_pretrained``: rotary frequencies must not be rounded to bfloat16.
    """
    if isinstance(model, str):
        try:
            loaded: Any = AutoModelForCausalLM.from_pretrained(model_folder(model))
            model = loaded.eval()
        except (OSError, ValueError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UserError(f"no model at {model!r}: give a model, a folder or a hub id ({reason})") from error
    if dtype is not None:
        for parameter in model.parameters():
            parameter.data = parameter.data.to(dtype)
    return model if device is None else model.to(device)


def abilities(model: Any) -> tuple[bool, bool]:
    """Whether the model takes a ready 4-D mask, and whether it can leave out all but the last logits."""
    config = model.config.get_text_config()
    windowed = getattr(config, "sliding_window", None) is not None
    kinds = set(getattr(config, "layer_types", None) or ["sliding_attention" if windowed else "full_attention"])
    bare = model.get_base_model() if hasattr(model, "get_base_model") else model  # of a PEFT model
    takes = inspect.signature(bare.forward).parameters
    if other := ", ".join(sorted(kinds - {"full_attention", "sliding_attention"})):
        raise UserError(f"{type(model).__name__} has layers of kind {other}: only full and sliding attention will do")
    if "position_ids" not in takes:
        raise UserError(f"{type(model).__name__} takes no position_ids, so its prompts cannot be padded")
    ready = kinds == {"full_attention"} and config._attn_implementation == "sdpa"
    return ready, "logits_to_keep" in takes


def load_weights(model: Any, weights: Mapping[str, Any]) -> None:
    """Copy ``weights`` into ``model``, all or none; a tied weight may be left out, nothing else."""
    own = model.state_dict()
    there = {own[name].data_ptr() for name in weights if name in own}
    wrong = [name for name in own if name not in weights and own[name].data_ptr() not in there]
    wrong += [name for name in weights if name not in own or own[name].shape != weights[name].shape]
    if wrong:
        raise UserError(f"sync: weights that do not fit {type(model).__name__}: {', '.join(wrong[:3])}")
    model.load_state_dict(weights, strict=False)
