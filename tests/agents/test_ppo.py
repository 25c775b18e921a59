"""The PPO agent: credit across windows by brute force, its update, learning, hooks, exact resume, what it refuses."""

from __future__ import annotations

import copy
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from reasongym import cli
from reasongym.agents import ppo
from reasongym.core import Batch, Completion, HostError, Problem, Segment, Trajectory, UserError, Verdict
from reasongym.evaluate import evaluate
from reasongym.policies.hf import HF
from reasongym.report.log import read_log
from reasongym.shaping import Truth
from reasongym.tasks.register import Register
from reasongym.tokenizer import ByteTokenizer
from tests.agents.refused import OPTIMIZER

ROOT = Path(__file__).resolve().parents[2]
TIMES = ("sample_s", "step_s")


class Parity(Register):
    """Right is a text of an odd number of characters: what a model without any training gets half of the time."""

    def verify(self, problem: Problem, text: str) -> Verdict:
        return Verdict(float(len(text) % 2))


class Failing(Parity):
    """A host that fails on the problems whose answer is odd."""

    def verify(self, problem: Problem, text: str) -> Verdict:
        if int(problem.answer) % 2:
            raise HostError("disk full")
        return super().verify(problem, text)


class Dead(Register):
    def verify(self, problem: Problem, text: str) -> Verdict:
        raise HostError("disk full")


SHORT: dict[str, Any] = {"task": Parity(6, 8), "budget": 16}
WINDOWS: dict[str, Any] = {"task": Parity(6, 8), "chunk": 12, "carry": 6, "head": 0, "max_chunks": 3}


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small model with random weights: its thoughts are random bytes."""
    folder = str(tmp_path_factory.mktemp("blank"))
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = LlamaForCausalLM(LlamaConfig(vocab_size=258, eos_token_id=256, pad_token_id=257, **sizes))
    made.save_pretrained(folder)
    ByteTokenizer().save(folder)
    return folder


@pytest.fixture
def critic(blank: str) -> ppo.Critic:
    """One whose head says something."""
    made = ppo.Critic(HF(blank).model.get_decoder())
    torch.nn.init.normal_(made.head.weight, generator=torch.Generator().manual_seed(1))
    return made


@pytest.fixture
def arguments(blank: str, tmp_path: Path) -> Callable[..., ppo.Args]:
    """Arguments of a run of a second; ``under`` is its folder."""

    def made(under: Path = tmp_path, **settings: Any) -> ppo.Args:
        given = {"env": "LongCoT-v0", "env_settings": SHORT, "model": blank, "steps": 2, "prompts": 16}
        given |= {"lr": 1e-3, "critic_lr": 1e-3, "warmup": 0, "deterministic": True, "out": str(under / "run")}
        return ppo.Args(**{**given, **settings})

    return made


def metrics(out: str | Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k not in TIMES} for line in read_log(Path(out) / "metrics.jsonl")]


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


# --- credit, by brute force


def attempts(seed: int, n: int = 5) -> list[Trajectory]:
    """Random trajectories of 1 to 4 windows; in a window what was sampled has holes, where a tool spoke."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(n):
        segments = []
        for _ in range(rng.integers(1, 5)):
            mask = [0] * int(rng.integers(1, 4)) + [int(x) for x in rng.integers(0, 2, rng.integers(1, 9))] + [1]
            ids = tuple(int(x) for x in rng.integers(48, 58, len(mask)))
            logprobs = tuple(float(x) for x in -rng.random(len(mask)).astype(np.float32) * np.array(mask))
            segments.append(Segment(ids, tuple(mask), logprobs))
        made.append(Trajectory(Problem.of("?"), segments, "", Verdict(float(rng.random())), bool(rng.integers(2))))
    return made


def one_by_one(critic: ppo.Critic, trajectory: Trajectory) -> list[float]:
    """What the critic says of each prefix that a token was sampled after, each prefix in a forward of its own."""
    values = []
    for segment in trajectory.segments:
        for i, m in enumerate(segment.mask):
            if m:
                hidden = critic.body(input_ids=torch.tensor([segment.ids[:i]])).last_hidden_state[0, -1]
                values.append(critic.head(hidden).item())
    return values


def brute_force(reward: float, values: list[float], gamma: float, lam: float) -> list[float]:
    """The mean of all k-step advantages, weighted (1 - lam) lam^(k - 1), the rest of the weight on the longest."""
    n, made = len(values), []
    for t in range(n):
        left = n - t
        steps = []
        for k in range(1, left + 1):
            tail = gamma**k * values[t + k] if k < left else 0.0
            paid = gamma ** (left - 1) * reward if k == left else 0.0
            steps.append(paid + tail - values[t])
        weights = [(1 - lam) * lam ** (k - 1) for k in range(1, left)] + [lam ** (left - 1)]
        made.append(sum(w * a for w, a in zip(weights, steps, strict=True)))
    return made


@pytest.mark.parametrize(("gamma", "lam", "value_lam"), [(1.0, 1.0, 1.0), (1.0, 0.9, 1.0), (0.97, 0.5, 0.8), (1, 0, 0)])
@pytest.mark.parametrize("micro_tokens", [1, 64])
def test_credit_crosses_windows_as_by_brute_force(
    critic: ppo.Critic,
    arguments: Callable[..., ppo.Args],
    gamma: float,
    lam: float,
    value_lam: float,
    micro_tokens: int,
) -> None:
    args = arguments(gamma=gamma, lam=lam, value_lam=value_lam, whiten=False, micro_tokens=micro_tokens, updates=2)
    several = attempts(seed=micro_tokens)
    assert max(len(t.segments) for t in several) > 2
    said = ppo.judge(critic, several, args)
    advantages, returns, _ = ppo.credit([t.verdict.score for t in several], said, args)
    for t, values, a, taught in zip(several, said, advantages, returns, strict=True):
        by_hand = one_by_one(critic, t)
        np.testing.assert_allclose(values, by_hand, atol=1e-5)
        np.testing.assert_allclose(a, brute_force(t.verdict.score, by_hand, gamma, lam), atol=1e-5)
        wanted = np.add(brute_force(t.verdict.score, by_hand, gamma, value_lam), by_hand)
        np.testing.assert_allclose(taught, wanted, atol=1e-5)
    # each token's numbers go where its log-prob goes, which no other token has
    told, found = {}, {}
    for i, t in enumerate(several):
        names = [p for segment in t.segments for p, m in zip(segment.logprobs, segment.mask, strict=True) if m]
        told |= dict(zip(names, zip(advantages[i], said[i], returns[i], strict=True), strict=True))
    for part in ppo.packed(several, args, 0, advantages, said, returns):
        for rows in part:
            at = rows[0].mask > 0
            found |= dict(
                zip(rows[0].logprobs[at].tolist(), zip(*(r.advantages[at] for r in rows), strict=True), strict=True)
            )
    assert found.keys() == told.keys() and len(told) == sum(t.length for t in several)
    for name, numbers in found.items():
        np.testing.assert_allclose(numbers, told[name], atol=1e-6)


def test_whitening_and_figures(arguments: Callable[..., ppo.Args]) -> None:
    said = [np.array([0.5, 0.5]), np.array([0.25]), np.array([0.0, 0.5, 1.0])]
    advantages, returns, figures = ppo.credit([1.0, 0.0, 1.0], said, arguments())
    raw = np.array([0.5, 0.5, -0.25, 1.0, 0.5, 0.0])
    np.testing.assert_allclose(np.concatenate(advantages), (raw - 0.375) / raw.std(), rtol=1e-6)
    np.testing.assert_allclose(np.concatenate(returns), [1, 1, 0, 1, 1, 1])
    assert [len(a) for a in advantages] == [2, 1, 3] and figures["value"] == pytest.approx(2.75 / 6)
    assert figures["explained_variance"] == pytest.approx(1 - raw.var() / (5 / 36))
    assert ppo.credit([], [], arguments()) == ([], [], {})


# --- the update


@pytest.fixture(scope="module")
def recorded(blank: str) -> list[Trajectory]:
    """Sixteen attempts of three windows each."""
    envs = cli.make_envs("Delethink-v0", 16, WINDOWS)
    rng = np.random.default_rng(3)
    problems = [envs[0].unwrapped.task.sample(rng) for _ in range(16)]  # type: ignore[attr-defined]
    batch = evaluate(HF(blank), envs, problems, deterministic=True).batch
    assert max(len(t.segments) for group in batch for t in group) == 3
    return [t for group in batch for t in group]


def learn(
    attempts: list[Trajectory], critic: ppo.Critic, args: ppo.Args, lr: float = 1e-3, sgd: bool = False
) -> tuple[Any, dict[str, float]]:
    """The model after one update on these attempts, and the figures; the critic is moved as well."""
    model = HF(args.model).model
    said = ppo.judge(critic, attempts, args)
    advantages, returns, _ = ppo.credit([t.verdict.score for t in attempts], said, args)
    groups = [{"params": [*model.parameters()]}, {"params": [*critic.parameters()]}]
    optimizer: Any = torch.optim.SGD(groups, lr=lr) if sgd else torch.optim.AdamW(groups, lr=lr)
    rows = ppo.packed(attempts, args, 0, advantages, said, returns)
    reference = HF(args.model).model if args.kl else None
    return model, ppo.update(model, critic, optimizer, rows, args, reference)


def flat(model: Any) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_the_step_is_that_of_both_objectives(
    recorded: list[Trajectory], critic: ppo.Critic, blank: str, arguments: Callable[..., ppo.Args]
) -> None:
    """By plain autograd, window by window: the policy gradient, and half the squared error to the reward."""
    args = arguments(updates=1, max_grad_norm=1e9, whiten=False, value_clip=0.0)
    model, told = HF(blank).model, copy.deepcopy(critic)
    total = sum(t.length for t in recorded)
    loss = torch.zeros(())
    for t in recorded:
        for segment in t.segments:
            ids, mask = torch.tensor([segment.ids]), torch.tensor(segment.mask[1:])
            logp = model(input_ids=ids).logits.log_softmax(-1)[0, :-1].gather(1, ids[0, 1:, None])[:, 0]
            values = told.head(told.body(input_ids=ids).last_hidden_state)[0, :-1, 0]
            gain = (t.verdict.score - values).detach() * logp
            loss = loss + (mask * ((values - t.verdict.score) ** 2 / 2 - gain)).sum() / total
    loss.backward()
    moved = [-torch.cat([p.grad.flatten() for p in part.parameters() if p.grad is not None]) for part in (model, told)]
    for tokens in (1, 1 << 15):
        mine = copy.deepcopy(critic)
        new, figures = learn(recorded, mine, replace(args, micro_tokens=tokens), lr=1.0, sgd=True)
        torch.testing.assert_close(flat(new) - flat(HF(blank).model), moved[0], atol=1e-5, rtol=1e-3)
        torch.testing.assert_close(flat(mine) - flat(critic), moved[1], atol=1e-5, rtol=1e-3)
        assert figures["grad_norm"] == pytest.approx(moved[0].norm().item(), rel=1e-3) and moved[0].norm() > 0.01
        assert figures["critic_grad_norm"] == pytest.approx(moved[1].norm().item(), rel=1e-3) and moved[1].norm() > 0.01
        assert figures["tokens"] == total and figures["ratio_mean"] == pytest.approx(1, abs=1e-5)


def test_the_critic_learns_and_the_policy_is_held_by_clip_and_kl(
    recorded: list[Trajectory], critic: ppo.Critic, arguments: Callable[..., ppo.Args]
) -> None:
    before, (_, free) = copy.deepcopy(critic), learn(recorded, critic, arguments(updates=2, epochs=6, value_clip=0.0))
    errors = []
    for judge in (before, critic):
        said = ppo.judge(judge, recorded, arguments())
        errors.append(np.mean([(v - t.verdict.score) ** 2 for t, vs in zip(recorded, said, strict=True) for v in vs]))
    assert errors[1] < 0.8 * errors[0] and free["ratio_max"] > 1.001
    assert free["tokens"] == sum(t.length for t in recorded)  # once, however often they are gone over
    held = learn(recorded, copy.deepcopy(before), arguments(updates=2, epochs=6, value_clip=1e-3))[1]
    assert held["value_clip_fraction"] > 0.2 and free["value_clip_fraction"] == 0
    tied = learn(recorded, copy.deepcopy(before), arguments(updates=2, epochs=6, kl=100.0))[1]
    assert 0 <= tied["kl_ref"] < 0.2 * free["kl_old"]


# --- whole runs


def test_it_learns_from_random_weights_with_one_attempt_a_problem(
    tmp_path: Path, blank: str, arguments: Callable[..., ppo.Args]
) -> None:
    """What odd texts are, from nothing but their reward: the 95 % interval afterwards lies above the one before."""
    settings = {"task": Parity(6, 8), "budget": 6}
    ppo.main(arguments(env_settings=settings, steps=25, prompts=64, updates=2, lr=1e-2, critic_lr=1e-2))
    envs = cli.make_envs("LongCoT-v0", 128, settings)
    rng = np.random.default_rng(99)
    posed = [envs[0].unwrapped.task.sample(rng) for _ in range(64)]  # type: ignore[attr-defined]
    ends = (blank, str(tmp_path / "run" / "step-000025"))
    before, after = (evaluate(HF(m, slots=128), envs, posed, k=4, deterministic=True) for m in ends)
    assert after.ci95[0] > before.ci95[1] + 0.1, (before.accuracy, after.accuracy)
    lines = metrics(tmp_path / "run")
    assert lines[0]["explained_variance"] == 0 < np.mean([line["explained_variance"] for line in lines[5:15]])


@dataclass
class Stateful:
    """Curriculum and shaper in one, that writes down how it is called and holds a state worth restoring."""

    log: list[Any] = field(default_factory=list)
    seen: float = 0.0
    option: dict[str, Any] = field(default_factory=dict)

    def begin(self, task: Any) -> None:
        self.log.append("begin")

    def problems(self, task: Any, rng: np.random.Generator, n: int) -> list[Problem]:
        self.log.append("problems")
        return [task.sample(rng, 6 + int(self.seen) % 3) for _ in range(n)]

    def __call__(self, batch: Batch) -> Any:
        self.log.append("shape")
        return Truth()(batch) - 0.01 * (self.seen % 1)

    def starts(self, problems: list[Problem], group: int) -> list[dict[str, Any]]:
        self.log.append("starts")
        return [self.option] * len(problems) * group

    def probe(self, step: int) -> tuple[list[Problem], int] | None:
        self.log.append("probe")
        return ([Register().sample(np.random.default_rng(step), 6)] * 3, 2) if step % 2 else None

    def observe(self, batch: Batch) -> None:
        self.log.append("observe")
        self.seen += 0.25 * sum(t.verdict.score for group in batch for t in group)

    def update(self, batch: Batch) -> None:
        self.log.append("update")
        self.seen += sum(t.verdict.score for group in batch for t in group)

    def figures(self) -> dict[str, float]:
        return {"seen": self.seen}

    def state_dict(self) -> dict[str, float]:
        return {"seen": self.seen}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.log.append("load")
        self.seen = state["seen"]


def test_curriculum_and_shaper_are_called_in_order(tmp_path: Path, arguments: Callable[..., ppo.Args]) -> None:
    forced = Completion("1", (49,), (-0.5,), "length")
    curriculum, shaper = Stateful(option={"budget": 15}), Stateful(option={"response": forced})
    ppo.main(arguments(curriculum=curriculum, shaper=shaper, group=2, save_trajectories=True))
    assert " ".join(curriculum.log) == ("begin problems starts probe update problems starts probe observe update")
    assert " ".join(shaper.log) == "begin starts probe shape update starts probe observe shape update"
    told = [json.loads(x) for x in (tmp_path / "run/trajectories/step-000001.jsonl").read_text().splitlines()]
    assert len(told) == 32 and all(t["text"][0] == "1" and t["length"] <= 15 for t in told)


def test_a_schedule_sets_the_budget(tmp_path: Path, arguments: Callable[..., ppo.Args]) -> None:
    ppo.main(arguments(schedule="listed([4, 9], each=1)"))
    assert [line["length"] for line in metrics(tmp_path / "run")] == pytest.approx([4, 9], abs=1)


def test_a_start_has_no_more_than_the_steps_budget(tmp_path: Path, arguments: Callable[..., ppo.Args]) -> None:
    ppo.main(arguments(schedule="listed([4, 9], each=1)", shaper=Stateful(option={"budget": 6}), group=2))
    assert [line["length"] for line in metrics(tmp_path / "run")] == pytest.approx([4, 6], abs=1)


def test_invalid_attempts_are_counted_and_left_out(
    tmp_path: Path, blank: str, arguments: Callable[..., ppo.Args]
) -> None:
    half, dead = tmp_path / "half", tmp_path / "dead"
    ppo.main(arguments(half, env_settings={"task": Failing(6, 8), "budget": 16}, save_trajectories=True))
    told = [json.loads(x) for x in (half / "run/trajectories/step-000000.jsonl").read_text().splitlines()]
    valid = [t for t in told if t["verdict"]["valid"]]
    line = metrics(half / "run")[0]
    assert 0 < line["invalid"] < 1 and line["invalid"] == 1 - len(valid) / len(told)
    assert line["score"] == pytest.approx(np.mean([t["verdict"]["score"] for t in valid]))
    assert line["tokens"] == sum(t["length"] for t in valid)
    ppo.main(arguments(dead, env_settings={"task": Dead(6, 8), "budget": 16}, weight_decay=0.1))
    assert [line["invalid"] for line in metrics(dead / "run")] == [1.0, 1.0]
    weights = load_file(dead / "run" / "step-000002" / "model.safetensors")
    assert same(weights, HF(blank).model.state_dict())


def test_bfloat16_runs_learn_in_float32(tmp_path: Path, arguments: Callable[..., ppo.Args]) -> None:
    ppo.main(arguments(dtype="bfloat16", steps=1))
    weights = load_file(tmp_path / "run" / "step-000001" / "model.safetensors")
    state = torch.load(tmp_path / "run" / "step-000001" / "trainer.pt")
    assert {x.dtype for x in (*weights.values(), *state["critic"].values())} == {torch.float32}
    (line,) = metrics(tmp_path / "run")
    assert 0 < abs(line["ratio_mean"] - 1) < 0.1


# --- resume


def resumable(out: str | Path, model: str, **settings: Any) -> ppo.Args:
    return ppo.Args(
        env="Delethink-v0", env_settings=WINDOWS, model=model, steps=6, prompts=16, updates=2, lr=1e-3, critic_lr=1e-3,
        warmup=2, floor=0.1, weight_decay=0.01, lam=0.95, kl=0.01, deterministic=True, out=str(out), save_every=1,
        keep=9, curriculum=Stateful(), shaper=Stateful(), tensorboard=False, **settings,
    )  # fmt: skip


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, blank: str) -> Path:
    out = tmp_path_factory.mktemp("whole") / "run"
    ppo.main(resumable(out, blank))
    return out


def test_a_killed_run_goes_on_to_the_same_numbers(uninterrupted: Path, tmp_path: Path, blank: str) -> None:
    """SIGKILL once there are three checkpoints, in whatever it does then."""
    out = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, __file__, str(out), blank],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(torch.get_num_threads())},
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while process.poll() is None and len([*out.glob("step-*")]) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert 0 < len(metrics(out)) < 6
    args = resumable(out, blank, resume=True)
    ppo.main(args)
    shaper: Any = args.shaper
    assert "load" in shaper.log
    assert metrics(out) == metrics(uninterrupted) and len(metrics(out)) == 6
    models = [load_file(run / "step-000006" / "model.safetensors") for run in (out, uninterrupted)]
    critics = [torch.load(run / "step-000006" / "trainer.pt")["critic"] for run in (out, uninterrupted)]
    assert same(*models) and same(*critics)


def test_a_critic_that_is_lost_changes_the_numbers(uninterrupted: Path, tmp_path: Path, blank: str) -> None:
    """So that the test above cannot pass on a critic that is not restored, or on constants."""
    out = tmp_path / "run"
    shutil.copytree(uninterrupted, out)
    for step in (4, 5, 6):
        shutil.rmtree(out / f"step-00000{step}")
    state = torch.load(out / "step-000003" / "trainer.pt")
    assert state["critic"]["head.weight"].abs().max() > 0
    del state["critic"]
    torch.save(state, out / "step-000003" / "trainer.pt")
    ppo.main(resumable(out, blank, resume=True))
    whole, lost = metrics(uninterrupted), metrics(out)
    assert lost[:3] == whole[:3] and lost[3]["reward"] == whole[3]["reward"] and lost[3]["loss"] != whole[3]["loss"]
    for key in ("reward", "length", "loss", "grad_norm", "lr", "seen", "kl_ref", "value", "explained_variance"):
        assert len({line[key] for line in whole}) > 2, key
    assert max(line["resets"] for line in whole) > 0.5


def test_the_checkpoint_is_a_plain_model(uninterrupted: Path, blank: str) -> None:
    folder = uninterrupted / "step-000006"
    assert load_file(folder / "model.safetensors").keys() == load_file(Path(blank) / "model.safetensors").keys()
    loaded, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and type(loaded) is LlamaForCausalLM
    assert not same(loaded.state_dict(), HF(blank).model.state_dict())


# --- what is refused


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"temperature": 0.0}, "--temperature"),
        ({"gamma": 1.1}, "--gamma"),
        ({"lam": -0.1}, "--lam"),
        ({"value_lam": 2.0}, "--value-lam"),
        ({"value_clip": -1.0}, "--value-clip"),
        ({"critic_lr": -1.0}, "--critic-lr"),
        ({"epochs": 0}, "--epochs"),
        *OPTIMIZER,
        ({"entropy": float("nan")}, "--entropy"),
        ({"group": 0}, "--group"),
        ({"budget": 3, "schedule": "constant(5)"}, "--schedule"),
        ({"model": "/nowhere/at-all"}, "/nowhere/at-all"),
        ({"shaper": "nonsense"}, "nonsense"),
    ],
)
def test_nonsense_is_refused_before_anything_is_written(
    tmp_path: Path, settings: dict[str, Any], named: str, arguments: Callable[..., ppo.Args]
) -> None:
    with pytest.raises(UserError, match=named):
        ppo.main(arguments(**settings))
    assert not (tmp_path / "run").exists()


if __name__ == "__main__":
    ppo.main(resumable(*sys.argv[1:3]))
