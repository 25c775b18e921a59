"""Losses against numbers worked out by hand, finite differences, and sums over micro-batches."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from reasongym.algos.losses import (
    clipped_surrogate,
    kl_k3,
    log_ratios,
    policy_loss,
    sft_loss,
    token_logprobs,
    truncated_importance,
    value_loss,
)
from reasongym.algos.normalise import LossNorm, token_weights
from reasongym.core import UserError

# Trajectory A: chunks of 3 and 2 sampled tokens, advantage 2. Trajectory B: one chunk of 4, advantage -1.
MASK = torch.tensor([[0, 1, 1, 1, 0], [0, 0, 1, 1, 0], [1, 1, 1, 1, 0]])
TRAJECTORY = torch.tensor([0, 0, 1])
ADVANTAGES = torch.tensor([2.0, 2.0, -1.0]).double()
NAN = float("nan")


def weights(norm: LossNorm = "trajectory", constant: float | None = None) -> Tensor:
    return torch.from_numpy(token_weights([5, 4], norm, constant))[TRAJECTORY]


def random_logps(seed: int = 0, spread: float = 0.3) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The new policy's, and the old, behaviour and reference policies near it, [3, 5] each."""
    rng = torch.Generator().manual_seed(seed)
    new = -torch.rand(3, 5, generator=rng, dtype=torch.float64) * 3 - 0.1
    other = [new + spread * torch.randn(3, 5, generator=rng, dtype=torch.float64) for _ in range(3)]
    return new, *other


def settings(seed: int = 0, **kw: object) -> dict[str, object]:
    """Every term switched on."""
    _, old, behaviour, ref = random_logps(seed)
    terms = {"dual_clip": 3.0, "tis": 2.0, "behaviour_logp": behaviour, "ref_logp": ref, "kl": 0.1, "kl_unbiased": True}
    return {"old_logp": old, "advantages": ADVANTAGES, "mask": MASK, "weight": weights(), **terms, **kw}


# -- normalisation ----------------------------------------------------------------------------------


def test_trajectory_norm_golden() -> None:
    logp = torch.zeros(3, 5).double()
    loss, _ = policy_loss(logp, None, ADVANTAGES, MASK, weights())
    assert loss.item() == pytest.approx(-0.5)
    parts = [policy_loss(logp[[i]], None, ADVANTAGES[[i]], MASK[[i]], weights()[[i]])[0].item() for i in range(3)]
    assert [-3 * x for x in parts] == pytest.approx([1.8, 1.2, -1.5])  # rows, whose mean is 0.5


@pytest.mark.parametrize("norm, constant, objective", [("token", None, 6 / 9), ("constant", 10, 6 / 20)])
def test_other_norms_golden(norm: LossNorm, constant: float | None, objective: float) -> None:
    loss, _ = policy_loss(torch.zeros(3, 5).double(), None, ADVANTAGES, MASK, weights(norm, constant))
    assert loss.item() == pytest.approx(-objective)


def test_mean_over_rows_would_differ() -> None:
    """What a mean over rows gives for the same batch: each row's own token mean, or without the correction."""
    rows = 1 / (3 * MASK.sum(dim=1).double())
    uncorrected = 1 / (3 * torch.tensor([5.0, 5.0, 4.0]).double())
    for weight, objective in ((rows, 1.0), (uncorrected, 1 / 3)):
        loss, _ = policy_loss(torch.zeros(3, 5).double(), None, ADVANTAGES, MASK, weight)
        assert loss.item() == pytest.approx(-objective)


def test_chunks_weigh_as_one_row() -> None:
    """The same nine tokens in one row a trajectory or in chunks: same loss, same gradient."""
    new, old, *_ = random_logps()
    for ratio in ("token", "sequence", "geometric"):
        chunked, whole = new.clone().requires_grad_(), new[MASK.bool()].clone().requires_grad_()
        loss, _ = policy_loss(chunked, old, ADVANTAGES, MASK, weights(), ratio=ratio, trajectory=TRAJECTORY)
        flat = torch.zeros(2, 5).double(), torch.zeros(2, 5).double(), torch.tensor([[1] * 5, [1] * 4 + [0]])
        logp, reference = (
            torch.masked_scatter(x, flat[2].bool(), y) for x, y in zip(flat[:2], (whole, old[MASK.bool()]), strict=True)
        )
        weight = torch.from_numpy(token_weights([5, 4]))
        same, _ = policy_loss(
            logp, reference, ADVANTAGES[1:], flat[2], weight, ratio=ratio, trajectory=torch.tensor([7, 3])
        )
        assert loss.item() == pytest.approx(same.item(), rel=1e-12)
        (chunk_grad,), (whole_grad,) = torch.autograd.grad(loss, chunked), torch.autograd.grad(same, whole)
        torch.testing.assert_close(chunk_grad[MASK.bool()], whole_grad)


# -- clipping -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ratio, advantage, kw, loss, active",
    [
        (1.5, 1.0, {"clip_high": 0.26}, -1.26, True),
        (1.5, 1.0, {}, -1.2, True),
        (1.1, 1.0, {}, -1.1, False),
        (0.5, 1.0, {}, -0.5, False),
        (0.5, -1.0, {}, 0.8, True),
        (0.5, -1.0, {"clip_low": 0.6}, 0.5, False),
        (5.0, -1.0, {}, 5.0, False),
        (5.0, -1.0, {"dual_clip": 3.0}, 3.0, True),
        (5.0, -2.0, {"dual_clip": 3.0}, 6.0, True),
        (2.0, -1.0, {"dual_clip": 3.0}, 2.0, False),
        (5.0, 1.0, {"dual_clip": 3.0}, -1.2, True),
        (5.0, 0.0, {"dual_clip": 3.0}, 0.0, False),
    ],
)
def test_clip_golden(ratio: float, advantage: float, kw: dict[str, float], loss: float, active: bool) -> None:
    r = torch.tensor([[ratio]], requires_grad=True)
    got, clipped = clipped_surrogate(r, torch.tensor([[advantage]]), **kw)
    assert got.item() == pytest.approx(loss) and clipped.item() is active
    (grad,) = torch.autograd.grad(got.sum(), r)
    assert grad.item() == pytest.approx(0 if active else -advantage)


def test_clip_through_the_loss() -> None:
    old = torch.zeros(1, 4)
    new = torch.log(torch.tensor([[1.5, 5.0, 1.0, 9.0]]))
    advantages, mask = torch.tensor([[1.0, -1.0, 1.0, 1.0]]), torch.tensor([[1, 1, 1, 0]])
    loss, stats = policy_loss(new, old, advantages, mask, torch.ones(1), clip_high=0.26, dual_clip=3.0)
    assert loss.item() == pytest.approx(-1.26 + 3.0 - 1.0)
    assert stats["clip_fraction"] == pytest.approx(2 / 3) and stats["tokens"] == 3
    assert stats["ratio_mean"] == pytest.approx(2.5) and stats["ratio_max"] == pytest.approx(5.0)
    k3 = [r - 1 - math.log(r) for r in (1.5, 5.0, 1.0)]
    assert stats["kl_old"] == pytest.approx(sum(k3) / 3, rel=1e-5)


# -- ratios -------------------------------------------------------------------------------------------


def test_ratios_over_two_rows_of_a_trajectory_golden() -> None:
    new = torch.log(torch.tensor([[2.0, 3.0, 9.0], [4.0, 9.0, 9.0], [0.5, 0.5, 9.0]]))
    mask = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 0]])
    trajectory = torch.tensor([4, 4, 2])
    old = torch.zeros(3, 3)
    token = log_ratios(new, old, mask).exp()
    torch.testing.assert_close(token, torch.tensor([[2.0, 3, 1], [4, 1, 1], [0.5, 0.5, 1]]))
    sequence = log_ratios(new, old, mask, "sequence", trajectory).exp()
    torch.testing.assert_close(sequence, torch.tensor([[24.0, 24, 1], [24, 1, 1], [0.25, 0.25, 1]]))
    geometric = log_ratios(new, old, mask, "geometric", trajectory).exp()
    root = 24 ** (1 / 3)
    torch.testing.assert_close(geometric, torch.tensor([[root, root, 1], [root, 1, 1], [0.5, 0.5, 1]]))


def test_gspo_gradient_golden() -> None:
    """GSPO's gradient: the sequence ratio times A over the length, the same on every token (its eq. 10)."""
    new, old, *_ = random_logps(spread=0.05)
    logp = new.requires_grad_()
    loss, _ = policy_loss(logp, old, ADVANTAGES, MASK, weights(), ratio="geometric", trajectory=TRAJECTORY)
    (grad,) = torch.autograd.grad(loss, logp)
    difference = torch.where(MASK.bool(), new.detach() - old, 0.0)
    s = torch.stack([difference[:2].sum() / 5, difference[2].sum() / 4]).exp()[TRAJECTORY]
    expected = -(s * ADVANTAGES / 2 / torch.tensor([5, 5, 4]))[:, None] * MASK
    torch.testing.assert_close(grad, expected)


def test_log_ratio_is_bounded() -> None:
    new, mask = torch.tensor([[0.0, -500.0], [0.0, 0.0]]), torch.ones(2, 2)
    old = torch.tensor([[-500.0, 0.0], [-500.0, -500.0]])
    torch.testing.assert_close(log_ratios(new, old, mask), torch.tensor([[20.0, -20.0], [20.0, 20.0]]))
    sequence = log_ratios(new, old, mask, "sequence", torch.tensor([0, 1]))
    torch.testing.assert_close(sequence, torch.tensor([[0.0, 0.0], [20.0, 20.0]]))  # clamped after the sum


def test_on_policy_is_reinforce() -> None:
    new, *_ = random_logps()
    for ratio in ("token", "geometric"):
        logp = new.clone().requires_grad_()
        loss, stats = policy_loss(logp, None, ADVANTAGES, MASK, weights(), ratio=ratio, trajectory=TRAJECTORY)
        (grad,) = torch.autograd.grad(loss, logp)
        torch.testing.assert_close(grad, -(weights() * ADVANTAGES)[:, None] * MASK)
        assert stats["ratio_max"] == 1 and stats["clip_fraction"] == 0 and stats["kl_old"] == 0


# -- further terms ------------------------------------------------------------------------------------


def test_truncated_importance_golden() -> None:
    old = torch.log(torch.tensor([[0.5, 0.5, 0.5]])).requires_grad_()
    weight = truncated_importance(old, torch.log(torch.tensor([[0.1, 0.4, 1.0]])), cap=2.0)
    torch.testing.assert_close(weight, torch.tensor([[2.0, 1.25, 0.5]]))
    assert not weight.requires_grad


def test_truncated_importance_weighs_the_policy_term_only() -> None:
    new, old, behaviour, ref = random_logps()
    base, _ = policy_loss(new, old, ADVANTAGES, MASK, weights())
    with_kl, _ = policy_loss(new, old, ADVANTAGES, MASK, weights(), ref_logp=ref, kl=0.5)
    both, _ = policy_loss(
        new, old, 0 * ADVANTAGES, MASK, weights(), ref_logp=ref, kl=0.5, tis=2.0, behaviour_logp=behaviour
    )
    assert (with_kl - base).item() == pytest.approx(both.item())
    doubled, _ = policy_loss(new, old, ADVANTAGES, MASK, weights(), tis=2.0, behaviour_logp=old - math.log(3))
    assert doubled.item() == pytest.approx(2 * base.item())


def test_k3_golden() -> None:
    d = torch.log(torch.tensor([[1.0, 2.0, 0.5]]))  # log (reference / policy)
    expected = torch.tensor([[0.0, 2 - math.log(2) - 1, 0.5 + math.log(2) - 1]])
    torch.testing.assert_close(kl_k3(-d, torch.zeros(1, 3)), expected)


def test_kl_and_entropy_terms_golden() -> None:
    new, old, _, ref = random_logps()
    entropy = torch.rand(3, 5, generator=torch.Generator().manual_seed(3)).double()
    base, _ = policy_loss(new, old, ADVANTAGES, MASK, weights())
    loss, stats = policy_loss(
        new, old, ADVANTAGES, MASK, weights(), ref_logp=ref, kl=0.1, entropy=entropy, entropy_coef=0.01
    )
    w = weights()[:, None] * MASK
    expected = base + (w * (0.1 * kl_k3(new, ref) - 0.01 * entropy)).sum()
    assert loss.item() == pytest.approx(expected.item())
    assert stats["entropy"] == pytest.approx(entropy[MASK.bool()].mean().item())
    assert stats["kl_ref"] == pytest.approx(kl_k3(new, ref)[MASK.bool()].mean().item())


def test_without_the_policy_term_rewards_do_not_matter() -> None:
    """1-shot RLVR (2504.20571), acceptance case g: ``pg_loss_coeff`` 0; and what is left is entropy and KL."""
    new, old, _, ref = random_logps()
    entropy = torch.rand(3, 5, generator=torch.Generator().manual_seed(3)).double()
    found = []
    for advantages in (ADVANTAGES, -7 * ADVANTAGES):
        logp = new.clone().requires_grad_()
        terms = {"ref_logp": ref, "kl": 0.1, "entropy": entropy, "entropy_coef": 0.01, "policy_coef": 0.0}
        loss, _ = policy_loss(logp, old, advantages, MASK, weights(), **terms)  # type: ignore[arg-type]
        found.append((loss.item(), torch.autograd.grad(loss, logp)[0]))
    assert found[0][0] == found[1][0] and torch.equal(found[0][1], found[1][1])
    w = weights()[:, None] * MASK
    assert found[0][0] == pytest.approx((w * (0.1 * kl_k3(new, ref) - 0.01 * entropy)).sum().item())


def test_the_policy_term_has_a_weight_and_entropy_lowers_the_loss() -> None:
    """Acceptance case f is the sign: more entropy, less loss."""
    new, old, *_ = random_logps()
    whole, half = (policy_loss(new, old, ADVANTAGES, MASK, weights(), policy_coef=c)[0].item() for c in (1.0, 0.5))
    assert half == pytest.approx(whole / 2) and whole != 0
    low, high = (
        policy_loss(new, old, ADVANTAGES, MASK, weights(), entropy=e * torch.ones(3, 5).double(), entropy_coef=0.1)[0]
        for e in (0.5, 2.0)
    )
    assert high < low < whole


def test_unbiased_kl_has_the_gradient_of_the_kl() -> None:
    """Expectation of the estimator's gradient, taken exactly over a vocabulary of four."""
    logits = torch.tensor([0.3, -1.0, 2.0, 0.1]).double().requires_grad_()
    ref = torch.tensor([1.0, 0.5, -0.2, 0.0]).double().log_softmax(0)
    logp = logits.log_softmax(0)
    (exact,) = torch.autograd.grad((logp.exp() * (logp - ref)).sum(), logits, retain_graph=True)

    def estimated(kl_unbiased: bool) -> Tensor:
        zero, mask = torch.zeros(1, 4).double(), torch.ones(1, 4)
        terms = {"ref_logp": ref[None], "kl": 1.0, "kl_unbiased": kl_unbiased}
        loss, _ = policy_loss(logp[None], None, zero, mask, logp.detach().exp()[None], **terms)  # type: ignore[arg-type]
        return torch.autograd.grad(loss, logits, retain_graph=True)[0]

    torch.testing.assert_close(estimated(True), exact)
    assert (estimated(False) - exact).abs().max() > 0.1


def test_sft_loss_golden() -> None:
    logp = torch.tensor([[-1.0, -2.0, NAN], [-3.0, NAN, NAN]])
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    assert sft_loss(logp, mask).item() == pytest.approx(2.0)
    assert sft_loss(logp, mask, torch.tensor([0.5, 2.0])).item() == pytest.approx(7.5)
    assert sft_loss(logp, torch.zeros(2, 3)).item() == 0


# -- gradients ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", ["token", "sequence", "geometric"])
@pytest.mark.parametrize("seed", range(3))
def test_gradient_is_that_of_finite_differences(ratio: str, seed: int) -> None:
    logits = torch.randn(3, 6, 7, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    ids = torch.randint(7, (3, 6), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        near, _ = token_logprobs(logits, ids, 0.7)
        shift = 0.15 * torch.randn(3, 5, generator=torch.Generator().manual_seed(seed)).double()
    terms = settings(seed, old_logp=near + shift, ratio=ratio, trajectory=TRAJECTORY)

    def loss(z: Tensor) -> Tensor:
        logp, entropy = token_logprobs(z, ids, 0.7, chunk=2)
        return policy_loss(logp, entropy=entropy, entropy_coef=0.3, **terms)[0]  # type: ignore[arg-type]

    assert torch.autograd.gradcheck(loss, (logits.requires_grad_(),))


@pytest.mark.parametrize(
    "ratio, cuts", [("token", [[0], [1], [2]]), ("geometric", [[0, 1], [2]]), ("sequence", [[2], [0, 1]])]
)
def test_micro_batches_add_up(ratio: str, cuts: list[list[int]]) -> None:
    new, *_ = random_logps(5)
    terms = settings(5, ratio=ratio, trajectory=TRAJECTORY)
    whole, parts = new.clone().requires_grad_(), new.clone().requires_grad_()
    loss, stats = policy_loss(whole, **terms)  # type: ignore[arg-type]
    loss.backward()
    total, seen = 0.0, 0.0
    for rows in cuts:
        piece = {k: v[rows] if isinstance(v, Tensor) else v for k, v in terms.items()}
        micro, micro_stats = policy_loss(parts[rows], **piece)  # type: ignore[arg-type]
        micro.backward()
        total += micro.item()
        seen += micro_stats["kl_ref"] * micro_stats["tokens"]
    assert total == pytest.approx(loss.item(), rel=1e-12)
    assert seen / 9 == pytest.approx(stats["kl_ref"], rel=1e-12)
    torch.testing.assert_close(parts.grad, whole.grad)


@pytest.mark.parametrize("ratio", ["token", "sequence", "geometric"])
@pytest.mark.parametrize("junk", [NAN, float("inf"), -float("inf")])
def test_what_is_masked_cannot_matter(ratio: str, junk: float) -> None:
    new, *_ = random_logps(1)
    terms = settings(1, advantages=ADVANTAGES[:, None].expand(3, 5), weight=weights()[:, None].expand(3, 5))
    terms |= {"ratio": ratio, "trajectory": TRAJECTORY, "entropy": torch.ones(3, 5).double(), "entropy_coef": 0.1}

    def run(fill: float) -> tuple[float, Tensor, dict[str, float]]:
        held = {
            k: torch.where(MASK.bool(), v, fill) if isinstance(v, Tensor) and v.is_floating_point() else v
            for k, v in terms.items()
        }
        logp = torch.where(MASK.bool(), new, fill).requires_grad_()
        loss, stats = policy_loss(logp, **held)  # type: ignore[arg-type]
        return loss.item(), torch.autograd.grad(loss, logp)[0], stats

    (loss, grad, stats), (clean_loss, clean_grad, clean_stats) = run(junk), run(-0.5)
    assert loss == clean_loss and stats == clean_stats
    torch.testing.assert_close(grad, clean_grad, rtol=0, atol=0)


# -- the critic's loss ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value, old, target, loss, active, slope",
    [
        (0.6, 0.5, 1.0, 0.16, False, -0.4),  # within the clip
        (0.9, 0.5, 1.0, 0.09, True, 0.0),  # has left it on the way to the target: judged at 0.7
        (0.1, 0.5, 1.0, 0.81, False, -0.9),  # has left it the wrong way: judged where it is
        (0.9, 0.5, 0.6, 0.09, False, 0.3),
    ],
)
def test_value_clip_golden(value: float, old: float, target: float, loss: float, active: bool, slope: float) -> None:
    v = torch.tensor([[value, NAN]], dtype=torch.float64, requires_grad=True)
    returns, mask = torch.tensor([[target, NAN]]).double(), torch.tensor([[1, 0]])
    got, stats = value_loss(v, returns, mask, torch.ones(1), old_values=torch.tensor([[old, NAN]]).double(), clip=0.2)
    assert got.item() == pytest.approx(loss / 2) and stats["value_clip_fraction"] == active
    assert stats["value_error"] == pytest.approx((value - target) ** 2)
    (grad,) = torch.autograd.grad(got, v)
    assert grad[0, 0].item() == pytest.approx(slope) and grad[0, 1] == 0
    free, stats = value_loss(v, returns, mask, torch.ones(1))
    assert free.item() == pytest.approx((value - target) ** 2 / 2) and stats["value_clip_fraction"] == 0


@pytest.mark.parametrize("clip", [0.0, 0.1])
@pytest.mark.parametrize("seed", range(3))
def test_value_gradient_is_that_of_finite_differences(clip: float, seed: int) -> None:
    values, returns, old, _ = random_logps(seed)
    rest = {"mask": MASK, "weight": weights(), "old_values": old, "clip": clip}
    assert torch.autograd.gradcheck(lambda v: value_loss(v, returns, **rest)[0], (values.requires_grad_(),))  # type: ignore[arg-type]


def test_value_losses_of_micro_batches_add_up() -> None:
    values, returns, old, _ = random_logps(2)
    whole, stats = value_loss(values, returns, MASK, weights(), old_values=old, clip=0.1)
    by_hand = torch.where((values - old).abs() > 0.1, (old + (values - old).clamp(-0.1, 0.1) - returns) ** 2, 0)
    by_hand = torch.maximum((values - returns) ** 2, by_hand) * MASK * weights()[:, None] / 2
    assert whole.item() == pytest.approx(by_hand.sum().item()) and 0 < stats["value_clip_fraction"] < 1
    parts = [
        value_loss(values[[n]], returns[[n]], MASK[[n]], weights()[[n]], old_values=old[[n]], clip=0.1)[0]
        for n in range(3)
    ]
    assert sum(parts).item() == pytest.approx(whole.item(), rel=1e-12)  # type: ignore[union-attr]


def test_value_loss_refuses() -> None:
    v = torch.zeros(3, 5)
    with pytest.raises(UserError, match="old_values"):
        value_loss(v, v, MASK, torch.ones(3), clip=0.2)
    with pytest.raises(UserError, match="returns"):
        value_loss(v, v[:2], MASK, torch.ones(3))


# -- token log-probabilities --------------------------------------------------------------------------


def test_token_logprobs_golden() -> None:
    logits = torch.log(torch.tensor([[[0.5, 0.25, 0.25], [0.8, 0.1, 0.1], [1.0, 1.0, 1.0]]]))
    logp, entropy = token_logprobs(logits, torch.tensor([[2, 0, 1]]))
    assert entropy is not None
    torch.testing.assert_close(logp.exp(), torch.tensor([[0.5, 0.1]]))
    nats = [1.5 * math.log(2), -(0.8 * math.log(0.8) + 0.2 * math.log(0.1))]
    torch.testing.assert_close(entropy, torch.tensor([nats]))
    hot, none = token_logprobs(logits, torch.tensor([[2, 0, 1]]), temperature=0.5, entropy=False)
    torch.testing.assert_close(hot.exp(), torch.tensor([[4 / 6, 0.01 / 0.66]]))
    assert none is None


@pytest.mark.parametrize("chunk", [1, 3, 4, 100])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_chunks_change_nothing(chunk: int, dtype: torch.dtype) -> None:
    logits = torch.randn(2, 9, 11, generator=torch.Generator().manual_seed(0)).to(dtype)
    ids = torch.randint(11, (2, 9), generator=torch.Generator().manual_seed(1))
    grads = []
    for size in (chunk, None):
        z = logits.clone().requires_grad_()
        logp, entropy = token_logprobs(z, ids, 0.8, chunk=size)
        assert entropy is not None and logp.dtype == entropy.dtype == torch.float32 and logp.shape == (2, 8)
        plain = torch.log_softmax(logits.float() / 0.8, -1)[:, :-1]
        torch.testing.assert_close(logp, plain.gather(-1, ids[:, 1:, None])[..., 0])
        torch.testing.assert_close(entropy, torch.distributions.Categorical(logits=plain).entropy())
        grads.append(torch.autograd.grad((logp * 2 + entropy).sum(), z)[0])
    torch.testing.assert_close(grads[0], grads[1])
    assert grads[0].dtype == dtype and not grads[0][:, -1].any()


def test_entropy_under_a_forbidden_token() -> None:
    logits = torch.tensor([[[0.0, 0.0, -float("inf")], [0.0, 0.0, 0.0]]], requires_grad=True)
    _, entropy = token_logprobs(logits, torch.tensor([[0, 1]]))
    assert entropy is not None and entropy.item() == pytest.approx(math.log(2))
    assert torch.autograd.grad(entropy.sum(), logits)[0].isfinite().all()


# -- what is refused ----------------------------------------------------------------------------------


def test_refusals() -> None:
    logp, mask = torch.zeros(2, 3), torch.ones(2, 3)
    ok = (logp, None, torch.ones(2), mask, torch.ones(2))
    for kw, words in (
        ({"kl": 0.1}, "ref_logp"),
        ({"tis": 2.0}, "behaviour_logp"),
        ({"entropy_coef": 0.1}, "entropy"),
        ({"ratio": "geometric"}, "trajectory"),
        ({"ratio": "mean"}, "ratio='mean'"),
        ({"dual_clip": 0.5}, "dual_clip"),
        ({"kl": 0.1, "ref_logp": torch.zeros(2, 4)}, r"ref_logp has shape \(2, 4\)"),
    ):
        with pytest.raises(UserError, match=words):
            policy_loss(*ok, **kw)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="advantages"):
        policy_loss(logp, None, torch.ones(3), mask, torch.ones(2))
    with pytest.raises(UserError, match="mask"):
        sft_loss(logp, torch.ones(2, 4))
    with pytest.raises(UserError, match=r"\[N,T,V\]"):
        token_logprobs(torch.zeros(2, 3, 5), torch.zeros(2, 4, dtype=torch.long))
    with pytest.raises(UserError, match="temperature"):
        token_logprobs(torch.zeros(2, 3, 5), torch.zeros(2, 3, dtype=torch.long), 0.0)


def test_no_tokens_is_no_loss() -> None:
    loss, stats = policy_loss(
        torch.zeros(2, 3, requires_grad=True), None, torch.ones(2), torch.zeros(2, 3), torch.ones(2)
    )
    loss.backward()
    assert loss.item() == 0 and stats["tokens"] == 0 and stats["clip_fraction"] == 0
