"""The REDI agent: its loss by hand, what it learns from, the watch over a collapse, exact resume, what it refuses."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from reasongym import cli
from reasongym.agents import redi
from reasongym.core import Problem, Trajectory, UserError, Verdict
from reasongym.evaluate import evaluate
from reasongym.pairs import pairs, read_attempts
from reasongym.policies.hf import HF
from reasongym.report.log import read_log
from reasongym.report.traces import save_traces
from reasongym.tasks.register import Register
from reasongym.tokenizer import ByteTokenizer, Chat, HFTokenizer, model_folder
from tests.agents.refused import OPTIMIZER

ROOT = Path(__file__).resolve().parents[2]


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
def arguments(blank: str, tmp_path: Path) -> Callable[..., redi.Args]:
    """Arguments of a run of a second; ``under`` is its folder."""

    def made(under: Path = tmp_path, **settings: Any) -> redi.Args:
        given = {"env_settings": SHORT, "model": blank, "problems": 16, "attempts": 4, "steps": 2, "batch": 4}
        given |= {"lr": 1e-3, "deterministic": True, "tensorboard": False, "out": str(under / "run")}
        return redi.Args(**{**given, **settings})

    return made


@pytest.fixture(scope="module")
def recorded(blank: str) -> list[Trajectory]:
    """Attempts in three windows each."""
    envs = cli.make_envs("Delethink-v0", 16, WINDOWS)
    rng = np.random.default_rng(3)
    problems = [envs[0].unwrapped.task.sample(rng) for _ in range(6)]  # type: ignore[attr-defined]
    return [t for group in evaluate(HF(blank), envs, problems, k=4, deterministic=True).batch for t in group]


@pytest.fixture
def saved(recorded: list[Trajectory], tmp_path: Path) -> str:
    """Their pairs as a file."""
    save_traces(tmp_path / "attempts.jsonl", recorded)
    made, path = pairs(read_attempts(str(tmp_path / "attempts.jsonl")), 2), tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in made))
    return str(path)


def batch_of(path: str, args: redi.Args) -> list[redi.Pair]:
    return [redi.encoded(json.loads(line), ByteTokenizer(), args) for line in Path(path).read_text().splitlines()]


def metrics(out: str | Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k != "step_s"} for line in read_log(Path(out) / "metrics.jsonl")]


def weights(folder: str | Path) -> dict[str, torch.Tensor]:
    return load_file(Path(folder) / "model.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


# --- the loss


def test_a_thought_in_windows_has_the_log_probability_that_the_engine_gave_it(
    blank: str, recorded: list[Trajectory], arguments: Callable[..., redi.Args]
) -> None:
    many = [t for t in recorded if len(t.segments) > 1]
    assert len(many) > 4
    made = [redi.Response(tuple((s.ids, s.mask) for s in t.segments), t.length) for t in many]
    with torch.no_grad():
        found = redi.logprobs(HF(blank).model, list(zip(made[::2], made[1::2], strict=False)), arguments())
    wanted = [sum(x for s in t.segments for x in s.logprobs) for t in many]
    got = found.T.flatten().tolist()
    assert got == pytest.approx(wanted[: len(got)], abs=1e-3)


@pytest.mark.parametrize("loss", ["redi", "dpo", "simpo", "sft"])
def test_the_gradient_is_that_of_the_objective(
    loss: Any, blank: str, saved: str, arguments: Callable[..., redi.Args]
) -> None:
    """By plain autograd, a row at a time, without any of our own code; and micro-batches of any size add up to it."""
    args = arguments(loss=loss, max_grad_norm=1e9, gamma=0.5)
    batch = batch_of(saved, args)
    assert len(batch) > 4 and any(len(r.rows) > 1 for pair in batch for r in pair)
    other = HF(blank).model
    with torch.no_grad():
        for p in other.parameters():  # a reference that is not the policy
            p *= 1.1

    def mean(model: Any, response: redi.Response) -> tuple[Any, int]:
        total: Any = 0.0
        for row, mask in response.rows:
            ids = torch.tensor([list(row)])
            logp = model(input_ids=ids).logits.log_softmax(-1)[0, :-1].gather(1, ids[0, 1:, None])[:, 0]
            total = total + (logp * torch.tensor(list(mask)[1:])).sum()
        return total, sum(sum(mask) for _, mask in response.rows)

    model, objective = HF(blank).model, torch.zeros(())
    for pair in batch:
        (good, n), (bad, m) = (mean(model, r) for r in pair)
        if loss == "dpo":
            with torch.no_grad():
                (a, _), (b, _) = (mean(other, r) for r in pair)
            value = torch.log(1 + torch.exp(-0.1 * (good - a - bad + b)))
        elif loss == "simpo":
            value = torch.log(1 + torch.exp(-(2 * (good / n - bad / m) - 0.5)))
        else:
            value = -good / n + (0.8 if loss == "redi" else 0.0) * bad / m
        objective = objective + value / len(batch)
    objective.backward()
    for tokens in (1, 300, 1 << 15):
        mine = HF(blank).model
        before = [p.detach().clone() for p in mine.parameters()]
        cuts = len(list(redi.micro_batches(batch, tokens)))
        assert cuts in {1: [len(batch)], 300: range(2, len(batch)), 1 << 15: [1]}[tokens]
        figures = redi.update(mine, torch.optim.SGD(mine.parameters(), lr=1.0), batch, _with(args, micro_tokens=tokens),
                              other if loss == "dpo" else None)  # fmt: skip
        assert figures["loss"] == pytest.approx(objective.item(), abs=1e-5)
        for old, new, wanted in zip(before, mine.parameters(), model.parameters(), strict=True):
            torch.testing.assert_close(old - new.detach(), wanted.grad, atol=2e-6, rtol=1e-3)


def _with(args: redi.Args, **settings: Any) -> redi.Args:
    return redi.Args(**{**vars(args), **settings})


def test_figures_are_means_a_token_over_the_pairs(
    blank: str, saved: str, recorded: list[Trajectory], arguments: Callable[..., redi.Args]
) -> None:
    args = arguments()
    model, row = HF(blank).model, json.loads(Path(saved).read_text().splitlines()[0])
    figures = redi.update(model, torch.optim.SGD(model.parameters(), lr=0.0), batch_of(saved, args)[:1], args)
    tried = [t for t in recorded if t.problem.prompt == row["prompt"]]
    for side in ("chosen", "rejected"):
        t = tried[row[f"{side}_attempt"]]
        wanted = sum(x for s in t.segments for x in s.logprobs) / t.length
        assert figures[side] == pytest.approx(wanted, abs=1e-4)
    assert figures["loss"] == pytest.approx(0.8 * figures["rejected"] - figures["chosen"], abs=1e-5)
    assert figures["tokens"] == sum(tried[row[f"{s}_attempt"]].length for s in ("chosen", "rejected"))
    assert figures["preferred"] == float(figures["chosen"] > figures["rejected"])


# --- from rows to tokens


def row(**more: Any) -> dict[str, Any]:
    return {"prompt": "Q", "chosen": "0123", "rejected": "abcdef", **more}


def test_texts_stand_behind_the_prompt_and_end(arguments: Callable[..., redi.Args]) -> None:
    plain, cut, messages = (
        redi.encoded(r, ByteTokenizer(), arguments(system="S"))
        for r in (
            row(),
            row(rejected_truncated=True),
            row(chosen=[{"role": "user", "content": "Q"}, {"role": "assistant", "content": "0123"}]),
        )
    )
    ((ids, mask),) = plain[0].rows
    assert ByteTokenizer().decode(ids) == "S\nQ0123<|end|>" and list(mask) == [0] * 3 + [1] * 5
    assert (plain[0].length, plain[1].length, cut[1].length) == (5, 7, 6)
    assert messages == plain


def test_a_template_that_opens_the_thought_opens_it_once(arguments: Callable[..., redi.Args]) -> None:
    from transformers import AutoTokenizer

    backend = AutoTokenizer.from_pretrained(model_folder("tiny"))
    backend.chat_template = "{% for m in messages %}U:{{ m.content }}{% endfor %}{{ '\nA:<think>\n' }}"
    tokenizer = HFTokenizer(backend)
    made = redi.encoded(row(chosen="<think>\na", rejected="b"), tokenizer, arguments())
    texts = [tokenizer.decode(list(r.rows[0][0])) for r in made]
    assert texts == ["U:Q\nA:<think>\na<|end|>", "U:Q\nA:<think>\nb<|end|>"]
    assert tuple(made[1].rows[0][0])[:-2] == Chat(tokenizer).prompt_ids("Q")


@pytest.mark.parametrize(
    ("settings", "text", "mask", "length"),
    [
        ({}, "Qabcdef<|end|>", [0, 1, 1, 1, 1, 1, 1, 1], 7),
        ({"max_tokens": 8}, "Qabcdef<|end|>", [0, 1, 1, 1, 1, 1, 1, 1], 7),
        ({"max_tokens": 4}, "Qabc", [0, 1, 1, 1], 3),
        ({"max_tokens": 4, "compat": "official"}, "Qabc", [0, 1, 1, 1], 7),
        ({"max_tokens": 4, "truncation": "end"}, "def<|end|>", [0, 1, 1, 1], 3),
        ({"max_tokens": 4, "truncation": "end", "compat": "official"}, "def<|end|>", [0, 1, 1, 1], 7),
    ],
)
def test_what_is_cut_counts_in_the_normaliser_only_officially(
    settings: dict[str, Any], text: str, mask: list[int], length: int, arguments: Callable[..., redi.Args]
) -> None:
    made = redi.encoded(row(), ByteTokenizer(), arguments(**settings))[1]
    ((ids, learned),) = made.rows
    assert (ByteTokenizer().decode(list(ids)), list(learned), made.length) == (text, mask, length)


def test_every_epoch_is_a_permutation() -> None:
    order = [i for step in range(10) for i in redi.members(step, 7, 14, seed=3)]
    epochs = [order[at : at + 14] for at in range(0, 70, 14)]
    assert all(sorted(e) == list(range(14)) for e in epochs) and len({tuple(e) for e in epochs}) == 5
    assert sorted(redi.members(0, 9, 3, seed=0)) == [0, 0, 0, 1, 1, 1, 2, 2, 2]  # a batch of three epochs


# --- whole runs


@pytest.mark.parametrize("loss", ["redi", "dpo", "simpo", "sft"])
def test_it_learns_from_its_own_attempts(
    loss: Any, tmp_path: Path, arguments: Callable[..., redi.Args], capsys: Any
) -> None:
    args = arguments(loss=loss, steps=12, batch=16, per_problem=9, problems=24, lr=3e-3, warmup=0.0, beta=1.0)
    redi.main(args)
    lines = metrics(args.out)
    assert capsys.readouterr().out == f"model: {args.out}/step-000012\n"
    assert lines[-1]["chosen"] > lines[0]["chosen"] + 0.1 or loss != "sft"
    margins = [line["chosen"] - line["rejected"] for line in lines]
    assert loss == "sft" or margins[-1] > margins[0] + 0.1
    assert np.mean([line["loss"] for line in lines[-3:]]) < lines[0]["loss"]
    if loss == "dpo":
        assert lines[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)  # the reference is the first model
    made = [json.loads(x) for x in (tmp_path / "run" / "pairs.jsonl").read_text().splitlines()]
    told = read_attempts(str(tmp_path / "run" / "attempts.jsonl"))
    assert len(told) == 96 and [r["id"] for r in made] == [r["id"] for r in pairs(told, 9)]


def test_pairs_that_an_aborted_run_left_are_made_anew_unless_it_goes_on(arguments: Callable[..., redi.Args]) -> None:
    policy = HF(arguments().model)
    for settings, again in (({}, True), ({"resume": True}, False)):
        path = redi.sampled(arguments(**settings), policy)
        whole = path.read_text()
        path.write_text("left")
        assert (redi.sampled(arguments(**settings), policy).read_text() == whole) is again
        path.unlink()


def test_sft_needs_no_wrong_responses(tmp_path: Path, arguments: Callable[..., redi.Args]) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps({"prompt": "Q", "chosen": "0" * n}) + "\n" for n in (3, 5)))
    redi.main(arguments(data=str(data), loss="sft", epochs=3, steps=None, batch=1))
    lines = metrics(tmp_path / "run")
    assert len(lines) == 6 and all("rejected" not in line and line["loss"] == -line["chosen"] for line in lines)
    with pytest.raises(UserError, match="line 1: the field 'rejected' is missing"):
        redi.main(arguments(tmp_path / "other", data=str(data)))


@pytest.mark.parametrize(
    ("decay", "rates"), [("linear", [0.5, 1.0, 1.0, 0.7, 0.4]), ("cosine", [0.5, 1.0, 1.0, 0.775, 0.325])]
)
def test_the_rate_goes_up_and_down(
    decay: Any, rates: list[float], saved: str, arguments: Callable[..., redi.Args]
) -> None:
    args = arguments(data=saved, decay=decay, steps=5, warmup=0.4, floor=0.1, lr=1e-3)
    redi.main(args)
    assert [line["lr"] for line in metrics(args.out)] == pytest.approx([1e-3 * x for x in rates])


def test_bfloat16_runs_learn_in_float32(saved: str, arguments: Callable[..., redi.Args]) -> None:
    args = arguments(data=saved, dtype="bfloat16", loss="dpo")
    redi.main(args)
    assert {x.dtype for x in weights(Path(args.out, "step-000002")).values()} == {torch.float32}
    first, last = metrics(args.out)
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-6) and last["grad_norm"] > 0


# --- collapse


@pytest.mark.parametrize("on_collapse", ["warn", "stop", "ignore"])
def test_a_collapse_is_told_once_or_ends_the_run(
    on_collapse: Any, saved: str, arguments: Callable[..., redi.Args], capsys: Any
) -> None:
    """At an absurd rate both sides lose their log-probability."""
    args = arguments(data=saved, on_collapse=on_collapse, steps=12, alpha=1.0, lr=0.1, warmup=0.0, window=1)
    redi.main(args)
    lines = metrics(args.out)
    first = next(line["step"] for line in lines if line["fallen"] > 0.5)
    told = [line for line in capsys.readouterr().err.splitlines() if "the right responses lost" in line]
    assert len(told) == (on_collapse != "ignore") and len(lines) == (first + 1 if on_collapse == "stop" else 12)
    assert Path(args.out, f"step-{len(lines):06d}", "model.safetensors").is_file()
    if told:
        start = f"{'stopped' if on_collapse == 'stop' else 'warning'}: step {first}: the right responses lost "
        assert told[0].startswith(start) and told[0].endswith("(the limit is 0.5); take a smaller --lr or --alpha")


def test_a_stopped_run_goes_on_as_if_it_had_not_been(
    tmp_path: Path, saved: str, arguments: Callable[..., redi.Args]
) -> None:
    more = {"data": saved, "steps": 8, "alpha": 1.0, "lr": 0.1, "warmup": 0.0, "window": 1}
    redi.main(arguments(on_collapse="stop", **more))
    assert len(metrics(tmp_path / "run")) < 8
    redi.main(arguments(on_collapse="ignore", resume=True, **more))
    redi.main(arguments(tmp_path / "whole", on_collapse="ignore", **more))
    assert metrics(tmp_path / "run") == metrics(tmp_path / "whole" / "run")


@pytest.mark.parametrize("cut", [1, 4])
def test_responses_that_are_cut_away_are_no_collapse(
    cut: int, tmp_path: Path, arguments: Callable[..., redi.Args], capsys: Any
) -> None:
    """Of a prompt as long as --max-tokens nothing is learned; of the others' figures nothing is lost."""
    data = tmp_path / "rows.jsonl"
    rows = [row(prompt="Q" * 30 if n < cut else "Q") for n in range(4)]
    data.write_text("".join(json.dumps(r) + "\n" for r in rows))
    args = arguments(data=str(data), max_tokens=20, on_collapse="stop")
    redi.main(args)
    lines = metrics(args.out)
    assert len(lines) == 2 and all(("chosen" in line) is (cut < 4) for line in lines)
    assert "the right responses lost" not in capsys.readouterr().err


# --- resume


RUN: dict[str, Any] = {"steps": 6, "lr": 3e-3, "save_every": 2, "keep": 9, "floor": 0.1, "loss": "dpo", "window": 2}


@pytest.mark.parametrize("left", [0, 2, 4, 6])
def test_resume_is_exact(left: int, tmp_path: Path, arguments: Callable[..., redi.Args]) -> None:
    """From a run killed after checkpoint ``left``, in the middle of writing the next one and of a line of the log."""
    redi.main(arguments(tmp_path / "whole", **RUN))
    whole, out = tmp_path / "whole" / "run", tmp_path / "again" / "run"
    shutil.copytree(whole, out)
    for step in range(left + 2, 7, 2):
        (out / f"step-{step:06d}").rename(out / f".step-{step:06d}")
    lines = (out / "metrics.jsonl").read_text().splitlines(keepends=True)
    if left < 6:
        (out / "metrics.jsonl").write_text("".join(lines[: left + 1]) + lines[left + 1][:40])
    if left == 0:
        (out / "pairs.jsonl").unlink()
    redi.main(arguments(tmp_path / "again", **RUN, resume=True))
    assert metrics(out) == metrics(whole) and len(metrics(out)) == 6
    assert same(weights(out / "step-000006"), weights(whole / "step-000006"))
    assert (out / "pairs.jsonl").read_bytes() == (whole / "pairs.jsonl").read_bytes()
    assert not list(out.glob(".step*"))
    for key in ("loss", "chosen", "rejected", "grad_norm", "lr", "fallen"):  # so that it cannot pass on constants
        assert len({line[key] for line in metrics(out)}) > 2, key


@pytest.mark.slow
def test_a_killed_process_resumes_exactly(tmp_path: Path) -> None:
    """SIGKILL while it makes its pairs, and while it learns and saves; what a process began, another ends."""
    flags = "--env.task register(low=6,high=8) --env.budget 24 --problems 24 --attempts 6 --per-problem 2 --steps 12 "
    flags += "--batch 8 --lr 1e-3 --save-every 1 --deterministic --resume --no-tensorboard"
    whole, again = tmp_path / "whole", tmp_path / "again"
    command = [sys.executable, "-m", "reasongym.agents.redi", *flags.split(), "--out", str(again)]
    for moment in ("attempts.jsonl", "step-000004"):
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
            while not (again / moment).exists() and process.poll() is None:
                time.sleep(0.001)
            process.kill()
        assert process.returncode == -9
    assert not (again / "step-000012").exists()
    for out in (again, whole):
        redi.main(cli.parse(redi.Args, [*flags.split(), "--out", str(out)]))
    assert metrics(whole) == metrics(again) and len(metrics(again)) == 12
    assert same(weights(whole / "step-000012"), weights(again / "step-000012"))


# --- what is refused


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"steps": 0}, "--steps"),
        ({"batch": 0}, "--batch"),
        ({"problems": 0}, "--problems"),
        ({"per_problem": 0}, "--per-problem"),
        ({"max_tokens": 1}, "--max-tokens"),
        ({"compat": "official"}, "--max-tokens"),
        ({"alpha": 1.5}, "--alpha"),
        ({"alpha": float("nan")}, "--alpha"),
        ({"beta": -1.0}, "--beta"),
        ({"warmup": 2.0}, "--warmup"),
        ({"epochs": 0.0, "steps": None}, "--epochs"),
        ({"collapse": -1.0}, "--collapse"),
        ({"window": 0}, "--window"),
        *OPTIMIZER,
        ({"lr": float("nan")}, "--lr"),
        ({"model": "/nowhere/at-all"}, "/nowhere/at-all"),
        ({"data": "/nowhere.jsonl"}, "/nowhere.jsonl"),
        ({"env_settings": {"nonsense": 1}}, "nonsense"),
    ],
)
def test_nonsense_is_refused_before_anything_is_written(
    tmp_path: Path, settings: dict[str, Any], named: str, arguments: Callable[..., redi.Args]
) -> None:
    with pytest.raises(UserError, match=named):
        redi.main(arguments(**settings))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"prompt": ["Q"]}, "row 2: prompt must be text"),
        ({"chosen": 3}, "row 2: chosen must be text"),
        ({"rejected": [{"content": None}]}, "row 2: rejected must be text"),
        ({"chosen_segments": [{"ids": [1]}]}, "row 2: chosen_segments must be token ids and masks"),
        ({"chosen_segments": [{"ids": [1, 2], "mask": [1]}]}, "row 2: chosen_segments"),
        ({"chosen_segments": [{"ids": "ab", "mask": [1, 1]}]}, "row 2: chosen_segments"),
        ({"rejected_segments": "0123"}, "row 2: rejected_segments"),
        ({"rejected_segments": 3}, "row 2: rejected_segments"),
    ],
)
def test_a_bad_row_is_named(
    tmp_path: Path, more: dict[str, Any], said: str, arguments: Callable[..., redi.Args]
) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text(json.dumps(row()) + "\n" + json.dumps(row(**more)))
    with pytest.raises(UserError, match=said):
        redi.main(arguments(data=str(data)))
    assert not (tmp_path / "run").exists()


def test_token_ids_of_another_tokenizer_are_refused(saved: str, arguments: Callable[..., redi.Args]) -> None:
    rows = [json.loads(line) for line in Path(saved).read_text().splitlines()]
    for r in rows:
        r["chosen_segments"][-1]["ids"] = [i + 1 for i in r["chosen_segments"][-1]["ids"]]
    Path(saved).write_text("".join(json.dumps(r) + "\n" for r in rows))
    with pytest.raises(UserError, match="not those of --model"):
        redi.main(arguments(data=saved))


@pytest.mark.parametrize(
    ("ids", "mask", "same"),
    [
        ([*b"Qab<1>cd", 256], [0, 1, 1, 0, 0, 0, 1, 1, 1], True),
        ([*b"Qab<1>", 256], [0, 1, 1, 0, 0, 0, 1], True),  # only its end follows the tool's output
        ([*b"Qab<1>xy", 256], [0, 1, 1, 0, 0, 0, 1, 1, 1], False),
        ([81, 1000, 2000], [0, 1, 1], False),  # which the byte tokenizer decodes to nothing
    ],
)
def test_what_was_sampled_behind_a_tools_output_tells_the_tokenizer(
    ids: list[int], mask: list[int], same: bool
) -> None:
    given = row(chosen="ab<1>cd", chosen_segments=[{"ids": ids, "mask": mask}])
    assert redi.same_tokens(given, "chosen", ByteTokenizer()) is same


def test_attempts_without_a_pair_say_so(arguments: Callable[..., redi.Args]) -> None:
    class Easy(Register):
        def verify(self, problem: Problem, text: str) -> Verdict:
            return Verdict(1.0)

    with pytest.raises(UserError, match="none of 16 problems has both"):
        redi.main(arguments(env_settings={"task": Easy(6, 8), "budget": 8}))
