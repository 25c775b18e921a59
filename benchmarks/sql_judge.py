"""A tiny judge of SQL: taught a little, then trained by GRPO in SQLJudge-v0, asked about schemas that it never saw.

    OMP_NUM_THREADS=1 python -m benchmarks.sql_judge --seeds 3 [--steps 80] [--out runs/sql_judge] [--save]

The embedded questions are over ten domains. The judge learns on seven, from pairs of a gold query and a mutant that
execution finds wrong, and is asked about such pairs of the other three, of which each class is one half. To judge is
to compare words that it never saw, so the supervised part has pairs over made-up schemas besides, where no word can be
remembered. Then it re-ranks the answers of a weak generator to other questions of the three: a scripted one, which
writes the gold query with one or two changes more often than not. What is done is kept in ``--out``: a run that was
stopped goes on from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import finish, note, resumed, spread
from reasongym import cli, parts
from reasongym.core import Completion, Problem, Request, Sampling
from reasongym.discriminators import ChainOfThought, Remembered
from reasongym.metrics import intrinsic, wilson
from reasongym.sql.domains import DOMAINS
from reasongym.sql.invented import INVENTED
from reasongym.sql.judged import asked_shortly
from reasongym.sql.mutants import canonical, mutate
from reasongym.sql.text import normal_form
from reasongym.tasks.sql_judge import SQLCandidates, is_right, wrong_query
from reasongym.tokenizer import TINY

Row = dict[str, Any]
SEEN, UNSEEN = tuple(DOMAINS)[:7], tuple(DOMAINS)[7:]
LEVELS = (1, 2, 3)  # filter, aggregate, group: one table
SIZE = {"num_hidden_layers": 4, "hidden_size": 128, "head_dim": 32, "intermediate_size": 384, "vocab_size": 512}
SPLIT = r" ?[A-Za-z]+|\s|[^A-Za-z\s]"  # words with the blank before them; digits and signs one by one
BUDGET = 80
SFT = "--lr 2e-3 --warmup 100 --batch 64 --row 256 --whole 1 --no-tensorboard"
GRPO = "--lr 1e-4 --floor 0.1 --loss-norm token --prompts 48 --group 16 --temperature 1.5 --deterministic"
RIGHT = 0.35  # of the weak generator's answers
PROPOSALS = 5


@dataclass
class Args:
    seeds: int = 3
    questions: int = 4000
    """Of seen schemas that the judge learns from, each with its gold query and a mutant."""
    invented: int = 10000
    """Of made-up schemas, that the supervised learning has besides."""
    asked: int = 300
    """Of unseen schemas: for pairs, and as many others for re-ranking."""
    taught: int = 600
    """Steps of supervised learning, which all seeds begin from: not to its end, which would leave GRPO nothing."""
    steps: int = 80
    """Of GRPO."""
    out: str = "runs/sql_judge"
    save: bool = False


def main(args: Args) -> None:
    started = resumed(args.out)
    test, train = pairs(args, "test", UNSEEN, args.asked), pairs(args, "train", SEEN, args.questions)
    base = teach(args, train, pairs(args, "invented", (INVENTED,), args.invented))
    found = {"taught": ask(args, base, test, "taught")}
    note(args.out, started)
    for seed in range(args.seeds):
        found[str(seed)] = ask(args, reinforce(args, base, train, seed), test, str(seed))
        note(args.out, started)
    seeds = [found[str(seed)] for seed in range(args.seeds)]
    figures = {
        "n": seeds[0]["n"],
        "domains": {"seen": SEEN, "unseen": UNSEEN},
        "seeds": [{"seed": seed, **row} for seed, row in enumerate(seeds)],
        "taught": found["taught"],
        "over_majority": spread([row["accuracy_unseen"] - row["majority"] for row in seeds]),
        "by_grpo": spread([row["accuracy_unseen"] - found["taught"]["accuracy_unseen"] for row in seeds]),
        "lift": spread([row["rerank_after"] - row["rerank_before"] for row in seeds]),
        "curves": [rewards(args, seed) for seed in range(args.seeds)],
    }
    ok = all(row["accuracy_unseen"] >= row["majority"] + 0.15 for row in seeds)
    ok = ok and all(row["rerank_after"] > row["rerank_before"] for row in seeds)
    finish("sql_judge", ok, figures, seeds=range(args.seeds), started=started, save=args.save)


# --- what is judged


def sql_task(domains: tuple[str, ...]) -> Any:
    return parts.make("tasks", "sql", domains=domains)


def pairs(args: Args, name: str, domains: tuple[str, ...], count: int) -> str:
    """A file of ``count`` questions with two candidates each: one right, one wrong."""
    file = Path(args.out, f"{name}.jsonl")
    if not file.exists():
        task, rows = sql_task(domains), []
        for i in range(count):
            rng = np.random.default_rng((len(domains), i))
            posed = task.sample(rng, LEVELS[i % len(LEVELS)])
            if (wrong := wrong_query(task, posed, rng)) is not None:
                for sql, kind in ((canonical(posed.answer), "gold"), wrong):
                    told = {"id": i, "question": posed.data["question"], "gold": posed.answer, "level": posed.level}
                    told["tables"] = posed.data["tables"]
                    rows.append({**told, "candidate": sql, "correct": kind == "gold", "kind": kind})
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        part.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        part.rename(file)
    return str(file)


# --- learning


def teach(args: Args, train: str, invented: str) -> str:
    """A fresh model that has seen worked verdicts: the query that is asked for, up to where the candidate's differs."""
    from reasongym.agents import sft

    out, taught = Path(args.out, "sft"), Path(args.out, "taught.jsonl")
    done = out / f"step-{args.taught:06d}"
    if not done.exists():
        taught.write_text("".join(Path(file).read_text(encoding="utf-8") for file in (train, invented)))
        flags = ["--env", "SQLJudge-v0", "--model", architecture(args, str(taught)), "--fresh", "--resume"]
        flags += ["--out", str(out), "--steps", str(args.taught), "--save-every", "250", *SFT.split()]
        parsed = cli.parse(sft.Args, flags)
        parsed.env_settings |= {"candidates": str(taught), "prompt": "short"}
        sft.main(parsed)
    return str(done)


def architecture(args: Args, taught: str) -> str:
    """A folder with the configuration of a small model and a tokenizer of words and their pieces."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    folder = Path(args.out, "architecture")
    if not folder.exists():
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        words = Tokenizer(models.BPE())
        words.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(SPLIT), "isolated"), byte_level])
        words.decoder = decoders.ByteLevel()
        told = {"vocab_size": SIZE["vocab_size"], "special_tokens": ["<|end|>", "<|pad|>"], "show_progress": False}
        learned = trainers.BpeTrainer(initial_alphabet=byte_level.alphabet(), **told)
        words.train_from_iterator(worked(taught), learned)
        config = json.loads((TINY / "config.json").read_text())
        part = folder.with_suffix(".part")
        PreTrainedTokenizerFast(
            tokenizer_object=words, eos_token="<|end|>", pad_token="<|pad|>", clean_up_tokenization_spaces=False
        ).save_pretrained(part)
        (part / "config.json").write_text(json.dumps({**config, **SIZE, "eos_token_id": 0, "pad_token_id": 1}))
        part.rename(folder)
    return str(folder)


def worked(file: str) -> Iterator[str]:
    """The prompts and worked verdicts of a file."""
    task = SQLCandidates(file, prompt="short")
    for i in range(len(task)):
        problem = task.problem(i)
        yield problem.prompt + task.demonstrate(problem, np.random.default_rng(i))


def reinforce(args: Args, base: str, train: str, seed: int) -> str:
    from reasongym.agents import grpo

    out = Path(args.out, f"grpo-seed{seed}")
    done = out / f"step-{args.steps:06d}"
    if not done.exists():
        flags = ["--env", "SQLJudge-v0", "--model", base, "--out", str(out), "--seed", str(seed)]
        flags += ["--steps", str(args.steps), "--save-every", "10", "--resume", "--no-tensorboard", *GRPO.split()]
        parsed = cli.parse(grpo.Args, flags)
        parsed.env_settings |= {"candidates": train, "prompt": "short", "budget": BUDGET}
        grpo.main(parsed)
    return str(done)


def rewards(args: Args, seed: int) -> list[float]:
    from reasongym.report.log import read_log

    return [line["reward"] for line in read_log(Path(args.out, f"grpo-seed{seed}", "metrics.jsonl"))]


# --- asking


def ask(args: Args, model: str, test: str, name: str) -> Row:
    """Accuracy on the pairs of unseen schemas, and what the judge does for the weak generator."""
    from reasongym.evaluate import evaluate
    from reasongym.policies.hf import HF

    file = Path(args.out, f"asked-{name}.json")
    if not file.exists():
        policy = HF(model, slots=64)
        settings = {"candidates": test, "prompt": "short", "budget": BUDGET}
        envs = cli.make_envs("SQLJudge-v0", 64, settings, policy.tokenizer)
        task: Any = envs[0].unwrapped.task  # type: ignore[attr-defined]
        problems = [task.problem(i) for i in range(len(task))]
        done = evaluate(policy, envs, problems, sampling=Sampling(0.0), deterministic=True)
        labels = [p.answer for p in problems]
        marks = [t.verdict.score for t in done.attempts]
        share = sum(labels) / len(labels)
        judged = {"n": len(marks), "majority": max(share, 1 - share), "accuracy_unseen": float(np.mean(marks))}
        judged["ci95"] = wilson(int(sum(marks)), len(marks))
        judged["by_kind"] = by_kind(problems, marks)
        judged["without_verdict"] = float(np.mean([t.verdict.answer is None for t in done.attempts]))
        file.write_text(json.dumps(judged | rerank(args, policy)))
    found: Row = json.loads(file.read_text())
    print(name, json.dumps(found), flush=True)
    return found


def by_kind(problems: list[Problem], marks: list[float]) -> dict[str, list[float]]:
    """Accuracy and number of candidates, by what was done to them."""
    kinds = sorted({p.data["kind"] for p in problems})
    groups = {k: [m for p, m in zip(problems, marks, strict=True) if p.data["kind"] == k] for k in kinds}
    return {k: [float(np.mean(group)), len(group)] for k, group in groups.items()}


def rerank(args: Args, policy: Any) -> Row:
    """The weak generator's accuracy on unseen schemas, by itself and with this judge."""
    from reasongym.policies.ranked import Ranked

    task = sql_task(UNSEEN)
    posed = [task.sample(np.random.default_rng((99, i)), LEVELS[i % len(LEVELS)]) for i in range(args.asked)]
    by_prompt = {p.prompt: p for p in posed}

    def asked(prompt: str, sql: str) -> str:
        data = by_prompt[prompt].data
        return asked_shortly(data["question"], sql, data["tables"])

    judge = Remembered(ChainOfThought(policy, asked, tokens=BUDGET, opener=""))
    ranked = Ranked(Careless(by_prompt), judge, normalise=normal_form, samples=PROPOSALS)
    planned = ranked.plan([Request((0, i, 0, 0), p.prompt, "", (), BUDGET, seed=i) for i, p in enumerate(posed)])
    worth = [{sql: is_right(task, p, sql) for sql in desk.scored} for p, (_, desk) in zip(posed, planned, strict=True)]
    chosen = [w[sql] for w, (sql, _) in zip(worth, planned, strict=True)]
    drawn = [np.mean([w[sql] for sql in desk.first]) for w, (_, desk) in zip(worth, planned, strict=True)]
    scores = [[-s for s in desk.scored.values()] for _, desk in planned]
    labels = [[w[sql] for sql in desk.scored] for w, (_, desk) in zip(worth, planned, strict=True)]
    return {
        "rerank_before": float(np.mean(drawn)),
        "rerank_after": float(np.mean(chosen)),
        "rerank_best": float(np.mean([any(w.values()) for w in worth])),
        "rerank_ci95": wilson(sum(chosen), len(chosen)),
        "intrinsic": intrinsic(scores, labels),
    }


@dataclass
class Careless:
    """A weak generator: the gold query of a question, now and then as it is, else with one or two changes."""

    by_prompt: dict[str, Problem]

    def generate(self, requests: list[Request]) -> list[Completion]:
        return [Completion(self._written(r)) for r in requests]

    def _written(self, request: Request) -> str:
        rng, posed = np.random.default_rng(request.seed), self.by_prompt[request.prompt]
        sql = canonical(posed.answer)
        changes = 0 if rng.random() < RIGHT else int(rng.integers(1, 3))
        for _ in range(changes):
            mutant = mutate(sql, posed.data["tables"], rng)
            sql = mutant.sql if mutant else sql
        return sql


if __name__ == "__main__":
    cli.run(main, Args)
