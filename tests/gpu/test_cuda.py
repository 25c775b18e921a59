"""The hf policy and GRPO's update on a CUDA device, against the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from reasongym import cli
from reasongym.agents import grpo
from reasongym.core import HostError, Request, Sampling
from reasongym.policies.hf import HF
from reasongym.rollout import pack, rollout

pytestmark = pytest.mark.gpu

DELETHINK = {"chunk": 32, "carry": 12, "head": 0, "max_chunks": 3, "low": 24, "high": 60}


def policies() -> tuple[HF, HF]:
    return HF("tiny", device="cpu", dtype="float32"), HF("tiny", device="cuda", dtype="float32")


def problems(n: int) -> list[Any]:
    task: Any = cli.make_envs("Delethink-v0", 1, DELETHINK)[0].unwrapped.task  # type: ignore[attr-defined]
    return [task.sample(np.random.default_rng(i), 24 + i) for i in range(n)]


def attempts(policy: HF, n: int, **sampling: float) -> list[Any]:
    envs = cli.make_envs("Delethink-v0", n, DELETHINK, policy.tokenizer)
    resets = [{"seed": 0, "options": {"problem": p}} for p in problems(n // 4) for _ in range(4)]
    return rollout(policy, envs, resets, group=4, sampling=Sampling(**sampling), deterministic=True)


def test_greedy_ids_are_those_of_the_cpu() -> None:
    here, there = policies()
    cold = Sampling(temperature=0)
    work = [Request((0, i, 0, 0), p.prompt, "", (), 24 + i, sampling=cold) for i, p in enumerate(problems(16))]
    assert [c.ids for c in here.generate(work)] == [c.ids for c in there.generate(work)]


def test_scores_and_behaviour_log_probs_agree() -> None:
    here, there = policies()
    for trajectory in attempts(there, 8):
        for call in trajectory.info["completions"]:
            on_cpu = here.score(call.prompt_ids, call.ids)
            np.testing.assert_allclose(there.score(call.prompt_ids, call.ids), on_cpu, atol=1e-3)
            np.testing.assert_allclose(call.logprobs, on_cpu, atol=1e-3)


def test_a_batch_and_each_row_alone_are_the_same_thoughts() -> None:
    _, there = policies()
    together = attempts(there, 8, temperature=0)
    alone = []
    for i in range(8):
        envs = cli.make_envs("Delethink-v0", 1, DELETHINK, there.tokenizer)
        reset = {"seed": 0, "options": {"problem": problems(2)[i // 4]}}
        alone += rollout(there, envs, [reset], sampling=Sampling(temperature=0), deterministic=True)
    assert [t.text for t in together] == [t.text for t in alone]


def test_gradients_agree() -> None:
    here, there = policies()
    done = attempts(here, 8)
    rows = pack([done[:4], done[4:]], np.array([[1.0, -1.0, 1.0, -1.0]] * 2))[0]
    gradients = []
    for policy in (here, there):
        policy.model.zero_grad()
        for micro in rows:
            grpo.micro_loss(policy.model, micro, grpo.Args())[0].backward()
        gradients.append(torch.cat([p.grad.flatten().cpu() for p in policy.model.parameters()]))
    first, second = gradients
    assert (first - second).abs().max() <= 1e-3 * first.abs().max()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_updates_move_the_weights_and_stay_finite(dtype: str) -> None:
    policy = HF("tiny", device="cuda", dtype=dtype)
    before = torch.cat([p.detach().flatten() for p in policy.model.parameters()]).clone()
    optimizer = torch.optim.AdamW(policy.model.parameters(), lr=1e-3)
    done = attempts(policy, 8)
    packed = pack([done[:4], done[4:]], np.array([[1.0, -1.0, 1.0, -1.0]] * 2))
    figures = grpo.update(policy.model, optimizer, packed, grpo.Args())
    policy.sync(policy.model)
    after = torch.cat([p.detach().flatten() for p in policy.model.parameters()])
    assert np.isfinite([figures["loss"], figures["grad_norm"]]).all() and figures["grad_norm"] > 0
    assert torch.isfinite(after).all() and not torch.equal(before, after)
    assert figures["drift"] < (1e-3 if dtype == "float32" else 0.1)
    assert len(attempts(policy, 8)) == 8


def test_out_of_memory_is_the_hosts_failure_and_the_policy_recovers() -> None:
    policy = HF("tiny", device="cuda", dtype="float32", slots=4)
    problem = problems(1)[0]
    assert policy.generate([Request((0, 0, 0, 0), problem.prompt, "", (), 4)])[0].ids
    total = torch.cuda.get_device_properties("cuda").total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(max(1e-6, (torch.cuda.memory_reserved() + (1 << 20)) / total))
    try:
        with pytest.raises(HostError, match="out of device memory"):
            policy.generate([Request((0, 0, 0, 0), problem.prompt, "", (65,) * 20000, 4)])
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert policy.generate([Request((0, 0, 0, 0), problem.prompt, "", (), 4)])[0].ids
