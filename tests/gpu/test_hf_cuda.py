"""The hf policy on CUDA agrees with itself on the CPU."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from reasongym.core import Completion, Request, Sampling  # noqa: E402
from reasongym.policies.hf import HF  # noqa: E402
from reasongym.tokenizer import ByteTokenizer  # noqa: E402

pytestmark = pytest.mark.gpu
BYTES = ByteTokenizer()


def build(**more: Any) -> Any:
    shape = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4}
    shape |= {"num_key_value_heads": 2, "max_position_embeddings": 256, "initializer_range": 0.2}
    specials = {"vocab_size": 258, "eos_token_id": 256, "pad_token_id": 257, "bos_token_id": None}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.LlamaConfig(**shape, **specials, **more)
        return transformers.AutoModelForCausalLM.from_config(config).eval()


def requests(sampling: Sampling, count: int = 24) -> list[Request]:
    return [
        Request((0, i, 0, 0), "q" * (1 + 7 * i % 40), "", (), 10 + 5 * i % 50, seed=i, sampling=sampling)
        for i in range(count)
    ]


@pytest.fixture(autouse=True)
def exact() -> Any:
    """Full float32 products, so that the two devices may be compared."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


def test_greedy_tokens_and_logprobs_equal_those_of_the_cpu() -> None:
    asked = requests(Sampling(temperature=0))
    there = HF(build(), BYTES, device="cuda", slots=10)
    on_gpu, on_cpu = there.generate(asked), HF(build(), BYTES, slots=10).generate(asked)
    assert there.model.device.type == "cuda"
    assert [c.ids for c in on_gpu] == [c.ids for c in on_cpu]
    assert largest_gap(on_gpu, on_cpu) < 1e-3


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(0.7, 0.9, 40)], ids=repr)
def test_sampling_draws_the_same_ids_from_the_same_seeds(sampling: Sampling) -> None:
    asked = requests(sampling)
    on_gpu = HF(build(), BYTES, device="cuda", slots=10).generate(asked)
    on_cpu = HF(build(), BYTES, slots=10).generate(asked)
    same = [(a, b) for a, b in zip(on_gpu, on_cpu, strict=True) if a.ids == b.ids]
    assert len(same) >= len(asked) - 1  # a draw may fall within rounding of the border between two ids
    assert largest_gap([a for a, _ in same], [b for _, b in same]) < 1e-3


def test_score_on_cuda_equals_the_cpu() -> None:
    on_gpu = HF(build(), BYTES, device="cuda").score((1, 2, 3), list(range(60)))
    assert on_gpu == pytest.approx(HF(build(), BYTES).score((1, 2, 3), list(range(60))), abs=1e-3)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_bfloat16_runs(attention: str) -> None:
    policy = HF(build(attn_implementation=attention), BYTES, device="cuda", dtype="bfloat16", slots=10)
    asked = requests(Sampling())
    for request, done in zip(asked, policy.generate(asked), strict=True):
        assert 1 <= len(done.ids) <= request.room
        gaps = [abs(a - b) for a, b in zip(done.logprobs, policy.score(done.prompt_ids, done.ids), strict=True)]
        assert sum(gaps) / len(gaps) < 0.1


def largest_gap(some: list[Completion], others: list[Completion]) -> float:
    pairs = zip(some, others, strict=True)
    return max(abs(x - y) for a, b in pairs for x, y in zip(a.logprobs, b.logprobs, strict=True))
