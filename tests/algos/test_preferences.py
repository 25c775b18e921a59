"""Losses of pairs against numbers worked out by hand and finite differences; the watch over a collapse."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from reasongym.algos.preferences import CollapseMonitor, dpo, redi, response_logprobs, simpo
from reasongym.core import UserError

# The case of the specification: three right tokens and two wrong ones, as rows behind a prompt of one token.
LOGP = torch.tensor([[-9.0, -0.1, -0.3, -0.2], [-9.0, -0.5, -0.7, -9.0]], dtype=torch.float64)
MASK = torch.tensor([[0, 1, 1, 1], [0, 1, 1, 0]])
OWNER = torch.tensor([0, 1])


def case(logp: Tensor = LOGP, mask: Tensor = MASK, owner: Tensor = OWNER) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Log-probabilities and lengths of the right and of the wrong side, [1] each."""
    sums = response_logprobs(logp, mask, owner, 2)
    lengths = response_logprobs(mask.double(), mask, owner, 2)
    return sums[:1], sums[1:], lengths[:1], lengths[1:]


@pytest.mark.parametrize(
    "settings, loss",
    [
        ({}, -0.28),
        ({"alpha": 1.0}, -0.40),
        ({"alpha": 0.0}, 0.20),
        ({"alpha": 0.8, "weighting": 1.0}, 0.2 - 0.48 * math.exp(-0.6)),
        ({"alpha": 0.8, "weighting": 0.0}, -0.28),
    ],
)
def test_redi_golden(settings: dict[str, float], loss: float) -> None:
    assert redi(*case(), **settings).tolist() == pytest.approx([loss])


def test_negative_weighting_golden() -> None:
    assert redi(*case(), weighting=1.0).item() == pytest.approx(-0.063430, abs=5e-7)


@pytest.mark.parametrize("alpha", [0.0, 0.8, 1.0])
def test_redi_gradient_of_each_token_golden(alpha: float) -> None:
    logp = LOGP.clone().requires_grad_()
    redi(*case(logp), alpha=alpha).sum().backward()
    wanted = torch.tensor([[0, -1 / 3, -1 / 3, -1 / 3], [0, alpha / 2, alpha / 2, 0]]).double()
    torch.testing.assert_close(logp.grad, wanted)


def test_the_gradient_flows_through_the_weight() -> None:
    """d/dm of alpha m exp(m), with m = -.6 the mean of two tokens."""
    logp = LOGP.clone().requires_grad_()
    redi(*case(logp), weighting=1.0).sum().backward()
    assert logp.grad is not None
    assert logp.grad[1, 1].item() == pytest.approx(0.8 / 2 * math.exp(-0.6) * (1 - 0.6))


def test_padding_and_repetition_change_nothing_and_rows_add_up() -> None:
    padded = torch.cat([LOGP, torch.full((2, 3), float("nan")).double()], 1), torch.cat([MASK, MASK.new_zeros(2, 3)], 1)
    twice = LOGP.repeat(1, 2), MASK.repeat(1, 2)
    split = torch.stack([LOGP[0], LOGP[0], LOGP[1]]), torch.stack([MASK[0] * 0, MASK[0], MASK[1]])
    split[1][0, 1], split[1][1, 1] = 1, 0  # the right response in two windows
    assert redi(*case(*padded)).item() == redi(*case()).item()
    assert redi(*case(*twice)).item() == pytest.approx(-0.28)
    for got, wanted in zip(case(*split, torch.tensor([0, 0, 1])), case(), strict=True):
        torch.testing.assert_close(got, wanted)


def test_the_official_normaliser_is_the_whole_length() -> None:
    """Of a wrong response of four tokens two are left: the official term is half of ours."""
    chosen, rejected, chosen_length, _ = case()
    assert redi(chosen, rejected, chosen_length, torch.tensor([4.0])).item() == pytest.approx(0.2 + 0.8 * -0.3)


def test_no_tokens_are_no_nan() -> None:
    zero = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    chosen, _, length, _ = case()
    for loss in (redi(chosen, zero, length, torch.zeros(1)), simpo(zero, chosen, torch.zeros(1), length)):
        (gradient,) = torch.autograd.grad(loss.sum(), zero)
        assert loss.isfinite().all() and gradient.isfinite().all()
    assert response_logprobs(LOGP, MASK, OWNER, 3)[2] == 0  # a response without rows


def test_dpo_golden() -> None:
    """The right response gained .4 against the reference, the wrong one lost .8; beta .5 makes .6 of it."""
    args = (*case()[:2], torch.tensor([-1.0]).double(), torch.tensor([-0.4]).double())
    assert dpo(*args, beta=0.5).item() == pytest.approx(math.log(1 + math.exp(-0.6)))
    at_start = dpo(*case()[:2], *case()[:2], beta=7.0)
    assert at_start.item() == pytest.approx(math.log(2))


def test_simpo_golden() -> None:
    """Means -.2 and -.6: 2 * .4 - 1 = -.2."""
    assert simpo(*case()).item() == pytest.approx(math.log(1 + math.exp(0.2)))
    assert simpo(*case(), beta=2.5, gamma=0.0).item() == pytest.approx(math.log(1 + math.exp(-1.0)))


def test_simpo_with_small_beta_is_symmetric_redi() -> None:
    """Up to a factor of beta / 2, arXiv 2505.24850 says."""
    grads = []
    for loss in (lambda *a: simpo(*a, beta=1e-6, gamma=0.0) * 2e6, lambda *a: redi(*a, alpha=1.0)):
        logp = LOGP.clone().requires_grad_()
        loss(*case(logp)).sum().backward()
        grads.append(logp.grad)
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-5, atol=1e-6)


LOSSES: dict[str, Callable[..., Tensor]] = {
    "redi": redi,
    "redi weighted": lambda *a: redi(*a, alpha=0.6, weighting=1.3),
    "simpo": simpo,
}


@pytest.mark.parametrize("name", [*LOSSES, "dpo"])
@pytest.mark.parametrize("seed", range(3))
def test_gradients_are_those_of_finite_differences(name: str, seed: int) -> None:
    """On six rows of four responses, two of them in two windows."""
    rng = torch.Generator().manual_seed(seed)
    logp = -2 * torch.rand(6, 5, generator=rng, dtype=torch.float64)
    mask = torch.randint(2, (6, 5), generator=rng)
    mask[:, 2] = 1
    owner = torch.tensor([0, 0, 1, 2, 3, 3])
    lengths = response_logprobs(mask.double(), mask, owner, 4)
    ref = response_logprobs(logp * 0.8, mask, owner, 4)

    def loss(x: Tensor) -> Tensor:
        sums = response_logprobs(x, mask, owner, 4)
        if name == "dpo":
            return dpo(sums[:2], sums[2:], ref[:2], ref[2:], beta=0.3).sum()
        return LOSSES[name](sums[:2], sums[2:], lengths[:2], lengths[2:]).sum()

    assert torch.autograd.gradcheck(loss, (logp.requires_grad_(),))


def test_the_reference_has_no_gradient() -> None:
    ref = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    chosen = LOGP[0].sum()[None].requires_grad_()
    dpo(chosen, ref, ref, ref).sum().backward()
    assert ref.grad is not None and ref.grad.item() > 0  # as the wrong response alone
    assert chosen.grad is not None and chosen.grad.item() == -ref.grad.item()


# -- the monitor --------------------------------------------------------------------------------------


def test_the_monitor_speaks_when_the_mean_has_fallen_by_more_than_the_drop() -> None:
    monitor = CollapseMonitor(drop=0.5, window=2)
    assert [monitor(x) for x in (-0.2, -0.4, -0.3, -0.8, -0.7, -0.85, -0.9, -0.1)] == [False] * 5 + [False, True, False]
    assert monitor.fallen == pytest.approx(0.5 - 0.3)


def test_no_number_is_a_collapse() -> None:
    monitor = CollapseMonitor(drop=0.5, window=3)
    assert [monitor(x) for x in (float("nan"), -0.2)] == [True, True] and monitor.first == [-0.2]
    assert [monitor(x) for x in (-0.2, -0.2, -0.2)] == [True, False, False]  # and is not what others are held against


def test_the_monitor_goes_on_where_it_was() -> None:
    values = [-0.1 * x for x in range(20)]
    whole, part = CollapseMonitor(0.6, 4), CollapseMonitor(0.6, 4)
    said = [whole(x) for x in values]
    before = [part(x) for x in values[:6]]
    again = CollapseMonitor(0.6, 4)
    again.load_state_dict(part.state_dict())
    assert before + [again(x) for x in values[6:]] == said and True in said and False in said


# -- what is refused ----------------------------------------------------------------------------------


def test_refusals() -> None:
    one, two = torch.zeros(1), torch.zeros(2)
    for call in (lambda: redi(one, two, one, one), lambda: simpo(one, one, one, two), lambda: dpo(one, one, two, one)):
        with pytest.raises(UserError, match=r"has shape \(2,\), expected \(1,\) = \[B\]"):
            call()
    with pytest.raises(UserError, match=r"must be \[N,T-1\]"):
        response_logprobs(LOGP, MASK, torch.tensor([0]), 1)
