"""The GRPO agent: its loss by hand, learning, the hooks that it calls, exact resume, and what it refuses."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from reasongym import cli
from reasongym.agents import grpo
from reasongym.algos.advantages import ADVANTAGES, informative
from reasongym.core import Batch, Completion, HostError, Problem, Segment, Trajectory, UserError, Verdict
from reasongym.evaluate import Evaluation, evaluate
from reasongym.metrics import batch_means
from reasongym.policies.hf import HF
from reasongym.policies.scripted import Scripted
from reasongym.report.log import read_log
from reasongym.rollout import pack
from reasongym.shaping import Truth
from reasongym.tasks.register import Register
from reasongym.tokenizer import ByteTokenizer
from tests.agents.refused import OPTIMIZER

TIMES = ("sample_s", "step_s")


class Parity(Register):
    """Right is a text of an odd number of characters: what a model without any training gets half of the time."""

    def verify(self, problem: Problem, text: str) -> Verdict:
        return Verdict(float(len(text) % 2))


SHORT: dict[str, Any] = {"task": Parity(6, 8), "budget": 16}
WINDOWS: dict[str, Any] = {"task": Parity(6, 8), "chunk": 12, "carry": 6, "head": 0, "max_chunks": 3}


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small model with random weights: its thoughts are random bytes."""
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = str(tmp_path_factory.mktemp("blank"))
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = LlamaForCausalLM(LlamaConfig(vocab_size=258, eos_token_id=256, pad_token_id=257, **sizes))
    made.save_pretrained(folder)
    ByteTokenizer().save(folder)
    return folder


@pytest.fixture
def model(blank: str) -> Any:
    return HF(blank).model


@pytest.fixture
def arguments(blank: str, tmp_path: Path) -> Callable[..., grpo.Args]:
    """Arguments of a run of a second; ``under`` is its folder."""

    def made(under: Path = tmp_path, **settings: Any) -> grpo.Args:
        given = {"env": "LongCoT-v0", "env_settings": SHORT, "model": blank, "steps": 2, "prompts": 4, "group": 4}
        given |= {"lr": 1e-3, "warmup": 0, "deterministic": True, "out": str(under / "run")}
        return grpo.Args(**{**given, **settings})

    return made


def metrics(out: str | Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k not in TIMES} for line in read_log(Path(out) / "metrics.jsonl")]


def weights(folder: str | Path) -> dict[str, torch.Tensor]:
    return load_file(Path(folder) / "model.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


# --- the loss, by hand


def on_policy(model: Any, chunks: list[tuple[list[int], list[int]]], score: float) -> Trajectory:
    """A trajectory of these (prompt, sampled) windows, whose log-probs are the model's own: every ratio is 1."""
    segments = []
    for given, sampled in chunks:
        ids = torch.tensor([[*given, *sampled]])
        with torch.no_grad():
            logp = model(input_ids=ids).logits.log_softmax(-1)[0, :-1].gather(1, ids[0, 1:, None])[:, 0]
        new = [float(x) for x in logp[len(given) - 1 :]]
        segments.append(
            Segment((*given, *sampled), (0,) * len(given) + (1,) * len(sampled), (*[0.0] * len(given), *new))
        )
    return Trajectory(Problem.of("?"), segments, "", Verdict(score), False)


@pytest.fixture
def case(model: Any) -> Batch:
    """Trace A: chunks of 3 and 2 tokens, advantage 2; trace B: one chunk of 4, advantage -1."""
    a = on_policy(model, [([94, 49, 50], [51, 52, 53]), ([94, 49, 50, 53], [54, 55])], 1.0)
    return [[a, on_policy(model, [([94, 51], [50, 49, 48, 47])], 0.0)]]


@pytest.mark.parametrize(
    ("loss_norm", "objective", "rows"),
    [
        ("trajectory", 0.5, [2 * 3 / 10, 2 * 2 / 10, -1 * 4 / 8]),  # times 3 rows: 1.8, 1.2, -1.5
        ("token", 6 / 9, [6 / 9, 4 / 9, -4 / 9]),
        ("constant", 6 / 16, [6 / 16, 4 / 16, -4 / 16]),
    ],
)
@pytest.mark.parametrize("tis", [None, 2.0])
@pytest.mark.parametrize("tokens", [1, 14, 1 << 15])
def test_the_loss_of_two_traces_in_three_rows(
    model: Any,
    case: Batch,
    loss_norm: Any,
    objective: float,
    rows: list[float],
    tis: Any,
    tokens: int,
    arguments: Callable[..., grpo.Args],
) -> None:
    args = arguments(loss_norm=loss_norm, tis=tis)
    packed = pack(case, [[2.0, -1.0]], loss_norm=loss_norm, constant=8, tokens=tokens)
    assert len(packed) == 1 and len(packed[0]) == {1: 3, 14: 2, 1 << 15: 1}[tokens]
    losses = [grpo.micro_loss(model, micro, args)[0].item() for micro in packed[0]]
    assert sum(losses) == pytest.approx(-objective, abs=1e-6)
    if tokens == 1:  # a row each
        assert sorted(-loss for loss in losses) == pytest.approx(sorted(rows), abs=1e-6)
    figures = grpo.update(model, torch.optim.SGD(model.parameters(), lr=0.0), packed, args)
    assert figures["loss"] == pytest.approx(-objective, abs=1e-6)
    assert (figures["tokens"], figures["ratio_mean"]) == (9, pytest.approx(1.0, abs=1e-6))
    assert figures["drift"] == pytest.approx(0.0, abs=1e-5)
    assert figures["clip_fraction"] == 0


@pytest.mark.parametrize("ratio", ["token", "sequence", "geometric"])
def test_micro_batches_add_up_to_the_same_step(
    case: Batch, blank: str, ratio: Any, arguments: Callable[..., grpo.Args]
) -> None:
    args = arguments(ratio=ratio, max_grad_norm=1e9)
    moved = []
    for tokens in (1, 1 << 15):
        model = HF(blank).model
        before = torch.cat([p.detach().flatten().clone() for p in model.parameters()])
        packed = pack(case, [[2.0, -1.0]], tokens=tokens, whole=ratio != "token")
        assert len(packed[0]) == {1: 3 if ratio == "token" else 2, 1 << 15: 1}[tokens]
        figures = grpo.update(model, torch.optim.SGD(model.parameters(), lr=1.0), packed, args)
        moved.append(torch.cat([p.detach().flatten() for p in model.parameters()]) - before)
        assert figures["grad_norm"] == pytest.approx(moved[-1].norm().item(), rel=1e-4)
    assert moved[0].norm() > 0.1
    torch.testing.assert_close(moved[0], moved[1], atol=1e-6, rtol=1e-4)


def test_the_gradient_is_that_of_the_objective(model: Any, case: Batch, arguments: Callable[..., grpo.Args]) -> None:
    """Of (2 mean(logp A) - mean(logp B)) / 2, by plain autograd without any of our own code."""
    total = torch.zeros(())
    for trajectory, factor in zip(case[0], (2 / (2 * 5), -1 / (2 * 4)), strict=True):
        for segment in trajectory.segments:
            ids = torch.tensor([segment.ids])
            logp = model(input_ids=ids).logits.log_softmax(-1)[0, :-1].gather(1, ids[0, 1:, None])[:, 0]
            total = total + factor * (logp * torch.tensor(segment.mask[1:])).sum()
    (-total).backward()
    wanted = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    (rows,) = pack(case, [[2.0, -1.0]])[0]
    grpo.micro_loss(model, rows, arguments())[0].backward()
    for parameter, gradient in zip(model.parameters(), wanted, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, atol=1e-6, rtol=1e-4)


# --- every setting, on one recorded batch


@pytest.fixture(scope="module")
def recorded(blank: str) -> Batch:
    """Four problems with four attempts each, of three windows each."""
    envs = cli.make_envs("Delethink-v0", 16, WINDOWS)
    rng = np.random.default_rng(3)
    problems = [envs[0].unwrapped.task.sample(rng) for _ in range(4)]  # type: ignore[attr-defined]
    return evaluate(HF(blank), envs, problems, k=4, deterministic=True).batch


@pytest.mark.parametrize("ratio", ["token", "sequence", "geometric"])
@pytest.mark.parametrize("advantage", list(ADVANTAGES))
def test_every_advantage_and_ratio_moves_the_weights(
    model: Any, recorded: Batch, advantage: Any, ratio: Any, arguments: Callable[..., grpo.Args]
) -> None:
    args = arguments(advantage=advantage, ratio=ratio, updates=2)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    rewards = Truth()(recorded)
    assert 0 < rewards.mean() < 1 and sum(len(t.segments) for g in recorded for t in g) > 32
    packed = pack(recorded, ADVANTAGES[advantage](rewards), steps=2, tokens=256, whole=ratio != "token")
    figures = grpo.update(model, torch.optim.AdamW(model.parameters(), lr=1e-3), packed, args)
    assert all(math.isfinite(x) for x in figures.values()) and figures["grad_norm"] > 0
    assert not same(before, model.state_dict())
    assert figures["drift"] < 1e-4  # first update: the trainer's log-probs are the engine's
    assert figures["ratio_max"] > 1.001  # second update: the weights have moved


def test_tis_with_several_updates_keeps_the_policy_of_before_the_first(
    model: Any, recorded: Batch, arguments: Callable[..., grpo.Args]
) -> None:
    """With behaviour log-probs 1 nat too low, the importance weight e is capped, and ratios begin at 1, not at e."""
    off = [
        [
            replace(t, segments=[replace(s, logprobs=tuple(x - m for x, m in zip(s.logprobs, s.mask, strict=True)))
                                 for s in t.segments])
            for t in group
        ]
        for group in recorded
    ]  # fmt: skip
    advantages = np.ones((4, 4))
    frozen = torch.optim.SGD(model.parameters(), lr=0.0)
    packed = pack(off, advantages, steps=2)
    capped = grpo.update(model, frozen, packed, arguments(tis=2.0, updates=2))
    assert capped["loss"] == pytest.approx(-2.0, abs=1e-4) and capped["ratio_max"] == pytest.approx(1.0, abs=1e-4)
    assert capped["drift"] == pytest.approx(1.0, abs=1e-4)
    plain = grpo.update(model, frozen, packed, arguments(updates=2, clip_high=0.28))
    assert plain["loss"] == pytest.approx(-1.28, abs=1e-4) and plain["clip_fraction"] == 1
    moving = torch.optim.SGD(model.parameters(), lr=1e-2)
    assert grpo.update(model, moving, packed, arguments(tis=2.0, updates=2))["ratio_max"] > 1.001


def test_the_kl_to_the_first_model_holds_the_policy_and_entropy_spreads_it(
    recorded: Batch, blank: str, arguments: Callable[..., grpo.Args]
) -> None:
    reference = HF(blank).model.eval()
    zeros = np.zeros((4, 4))
    found = {}
    for name, settings in {"kl": {"kl": 1.0}, "entropy": {"entropy": 1.0}}.items():
        model = HF(blank).model
        with torch.no_grad():  # begin away from the reference, and from the highest entropy that there is
            generator = torch.Generator().manual_seed(0)
            for p in model.parameters():
                p += 0.05 * torch.randn(p.shape, generator=generator)
            model.lm_head.weight *= 5
        optimizer, args = torch.optim.AdamW(model.parameters(), lr=1e-3), arguments(**settings)
        key = "kl_ref" if name == "kl" else "entropy"
        found[name] = [
            grpo.update(model, optimizer, pack(recorded, zeros), args, reference if name == "kl" else None)[key]
            for _ in range(6)
        ]
    assert found["kl"][-1] < 0.9 * found["kl"][0] and min(found["kl"]) >= 0
    assert found["entropy"][-1] > 1.05 * found["entropy"][0]
    assert all(p.grad is None for p in reference.parameters())


@pytest.mark.parametrize("terms", [{"entropy": 0.1}, {"kl": 0.1}, {"kl": 0.1, "entropy": 0.1}])
def test_without_the_policy_term_the_rewards_move_nothing(
    recorded: Batch, blank: str, terms: dict[str, Any], arguments: Callable[..., grpo.Args]
) -> None:
    """The ablations of 1-shot RLVR (2504.20571, Table 5; ``pg_loss_coeff``): entropy and KL alone, on every attempt."""
    args, reference = arguments(policy_coef=0.0, **terms), HF(blank).model.eval()
    ends = []
    for sign in (1.0, -1.0):
        model = HF(blank).model
        with torch.no_grad():
            model.lm_head.weight *= 3  # away from the reference and from the highest entropy
        start = {k: v.clone() for k, v in model.state_dict().items()}
        packed = pack(recorded, sign * ADVANTAGES["grpo"](Truth()(recorded)), silent=True)
        figures = grpo.update(model, torch.optim.SGD(model.parameters(), lr=1.0), packed, args, reference)
        assert figures["grad_norm"] > 0 and not same(start, model.state_dict())
        ends.append(model.state_dict())
    assert same(*ends)


def test_mgpo_weighs_each_group_by_its_accuracy(
    recorded: Batch, blank: str, tmp_path: Path, arguments: Callable[..., grpo.Args]
) -> None:
    """The agent's step is that of the advantages times the weight; 0 is plain GRPO, to the last bit."""
    runs = {}
    for name, strength in {"grpo": {}, "off": {"mgpo_lambda": 0.0}, "on": {"mgpo_lambda": 8.0}}.items():
        grpo.main(arguments(tmp_path / name, save_trajectories=True, prompts=8, **strength))
        runs[name] = tmp_path / name / "run"
    assert same(*(weights(runs[name] / "step-000002") for name in ("grpo", "off")))
    assert metrics(runs["grpo"]) == metrics(runs["off"])
    assert not same(*(weights(runs[name] / "step-000002") for name in ("grpo", "on")))
    lines = [(run / "trajectories" / "step-000000.jsonl").read_text().splitlines() for run in runs.values()]
    first = [[json.loads(line)["verdict"]["score"] for line in these] for these in lines]
    assert first[0] == first[2]  # the same attempts in the first step: what differs is the weight
    rates = np.array(first[0]).reshape(8, 4).mean(axis=1)
    assert len(set(rates) - {0.0, 1.0}) > 1, "these attempts must be of more than one difficulty"
    norms = {name: metrics(run)[0]["grad_norm"] for name, run in runs.items()}
    assert norms["on"] < norms["grpo"]


def test_batches_without_a_gradient_do_no_harm(
    model: Any, recorded: Batch, blank: str, arguments: Callable[..., grpo.Args]
) -> None:
    before = {k: v.clone() for k, v in model.state_dict().items()}
    args = arguments(updates=3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    flat = pack(recorded, np.zeros((4, 4)), steps=3, silent=False)
    lost = [[replace(t, verdict=Verdict(0.0, valid=False)) for t in group] for group in recorded]
    rewards = Truth()(lost)
    none = pack(lost, ADVANTAGES["grpo"](rewards), steps=3)
    for packed in (flat, none, pack(recorded, np.zeros((4, 4)))):
        figures = grpo.update(model, optimizer, packed, args)
        assert figures["loss"] == 0 and figures["grad_norm"] == 0
        model.zero_grad()
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert not none
    fresh = HF(blank).model
    grpo.update(fresh, torch.optim.AdamW(fresh.parameters(), lr=1e-2, weight_decay=0.1), flat, args)
    assert same(before, fresh.state_dict())
    figures = batch_means(lost, rewards)
    assert figures["invalid"] == 1 and not informative(rewards).any() and math.isnan(figures["reward"])


# --- whole runs


def test_it_learns_from_random_weights(tmp_path: Path, blank: str, arguments: Callable[..., grpo.Args]) -> None:
    """What odd texts are, from nothing but their reward: the 95 % interval afterwards lies above the one before."""
    settings = {"task": Parity(6, 8), "budget": 6}
    grpo.main(arguments(env_settings=settings, steps=25, prompts=8, group=8, updates=2, lr=1e-2, loss_norm="token"))
    before, after = (accuracy(name, settings, 64, 4) for name in (blank, str(tmp_path / "run" / "step-000025")))
    assert after.ci95[0] > before.ci95[1] + 0.1, (before.accuracy, after.accuracy)


@pytest.mark.slow
def test_the_tiny_model_learns(tmp_path: Path, arguments: Callable[..., grpo.Args], capsys: Any) -> None:
    """Twelve steps on thoughts of 24 to 30 digits."""
    settings = {"low": 24, "high": 30, "budget": 42}
    more = {"steps": 12, "prompts": 8, "group": 8, "updates": 4, "loss_norm": "token", "lr": 3e-4}
    grpo.main(arguments(model="tiny", env_settings=settings, **more))
    end = tmp_path / "run" / "step-000012"
    assert capsys.readouterr().out == f"model: {end}\n"
    before, after = (accuracy(name, settings, 128, 2) for name in ("tiny", str(end)))
    assert after.ci95[0] > before.ci95[1], (before.accuracy, after.accuracy)
    assert len(metrics(tmp_path / "run")) == 12


def accuracy(model: str, settings: dict[str, Any], problems: int, k: int) -> Evaluation:
    envs = cli.make_envs("LongCoT-v0", 128, settings)
    rng = np.random.default_rng(99)
    posed = [envs[0].unwrapped.task.sample(rng) for _ in range(problems)]  # type: ignore[attr-defined]
    return evaluate(HF(model, slots=128), envs, posed, k=k, deterministic=True)


@dataclass
class Stateful:
    """Curriculum and shaper in one, that writes down how it is called and holds a state worth restoring."""

    log: list[Any] = field(default_factory=list)
    seen: float = 0.0
    name: str = "part"
    option: dict[str, Any] = field(default_factory=dict)

    def problems(self, task: Any, rng: np.random.Generator, n: int) -> list[Problem]:
        self.log.append(("problems", n))
        return [task.sample(rng, 6 + int(self.seen) % 3) for _ in range(n)]

    def __call__(self, batch: Batch) -> Any:
        self.log.append(("shape", len(batch)))
        return Truth()(batch) - 0.01 * (self.seen % 1)

    def starts(self, problems: list[Problem], group: int) -> Iterator[dict[str, Any]]:
        self.log.append(("starts", len(problems), group))
        return iter([self.option] * len(problems) * group)

    def probe(self, step: int) -> tuple[list[Problem], int] | None:
        self.log.append(("probe", step))
        return ([Register().sample(np.random.default_rng(step), 6)] * 3, 2) if step % 2 else None

    def observe(self, batch: Batch) -> None:
        self.log.append(("observe", [len(group) for group in batch]))
        self.seen += 0.25 * sum(t.verdict.score for group in batch for t in group)

    def update(self, batch: Batch) -> None:
        self.log.append(("update", len(batch)))
        self.seen += sum(t.verdict.score for group in batch for t in group)

    def figures(self) -> dict[str, float]:
        self.log.append(("figures",))
        return {"seen": self.seen}

    def state_dict(self) -> dict[str, float]:
        return {"seen": self.seen}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.log.append(("load", state["seen"]))
        self.seen = state["seen"]


def test_curriculum_and_shaper_are_called_in_order_and_start_episodes_together(
    tmp_path: Path, arguments: Callable[..., grpo.Args]
) -> None:
    forced = Completion("1", (49,), (-0.5,), "length")
    curriculum = Stateful(option={"budget": 15})
    shaper = Stateful(option={"response": forced})
    args = arguments(curriculum=curriculum, shaper=shaper, save_trajectories=True)
    grpo.main(args)
    assert " ".join(call[0] for call in curriculum.log) == (
        "problems starts probe update figures problems starts probe observe update figures"
    )
    assert " ".join(call[0] for call in shaper.log) == (
        "starts probe shape update figures starts probe observe shape update figures"
    )
    assert ("observe", [2, 2, 2]) in curriculum.log and ("starts", 4, 4) in shaper.log
    lines = (tmp_path / "run" / "trajectories" / "step-000001.jsonl").read_text().splitlines()
    told = [json.loads(line) for line in lines]
    assert len(told) == 16
    for t in told:  # the forced token is trained on, and the budget is the curriculum's
        assert t["text"][0] == "1" and t["length"] <= 15
        (segment,) = t["segments"]
        assert segment["ids"][segment["mask"].index(1)] == 49
    assert (tmp_path / "run" / "args.json").is_file()


def test_probes_and_steps_have_random_streams_of_their_own(arguments: Callable[..., grpo.Args]) -> None:
    keys = []

    class Keys(Scripted):
        def submit(self, request: Any) -> int:
            keys.append(request.key)
            return super().submit(request)

    args = arguments(dynamic=2)
    envs = cli.make_envs(args.env, 4, SHORT)
    for step in range(4):
        grpo.collect(args, Keys("7", "bytes"), envs, Stateful(), Stateful(), step)  # type: ignore[arg-type]
    assert len(set(keys)) == len(keys) == 4 * 3 * 16 + 2 * 3 * 2 * 6  # two of the steps probe, in each round
    assert {key[0] for key in keys} >= {grpo.PROBES + 2, grpo.PROBES + 3}  # as without further rounds


def odd_ones_differ(request: Any) -> str:
    """A right answer to even problems; to odd ones only by even attempts: half of the groups are flat."""
    answer = ANSWERS[request.prompt]
    return f"={answer}" if int(answer) % 2 == 0 or request.key[2] % 2 == 0 else "=x"


ANSWERS: dict[str, str] = {}


class Known(Register):
    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        problem = super().sample(rng, level)
        ANSWERS[problem.prompt] = str(problem.answer)
        return problem


@pytest.mark.parametrize("dynamic", [0, 1, 6])
def test_dynamic_sampling_replaces_flat_groups(dynamic: int, arguments: Callable[..., grpo.Args]) -> None:
    args = arguments(dynamic=dynamic, prompts=8)
    envs = cli.make_envs("LongCoT-v0", 8, {"task": Known(6, 8)})
    policy: Any = Scripted(odd_ones_differ, "bytes")
    uniform = Stateful()
    batch, tried = grpo.collect(args, policy, envs, uniform, Truth(), 0)
    flat = [len({t.verdict.score for t in group}) == 1 for group in tried]
    asked = [call[1] for call in uniform.log if call[0] == "problems"]
    assert asked[0] == 8 and sum(asked) == len(tried) and 0 < sum(flat[:8]) < 8
    if dynamic == 0:
        assert batch == tried and len(batch) == 8
        return
    assert batch == [group for group, is_flat in zip(tried, flat, strict=True) if not is_flat]
    assert asked[1] == sum(flat[:8])  # only what is missing is asked for
    assert len(batch) == 8 if dynamic == 6 else len(asked) == 2
    assert len({group[0].problem.id for group in tried}) == len(tried)


def test_dynamic_sampling_with_nothing_but_flat_groups_goes_on(arguments: Callable[..., grpo.Args]) -> None:
    args = arguments(dynamic=2)
    envs = cli.make_envs("LongCoT-v0", 8, SHORT)
    policy: Any = Scripted("=x", "bytes")
    batch, tried = grpo.collect(args, policy, envs, Stateful(), Truth(), 0)
    assert len(batch) == 4 and len(tried) == 12


def test_a_curriculum_sees_the_groups_that_dynamic_sampling_drops(arguments: Callable[..., grpo.Args]) -> None:
    """Else one that moves on when all is right would never see that it is."""
    curriculum = Stateful()
    grpo.main(arguments(curriculum=curriculum, dynamic=3, steps=1, prompts=8, group=2))
    asked = sum(call[1] for call in curriculum.log if call[0] == "problems")
    assert asked > 8 and ("update", asked) in curriculum.log


class Failing(Parity):
    """A host that fails on the problems whose answer is odd."""

    def verify(self, problem: Problem, text: str) -> Verdict:
        if int(problem.answer) % 2:
            raise HostError("disk full")
        return super().verify(problem, text)


class Dead(Register):
    def verify(self, problem: Problem, text: str) -> Verdict:
        raise HostError("disk full")


def test_invalid_trajectories_are_counted_and_left_out(
    tmp_path: Path, blank: str, arguments: Callable[..., grpo.Args]
) -> None:
    half, dead = tmp_path / "half", tmp_path / "dead"
    grpo.main(arguments(half, env_settings={"task": Failing(6, 8), "budget": 16}, prompts=8, save_trajectories=True))
    told = [json.loads(x) for x in (half / "run" / "trajectories" / "step-000000.jsonl").read_text().splitlines()]
    valid = [t for t in told if t["verdict"]["valid"]]
    line = metrics(half / "run")[0]
    assert 0 < line["invalid"] < 1 and line["invalid"] == 1 - len(valid) / len(told)
    assert line["score"] == pytest.approx(np.mean([t["verdict"]["score"] for t in valid]))
    groups = [valid[i : i + 4] for i in range(0, len(valid), 4)]  # a problem fails for all its attempts or for none
    spread = [g for g in groups if len({t["verdict"]["score"] for t in g}) > 1]
    assert spread and line["tokens"] == sum(t["length"] for g in spread for t in g)
    grpo.main(arguments(dead, env_settings={"task": Dead(6, 8), "budget": 16}, weight_decay=0.1))
    assert [line["invalid"] for line in metrics(dead / "run")] == [1.0, 1.0]
    assert same(weights(dead / "run" / "step-000002"), HF(blank).model.state_dict())


@pytest.mark.parametrize(("settings", "key"), [({"kl": 0.1}, "kl_ref"), ({"entropy": 0.01}, "entropy"), ({}, "")])
def test_flat_groups_count_where_the_loss_has_another_term(
    tmp_path: Path, settings: dict[str, float], key: str, arguments: Callable[..., grpo.Args]
) -> None:
    grpo.main(arguments(save_trajectories=True, loss_norm="constant", prompts=8, group=2, **settings))
    first, second = metrics(tmp_path / "run")
    told = (tmp_path / "run" / "trajectories" / "step-000000.jsonl").read_text().splitlines()
    sampled = sum(json.loads(t)["length"] for t in told)
    assert first["flat_groups"] > 0
    assert first["tokens"] == sampled if key else first["tokens"] < sampled
    if key == "kl_ref":  # to the model that the run began with, which is not the one of the second step
        assert first[key] == pytest.approx(0, abs=1e-6) and second[key] > 1e-5


def test_ratios_over_whole_trajectories_do_not_depend_on_micro_batches(
    tmp_path: Path, arguments: Callable[..., grpo.Args]
) -> None:
    told = []
    for tokens in (1, 1 << 15):
        grpo.main(
            arguments(
                tmp_path / str(tokens), env="Delethink-v0", env_settings=WINDOWS, steps=1, prompts=8, group=8,
                updates=3, lr=1e-2, ratio="geometric", clip_low=1e-3, clip_high=1e-3, micro_tokens=tokens,
            )
        )  # fmt: skip
        told += metrics(tmp_path / str(tokens) / "run")
    assert told[0]["resets"] > 0 and told[0]["ratio_max"] > 1.001 and 0 < told[0]["clip_fraction"] < 1
    for key in ("loss", "ratio_max", "ratio_mean", "clip_fraction", "grad_norm"):
        assert told[0][key] == pytest.approx(told[1][key], rel=1e-3, abs=1e-5), key


def test_the_engine_follows_the_weights_that_learn(tmp_path: Path, arguments: Callable[..., grpo.Args]) -> None:
    grpo.main(arguments(dtype="bfloat16", lr=1e-2, steps=3, prompts=8))
    assert max(line["drift"] for line in metrics(tmp_path / "run")) < 0.1


def test_bfloat16_runs_learn_in_float32(tmp_path: Path, blank: str, arguments: Callable[..., grpo.Args]) -> None:
    """A step of 1e-6 on weights of 1e-2 is lost if the weights themselves are bfloat16."""
    grpo.main(arguments(dtype="bfloat16", lr=1e-6, steps=1, prompts=8))
    new, old = weights(tmp_path / "run" / "step-000001"), HF(blank).model.state_dict()
    assert {x.dtype for x in new.values()} == {torch.float32}
    moved = sum(int((new[k] != old[k]).sum()) for k in old) / sum(x.numel() for x in old.values())
    assert moved > 0.5
    (line,) = metrics(tmp_path / "run")
    assert 0 < line["drift"] < 0.05


# --- resume


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, blank: str) -> grpo.Args:
    args = resumable(tmp_path_factory.mktemp("whole") / "run", model=blank)
    grpo.main(args)
    return args


def resumable(out: Path, **settings: Any) -> grpo.Args:
    return grpo.Args(
        env="Delethink-v0", env_settings=WINDOWS, steps=6, prompts=4,
        group=4, updates=2, lr=1e-3, warmup=2, floor=0.1, weight_decay=0.01, deterministic=True, out=str(out),
        kl=0.01, save_every=2, keep=9, curriculum=Stateful(), shaper=Stateful(), **settings,
    )  # fmt: skip


@pytest.mark.parametrize("left", [0, 2, 4, 6])
def test_resume_is_exact(uninterrupted: grpo.Args, tmp_path: Path, left: int) -> None:
    """From a run killed after checkpoint ``left``, in the middle of writing the next one and of a line of the log."""
    out = tmp_path / "run"
    shutil.copytree(uninterrupted.out, out)
    for step in range(left + 2, 7, 2):
        if step == left + 2:
            shutil.copytree(out / f"step-{step:06d}", out / f".step-{step:06d}")
            (out / f".step-{step:06d}" / "trainer.pt").unlink()
        shutil.rmtree(out / f"step-{step:06d}")
    log = out / "metrics.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    if left < 6:
        log.write_text("".join(lines[: left + 1]) + lines[left + 1][:40])
    args = resumable(out, resume=True, model=uninterrupted.model)
    grpo.main(args)
    assert metrics(out) == metrics(uninterrupted.out) and len(metrics(out)) == 6
    assert same(weights(out / "step-000006"), weights(Path(uninterrupted.out) / "step-000006"))
    assert [path.name for path in sorted(out.glob("*step-*"))] == ["step-000002", "step-000004", "step-000006"]
    loaded: Any = args.shaper
    state = torch.load(Path(uninterrupted.out) / f"step-{left:06d}" / "trainer.pt") if left else {}
    assert [c for c in loaded.log if c[0] == "load"] == [("load", state["shaper"]["seen"]) for _ in range(bool(left))]


def test_the_numbers_of_that_run_move(uninterrupted: grpo.Args) -> None:
    """So that the test above cannot pass on constants."""
    lines = metrics(uninterrupted.out)
    for key in ("reward", "length", "loss", "grad_norm", "lr", "seen", "kl_ref"):
        assert len({line[key] for line in lines}) > 2, key
    assert max(line["resets"] for line in lines) > 0.5
    assert [line["lr"] for line in lines[:3]] == pytest.approx([5e-4, 1e-3, 1e-3])  # two steps up, then the cosine
    assert 1e-4 < lines[5]["lr"] < lines[4]["lr"] < 1e-3


# --- what is refused


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"top_p": 0.9}, "--top-p"),
        ({"top_k": 5}, "--top-k"),
        ({"top_p": 0.0, "tis": 2.0}, "--top-p"),
        ({"top_k": -1, "tis": 2.0}, "--top-k"),
        ({"temperature": 0.0}, "--temperature"),
        ({"budget": -1}, "--budget"),
        ({"steps": 0}, "--steps"),
        ({"group": 0}, "--group"),
        ({"dynamic": -1}, "--dynamic"),
        ({"seed": -1}, "--seed"),
        ({"policy_coef": -1.0}, "--policy-coef"),
        ({"mgpo_lambda": -1.0}, "--mgpo-lambda"),
        ({"dual_clip": 1.0}, "--dual-clip"),
        ({"keep": 0}, "--keep"),
        *OPTIMIZER,
        ({"entropy": float("nan")}, "--entropy"),
        ({"lr": float("nan")}, "--lr"),
        ({"device": "cuda:99" if torch.cuda.is_available() else "cuda"}, "cuda"),
        ({"model": "/nowhere/at-all"}, "/nowhere/at-all"),
        ({"env_settings": {"nonsense": 1}}, "nonsense"),
        ({"shaper": "nonsense"}, "nonsense"),
        ({"curriculum": "nonsense"}, "nonsense"),
    ],
)
def test_nonsense_is_refused_before_anything_is_written(
    tmp_path: Path, settings: dict[str, Any], named: str, arguments: Callable[..., grpo.Args]
) -> None:
    with pytest.raises(UserError, match=named):
        grpo.main(arguments(**settings))
    assert not (tmp_path / "run").exists()


def test_top_p_runs_with_truncated_importance_weights(tmp_path: Path, arguments: Callable[..., grpo.Args]) -> None:
    grpo.main(arguments(top_p=0.9, top_k=5, tis=2.0, updates=2, steps=1))
    (line,) = metrics(tmp_path / "run")
    assert math.isfinite(line["loss"]) and line["grad_norm"] > 0
