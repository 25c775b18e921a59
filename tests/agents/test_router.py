"""The router's agent: labels by A5, features at the right place, and a run that ends in a router that routes."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reasongym import cli, parts
from reasongym.agents import router
from reasongym.core import Problem, Sampling, Segment, Trajectory, UserError, Verdict
from reasongym.evaluate import evaluate
from reasongym.forks import Parting
from reasongym.policies.hf import HF
from reasongym.policies.routed import Routed, share
from reasongym.report.log import read_log

ROOT = Path(__file__).resolve().parents[2]
TASK = {"task": "register(low=6, high=10)", "budget": 24}


def args(**more: Any) -> router.Args:
    settings: dict[str, Any] = {"env_settings": dict(TASK), "problems": 96, "shard": 32, "evaluate": 32, "slots": 32}
    settings |= {"top_logits": 10, "width": 16, "blocks": 1, "factor": 2, "dropout": 0.1, "lr": 3e-3, "batch": 64}
    settings |= {"epochs": 9, "held_out": 0.25, "tensorboard": False}
    return router.Args(**(settings | more))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The model of the package with noise in its weights, in a folder."""
    policy, folder = HF("tiny"), tmp_path_factory.mktemp("small")
    model, stream = copy.deepcopy(policy.model), torch.Generator().manual_seed(0)
    for weight in model.parameters():
        weight.data += 0.7 * weight.data.std() * torch.randn(weight.shape, generator=stream)
    model.save_pretrained(folder)
    policy.tokenizer.save(folder)
    return str(folder)


@pytest.fixture(scope="module")
def done() -> list[Trajectory]:
    """Right answers of the model of the package."""
    large = HF("tiny", slots=32)
    envs = cli.make_envs("LongCoT-v0", 32, TASK, large.tokenizer)
    return router.thoughts(args(), large, envs, 0, 32)


# --- labels


def test_thoughts_are_right_greedy_and_whole(done: list[Trajectory]) -> None:
    assert 10 < len(done) < 32 and len({t.problem.id for t in done}) == len(done)
    for t in done:
        assert t.verdict.score == 1 and t.info["finish"] == "end" and t.info["completions"][0].ids[-1] == 256


def test_a5_equal_models_have_no_mismatch(done: list[Trajectory]) -> None:
    def never(partings: Sequence[Parting]) -> list[int]:
        assert not partings
        return []

    data = router.label(done, HF("tiny"), never, args())
    assert not data["label"].any() and not data["mismatch"].any()
    assert len(data["label"]) == sum(t.length for t in done)


def test_a5_labels_are_mismatches_where_the_judge_says_so(done: list[Trajectory], small: str) -> None:
    policy, said = HF(small), list[Parting]()

    def judged(verdict: int) -> router.Data:
        def judge(partings: Sequence[Parting]) -> list[int]:
            said[:] = partings
            return [verdict] * len(partings)

        return router.label(done, policy, judge, args(), first=7)

    always, never, open_ = (judged(verdict) for verdict in (1, 0, -1))
    assert 5 < always["mismatch"].sum() < 0.4 * len(always["mismatch"])
    assert torch.equal(always["label"] == 1, always["mismatch"]) and not never["label"].any()
    assert len(open_["label"]) == len(always["label"]) - always["mismatch"].sum() and not open_["mismatch"].any()
    answers = torch.cat([torch.tensor(t.info["completions"][0].ids) for t in done])
    assert torch.equal(always["mismatch"], always["token"] != answers)
    assert torch.equal(always["query"], torch.cat([torch.full((t.length,), 7 + n) for n, t in enumerate(done)]))
    for parting in said:  # each forks off the answer's own beginning
        own = parting.thought.info["completions"][0].ids
        assert parting.ids[:-1] == own[: parting.at] and parting.token != own[parting.at] and parting.answer == own


@pytest.mark.parametrize("piece", [1, 5, 4096])
def test_features_stand_where_the_token_is_predicted(done: list[Trajectory], small: str, piece: int) -> None:
    policy, row = HF(small), done[0].segments[0]
    ids, answer = torch.tensor(row.ids), torch.tensor(row.mask).nonzero()[:, 0]
    found = router.propose(policy, ids, answer, 10, piece)
    for n, place in enumerate(answer.tolist()):
        with torch.no_grad():
            out = policy.model(input_ids=ids[None, :place], output_hidden_states=True)
        assert found["token"][n] == out.logits[0, -1].argmax()
        assert torch.allclose(found["hidden"][n], out.hidden_states[-1][0, -1], atol=1e-4)
        assert torch.allclose(found["logits"][n], out.logits[0, -1].sort(descending=True).values[:10], atol=1e-4)


def test_the_end_of_the_thought_and_what_others_wrote_are_not_labelled() -> None:
    """As in the paper, ``</think>`` is no mismatch; tokens with mask 0 have no label."""

    class Closing(HF):
        """Its tokenizer has a token for the end of the thought."""

        def __init__(self) -> None:
            super().__init__("tiny")
            self.tokenizer = copy.copy(self.tokenizer)
            object.__setattr__(self.tokenizer, "decode", lambda ids: "</think>" if list(ids) == [3] else "x")

    segment = Segment((94, 49, 50, 3, 4), (0, 1, 0, 1, 1), (0.0,) * 5)
    thought = Trajectory(Problem.of("^"), [segment], "", Verdict(1.0), False)
    data = router.label([thought], Closing(), lambda partings: [1] * len(partings), args())
    assert data["mismatch"].tolist()[1:] == [False, True] and len(data["label"]) == 3


def test_a_finite_task_is_answered_once_and_evaluated_on_the_rest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Else an answer that was learned from would also be held out."""
    settings = {"task": "pool(task='register(low=6, high=10)', n=24)", "budget": 24}
    given, large = args(env_settings=settings, problems=20, judge="tiny", evaluate=32, out=str(tmp_path)), HF("tiny")
    envs, asked = cli.make_envs("LongCoT-v0", 8, settings, large.tokenizer), list[list[str]]()
    answered = [t.problem.id for first in (0, 8, 16) for t in router.thoughts(given, large, envs, first, 8)]
    assert len(set(answered)) == len(answered) > 10
    assert router.thoughts(given, large, envs, 24, 8) == []  # there are no more

    def watched(policy: Any, envs: Any, problems: list[Problem], **more: Any) -> Any:
        asked.append([p.id for p in problems])
        return evaluate(policy, envs, problems, **more)

    monkeypatch.setattr(router, "evaluate", watched)
    network = router.Network(router.Shape(96, 10, 8, 1, 1), 0)
    router.compare(given, large, HF("tiny"), envs, network, 0.5)
    order = [p.id for p in router.listed(given, envs[0].unwrapped.task)]  # type: ignore[attr-defined]
    assert asked == [order[20:]] * 3


def test_a_level_that_a_finite_task_does_not_have_is_refused(tmp_path: Path) -> None:
    rows = [{"problem": str(n), "answer": "1", "level": 1 + n % 2} for n in range(6)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = parts.make("tasks", f"math(source='{tmp_path}/rows.jsonl')")
    assert len(router.listed(args(), task)) == 6
    assert {p.level for p in router.listed(args(level=2), task)} == {2}
    with pytest.raises(UserError, match="has level 3"):
        router.listed(args(level=3), task)


# --- a run


def test_a_run_makes_a_router_that_finds_what_the_small_model_gets_wrong(small: str, tmp_path: Path) -> None:
    given = args(small=small, out=str(tmp_path), epochs=40)
    router.main(given)
    about = json.loads((tmp_path / "evaluation.json").read_text())
    arms = {arm["arm"]: arm for arm in about["arms"]}
    assert list(arms) == ["small", "large", "routed"]
    assert arms["small"]["accuracy"] < arms["routed"]["accuracy"] - 0.1
    assert arms["small"]["large_share"] == 0 < arms["routed"]["large_share"] < 0.8 < arms["large"]["large_share"] == 1
    for name in ("small", "large"):
        assert arms[name]["parameters_said"] == arms[name]["parameters_run"] == about[name]
    assert arms["routed"]["parameters_run"] == about["small"] + arms["routed"]["large_share"] * about["large"]
    assert (about["large"], about["router"]) == (289632, router.Shape(96, 10, 16, 1, 2).size)
    log = read_log(tmp_path / "metrics.jsonl")
    assert log[-1]["loss"] < log[0]["loss"] and sum("held_out_loss" in line for line in log) == len(log) // 2
    pair = Routed(small, "tiny", tmp_path, slots=32)
    assert pair.threshold == about["threshold"]
    envs = cli.make_envs("LongCoT-v0", 32, TASK, pair.tokenizer)
    rng = np.random.default_rng((0, 2))
    problems = [envs[0].unwrapped.task.sample(rng) for _ in range(32)]  # type: ignore[attr-defined]
    again = evaluate(pair, envs, problems, sampling=Sampling(0))
    assert again.accuracy == arms["routed"]["accuracy"]
    said = share(c for t in again.attempts for c in t.info["completions"])
    assert said[1] / sum(said) == arms["routed"]["large_share"]


def test_a_killed_run_resumes_exactly(small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed at each thing that it writes: labels by shard, and training by validated epoch."""
    whole, halting = (args(small=small, out=str(tmp_path / name), evaluate=0) for name in ("whole", "halting"))
    router.main(whole)

    class Killed(BaseException):
        pass

    def write_and_die(path: Path, values: Any) -> None:
        write(path, values)
        raise Killed

    write, kills = router.write, 0
    monkeypatch.setattr(router, "write", write_and_die)
    while not (tmp_path / "halting" / "router.safetensors").exists():
        try:
            router.main(replace(halting, resume=True))
        except Killed:
            kills += 1
    assert kills == 3 + 5  # shards, and epochs 2, 4, 6, 8, 9
    for name in ("router.safetensors", "metrics.jsonl"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "halting" / name).read_bytes()
    with pytest.raises(UserError, match="holds a router of other dimensions than .*width=24"):
        router.main(replace(whole, resume=True, width=24))
    monkeypatch.undo()
    router.main(replace(whole, resume=True, problems=64))  # of other labels: trained anew
    router.main(args(small=small, out=str(tmp_path / "fewer"), evaluate=0, problems=64))
    assert (tmp_path / "whole" / "metrics.jsonl").read_bytes() == (tmp_path / "fewer" / "metrics.jsonl").read_bytes()


@pytest.mark.slow
def test_a_killed_process_resumes_exactly(small: str, tmp_path: Path) -> None:
    """SIGKILL while it makes labels, and while it trains; what a process began, another ends."""
    flags = "--env.task register(low=6,high=10) --env.budget 24 --problems 96 --shard 32 --evaluate 0 --slots 32 "
    flags += "--top-logits 10 --width 16 --blocks 1 --factor 2 --lr 3e-3 --batch 64 --epochs 60 --patience 60 "
    flags += f"--small {small} --large tiny --no-tensorboard --resume"
    whole, again = tmp_path / "whole", tmp_path / "again"
    command = [sys.executable, "-m", "reasongym.agents.router", *flags.split(), "--out", str(again)]
    for moment in ("labels/000032.pt", "state.pt"):
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
            while not (again / moment).exists() and process.poll() is None:
                time.sleep(0.001)
            process.kill()
        assert process.returncode == -9
    assert not (again / "router.safetensors").exists()
    for out in (again, whole):
        router.main(cli.parse(router.Args, [*flags.split(), "--out", str(out)]))
    for name in ("router.safetensors", "metrics.jsonl"):
        assert (whole / name).read_bytes() == (again / name).read_bytes()
    assert len(read_log(whole / "metrics.jsonl")) == 60


def test_patience_ends_the_training_and_the_best_weights_are_kept(small: str, tmp_path: Path) -> None:
    given = args(small=small, out=str(tmp_path), evaluate=0, lr=0.3, epochs=60, validate_every=1, patience=3)
    router.main(given)
    losses = [line["held_out_loss"] for line in read_log(tmp_path / "metrics.jsonl")]
    assert len(losses) == int(np.argmin(losses)) + 1 + 3 < 60


# --- what goes wrong


def test_labels_of_other_settings_are_refused_and_a_part_of_a_shard_is_made_anew(
    done: list[Trajectory], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny, asked = HF("tiny"), list[tuple[int, int]]()

    def thoughts(args: Any, large: Any, envs: Any, first: int, count: int) -> list[Trajectory]:
        asked.append((first, count))
        return done[:2]

    def labelled(**more: Any) -> router.Data:
        asked.clear()
        return router.labelled(args(out=str(tmp_path), **more), tiny, tiny, [], lambda partings: [])

    monkeypatch.setattr(router, "thoughts", thoughts)
    labelled(problems=48)
    assert asked == [(0, 32), (32, 16)]
    labelled(problems=96)
    assert asked == [(32, 32), (64, 32)]
    for more in ({"top_logits": 20}, {"judge": "tiny"}, {"env_settings": {**TASK, "budget": 20}}):
        with pytest.raises(UserError, match=r"000000.pt was made with --(top-logits 10|judge answer|env.budget 24)"):
            labelled(**more)
    for path in tmp_path.glob("labels/*.pt"):  # as older versions wrote them
        torch.save({k: v for k, v in torch.load(path).items() if k != "about"}, path)
    assert len(labelled(problems=96, judge="tiny")["label"]) == 3 * sum(t.length for t in done[:2]) and not asked


@pytest.mark.parametrize("side", [0, 1])
def test_a_side_of_the_split_without_a_divergent_token_is_refused_before_training(side: int, tmp_path: Path) -> None:
    given, data = args(out=str(tmp_path)), {"query": torch.arange(12), "hidden": torch.zeros(12, 96)}
    data["label"] = torch.isin(data["query"], router.split(given, data)[side]["query"]).long()
    with pytest.raises(UserError, match="--held-out .* of --problems 96: on one side"):
        router.train(given, data, torch.nn.Embedding(258, 96))
    assert not (tmp_path / "metrics.jsonl").exists()


def test_a_shard_without_a_right_answer_ends_no_run(
    done: list[Trajectory], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, tiny = args(out=str(tmp_path)), HF("tiny")
    monkeypatch.setattr(router, "thoughts", lambda args, large, envs, first, count: done[:2] * (first == 32))
    for _ in range(2):  # and again from the files
        data = router.labelled(given, tiny, tiny, [], lambda partings: [])
        assert len(data["label"]) == sum(t.length for t in done[:2]) and len(list(tmp_path.glob("labels/*"))) == 3
    with pytest.raises(UserError, match="finished no answer"):
        router.labelled(replace(given, problems=32), tiny, tiny, [], lambda partings: [])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"problems": 0}, "--problems 0"),
        ({"top_logits": 0}, "--top-logits 0"),
        ({"held_out": 1.0}, "--held-out"),
        ({"recall": 0.0}, "--recall"),
        ({"lr": -1.0}, "--lr"),
        ({"dropout": 1.0}, "--dropout 1.0"),
        ({"env": "CodeInterpreter-v0", "env_settings": {"task": "doubling"}}, "has tools"),
        ({"env": "Delethink-v0", "env_settings": {**TASK, "budget": 60, "chunk": 8, "carry": 7}}, "setting|context"),
        ({"top_logits": 999}, "looks at 999 logits"),
    ],
    ids=str,
)
def test_refusals(more: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        router.main(args(out=str(tmp_path), **more))


@pytest.mark.parametrize("left", ["metrics.jsonl", "step-000002/trainer.pt"])
def test_the_folder_of_another_agents_run_is_left_alone(left: str, tmp_path: Path) -> None:
    (tmp_path / left).parent.mkdir(exist_ok=True)
    (tmp_path / left).write_text('{"step": 1}\n')
    with pytest.raises(UserError, match="holds the run of another agent"):
        router.main(args(out=str(tmp_path), resume=True))
    assert (tmp_path / left).read_text() == '{"step": 1}\n'


def test_a_file_is_no_place_for_a_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file: choose another folder"):
        router.main(args(out=str(tmp_path / "file")))


def test_equal_models_teach_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no token is labelled divergent"):
        router.main(args(out=str(tmp_path)))
    with pytest.raises(UserError, match="holds a run: add --resume"):
        router.main(args(out=str(tmp_path)))
