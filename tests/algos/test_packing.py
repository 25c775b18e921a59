"""Packed examples: none sees another, in a real Llama; and the packing itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from reasongym.algos.losses import sft_loss, token_logprobs
from reasongym.algos.packing import Example, pack_examples

EXAMPLES = st.lists(
    st.tuples(st.lists(st.integers(0, 96), max_size=9), st.lists(st.integers(0, 96), min_size=1, max_size=9)),
    min_size=1,
    max_size=12,
)


@pytest.fixture(params=["sdpa", "eager"])
def model(request: pytest.FixtureRequest) -> Any:
    """A Llama of two layers with grouped key-value heads and weights far from zero."""
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=97, num_key_value_heads=2, initializer_range=0.3, **sizes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = LlamaForCausalLM._from_config(config, attn_implementation=request.param)
    return made.train()


def some(seed: int = 0, n: int = 14) -> list[Example]:
    rng = np.random.default_rng(seed)
    return [
        (rng.integers(0, 97, rng.integers(1, 12)).tolist(), rng.integers(0, 97, rng.integers(1, 20)).tolist())
        for _ in range(n)
    ]


def loss(model: Any, examples: list[Example], row: int) -> torch.Tensor:
    """As the agent computes it."""
    packed = pack_examples(examples, row)
    logits = model(input_ids=packed.ids, position_ids=packed.positions, use_cache=False).logits
    return sft_loss(token_logprobs(logits, packed.ids, entropy=False)[0], packed.mask[:, 1:])


def gradient(model: Any, value: torch.Tensor) -> torch.Tensor:
    model.zero_grad()
    value.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.mark.parametrize("row", [1, 40, 64, 1000])
def test_packed_loss_and_gradient_are_those_of_examples_alone(model: Any, row: int) -> None:
    examples = some()
    tokens = sum(len(learned) for _, learned in examples)
    alone = torch.zeros(())
    for given_, learned in examples:
        ids = torch.tensor([[*given_, *learned]])
        logp = model(input_ids=ids).logits.log_softmax(-1)[0, :-1].gather(1, ids[0, 1:, None])[:, 0]
        alone = alone - logp[len(given_) - 1 :].sum() / tokens
    wanted = gradient(model, alone)
    together = loss(model, examples, row)
    found = gradient(model, together)
    assert together.item() == pytest.approx(alone.item(), abs=1e-5)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
    assert wanted.norm() > 0.1


def test_positions_are_what_keeps_examples_apart(model: Any) -> None:
    """The same rows under plain positions give another loss: the test above can fail."""
    packed = pack_examples(some(), 64)
    plain = torch.arange(packed.ids.shape[1]).expand_as(packed.ids)
    losses = []
    for positions in (packed.positions, plain):
        logits = model(input_ids=packed.ids, position_ids=positions, use_cache=False).logits
        losses.append(sft_loss(token_logprobs(logits, packed.ids, entropy=False)[0], packed.mask[:, 1:]).item())
    assert abs(losses[0] - losses[1]) > 0.05


@settings(max_examples=150)
@given(examples=EXAMPLES, row=st.integers(1, 60))
def test_every_example_stands_once_and_whole(examples: list[Example], row: int) -> None:
    packed = pack_examples(examples, row)
    assert packed.ids.shape == packed.positions.shape == packed.mask.shape
    assert packed.ids.shape[1] <= max(row, *(len(g) + len(w) for g, w in examples))
    found = []
    for ids, positions, mask in zip(packed.ids.tolist(), packed.positions.tolist(), packed.mask.tolist(), strict=True):
        starts = [n for n, position in enumerate(positions) if position == 0] + [len(ids)]
        for a, b in zip(starts, starts[1:], strict=False):
            assert positions[a:b] == list(range(b - a))
            found.append((tuple(ids[a:b]), tuple(mask[a:b])))
    wanted = []
    for given_, learned in examples:
        mask = [0] * len(given_) + [1] * len(learned)
        mask[0] = 0  # nothing stands before a first token
        wanted.append(((*given_, *learned), tuple(mask)))
    padding = [block for block in found if not any(block[0]) and not any(block[1])]
    for block in wanted:
        found.remove(block)
    assert all(block in padding for block in found) and len(found) <= len(packed.ids)


def test_given_and_learned_by_turns() -> None:
    packed = pack_examples([([1, 2], [3, 4], [5], [6], []), ([], [7, 8])], 8)
    assert packed.ids.tolist() == [[1, 2, 3, 4, 5, 6, 7, 8]]
    assert packed.mask.tolist() == [[0, 0, 1, 1, 0, 1, 0, 1]]
    assert packed.positions.tolist() == [[0, 1, 2, 3, 4, 5, 0, 1]]


def test_rows_are_filled() -> None:
    examples: list[Example] = [([1], [2] * (size - 1)) for size in (6, 4, 5, 5, 3, 7)]
    assert pack_examples(examples, 10).ids.shape == (3, 10)  # 7+3, 6+4, 5+5: first-fit decreasing is perfect here
    assert pack_examples([*examples, ([1], [2] * 24)], 10).ids.shape == (4, 25)
