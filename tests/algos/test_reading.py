"""A3 of R2R: whatever pieces its rows are read in, a model's logits are those of reading all at once."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, PreTrainedConfig, Qwen2Config

from reasongym.algos import reading
from reasongym.algos.reading import Reader
from reasongym.core import UserError

SHAPE = {"vocab_size": 258, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
SHAPE |= {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256, "initializer_range": 0.3}
FAMILIES: dict[str, PreTrainedConfig] = {
    "llama": LlamaConfig(**SHAPE),
    "qwen2": Qwen2Config(**SHAPE),
    "gpt2": GPT2Config(vocab_size=258, n_embd=32, n_layer=2, n_head=4, n_positions=96, initializer_range=0.3),
}
SPECIALS = {"eos_token_id": 256, "pad_token_id": 257, "bos_token_id": None}


def build(config: PreTrainedConfig, seed: int = 0) -> Any:
    for key, value in SPECIALS.items():
        setattr(config, key, value)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return AutoModelForCausalLM.from_config(config).eval()


MODELS = {name: build(config) for name, config in FAMILIES.items()}


def ids(n: int, seed: int) -> list[int]:
    return torch.randint(0, 256, (n,), generator=torch.Generator().manual_seed(seed)).tolist()


@torch.no_grad()
def at_once(model: Any, context: list[int]) -> tuple[Tensor, Tensor]:
    out = model(input_ids=torch.tensor([context]), output_hidden_states=True)
    return out.logits[0, -1], out.hidden_states[-1][0, -1]


Pieces = st.lists(st.lists(st.integers(0, 12), min_size=4, max_size=4), min_size=1, max_size=6)


@settings(max_examples=25)
@given(st.sampled_from(sorted(MODELS)), Pieces, st.integers(0, 99))
def test_a3_any_pieces_give_the_logits_of_reading_all_at_once(family: str, plan: list[list[int]], seed: int) -> None:
    """Four rows; in each round, those with a piece of more than 0 tokens read it, together."""
    model = MODELS[family]
    reader, texts = Reader(model, 4), [ids(96, seed + i) for i in range(4)]
    with torch.inference_mode():
        for round in plan:
            slots = [slot for slot, n in enumerate(round) if n]
            contexts = [texts[slot][: reader.lengths[slot] + round[slot]] for slot in slots]
            if not slots:
                continue
            logits, hidden = reader.read(slots, contexts)
            for row, context in enumerate(contexts):
                truth, state = at_once(model, context)
                assert (logits[row] - truth).abs().max() < 1e-5 * max(1.0, truth.abs().max())
                assert (hidden[row] - state).abs().max() < 1e-5 * max(1.0, state.abs().max())
    assert reader.lengths == [sum(column) for column in zip(*plan, strict=True)]


@torch.inference_mode()
def test_hidden_states_are_what_logits_are_made_of() -> None:
    reader = Reader(MODELS["llama"], 2)
    logits, hidden = reader.read([1, 0], [ids(9, 1), ids(4, 2)])
    assert torch.allclose(reader.model.lm_head(hidden), logits, atol=1e-5)


@torch.inference_mode()
def test_a_slot_takes_a_new_row_and_others_are_not_disturbed() -> None:
    reader, model = Reader(MODELS["qwen2"], 3), MODELS["qwen2"]
    reader.read([0, 1, 2], [ids(40, 0), ids(7, 1), ids(70, 2)])
    reader.forget(1)
    logits, _ = reader.read([2, 1], [ids(71, 2), ids(50, 9)])
    for found, context in zip(logits, (ids(71, 2), ids(50, 9)), strict=True):
        assert (found - at_once(model, context)[0]).abs().max() < 1e-5 * found.abs().max()
    assert reader.lengths == [40, 50, 71]


@torch.inference_mode()
def test_forwards_are_bounded_and_waste_less_than_half(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_TOKENS", 40)
    reader, shapes = Reader(MODELS["llama"], 8), list[tuple[int, ...]]()
    hook = reader.model.register_forward_pre_hook(
        lambda _, args, given: shapes.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )
    try:
        reader.read(range(8), [ids(n, n) for n in (1, 30, 2, 20, 3, 1, 19, 90)])
    finally:
        hook.remove()
    assert shapes == [(1, 90), (1, 30), (2, 20), (2, 3), (2, 1)]


def test_a_row_must_have_something_new() -> None:
    reader = Reader(MODELS["llama"], 2)
    with torch.inference_mode():
        reader.read([0], [[1, 2, 3]])
        with pytest.raises(UserError, match="something new"):
            reader.read([0, 1], [[1, 2, 3], [5]])
