"""Generator and discriminator on Spider's questions, with a real model: greedy against re-ranking of its samples.

    OMP_NUM_THREADS=1 python -m benchmarks.sql_planning --model FOLDER [--questions 100] [--save]

Every completion, score and execution is kept in ``--out`` as it comes: a run that was stopped goes on from there, and
the same query is never executed, or judged, twice. Re-ranking is by the oracle (as the paper simulates it, and an exact
one) and by the model's own P(Yes), each with and without the execution check. On the first ``--few`` questions, judging
in words, correction and tree search are run too: enough to see them work, not to measure them.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

from benchmarks import spider_samples as spider
from benchmarks.report import ROOT, finish
from reasongym import cli
from reasongym.core import Request, UserError
from reasongym.discriminators import ChainOfThought, Checked, Discriminator, Oracle, Remembered, YesNo
from reasongym.judging import hard_probability, soft_probability
from reasongym.metrics import intrinsic, mcnemar, mean_ci95, wilson
from reasongym.policies.ranked import Correct, Planner, Ranked, Rerank, TreeSearch
from reasongym.policies.scripted import Scripted
from reasongym.sql.hardness import HARDNESS
from reasongym.sql.text import next_clause, normal_form

Row = dict[str, Any]
DIALS = (0.5, 0.8, 1.0)
ORACLES = 20  # seeds over which an oracle's accuracy is averaged too


@dataclass
class Args:
    model: str = os.environ.get("REASONGYM_QWEN_CODER", "")
    """A folder (or hub id) of an instruct model."""
    data: str = os.environ.get("REASONGYM_DATA", "")
    """A folder with spider_en/dev.jsonl, tables.json and database/."""
    questions: int = 100
    samples: int = 5
    temperature: float = 0.6
    """Of the samples (the planning framework's; arXiv 2505.03786 has 0.2)."""
    tokens: int = 96
    batch: int = 8
    """Questions generated at a time, each with its greedy answer and its samples."""
    few: int = 10
    """Questions for judging in words, correction and tree search."""
    budgets: tuple[int, ...] = (128, 256, 512)
    """Tokens of a judge's thought; the smaller ones are cut from the largest."""
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    device: str = "cpu"
    out: str = "runs/sql_planning"
    seed: int = 0
    save: bool = False


def main(args: Args) -> None:
    started = time.perf_counter()
    bench = Bench(args)
    rows, right = end_to_end(bench)
    greedy = right["greedy"]
    figures = {
        "model": bench.name,
        "questions": len(bench.questions),
        "samples": args.samples,
        "temperature": args.temperature,
        "rows": rows,
        "mcnemar": {name: mcnemar(greedy, marks) for name, marks in right.items() if name != "greedy"},
        "reruns": bench.runs.reruns,
        "candidates_per_question": bench.spread(),
        "intrinsic": intrinsics(bench),
        "few": few_questions(bench) if args.few else {},
    }
    figures["order"] = order(rows, right)
    figures["png"] = draw(rows, ROOT / "docs" / "sql_planning.png" if args.save else Path(args.out, "sql_planning.png"))
    print(table(rows))
    ok = len(bench.questions) >= 100 and figures["reruns"] == 0 and {r["method"] for r in rows} >= set(wanted())
    finish("sql_planning", ok, figures, seeds=(args.seed,), started=started, save=args.save)


# --- the questions, the model and what is known of both


@dataclass
class Bench:
    """The questions with their completions, and discriminators that ask nothing twice."""

    args: Args
    asked: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        a = self.args
        if not a.model:
            raise UserError("no model: set REASONGYM_QWEN_CODER or --model to a folder or a hub id")
        self.name = Path(a.model).name
        self.questions = spider.load_questions(a.data, a.questions, a.seed)
        self.by_prompt = {spider.asking(q): q for q in self.questions}
        self.runs = spider.Runs({q["id"]: q for q in self.questions}, Path(a.out, "executions.jsonl"))
        settings = {"samples": a.samples, "batch": a.batch, "tokens": a.tokens, "heat": a.temperature, "seed": a.seed}
        cache = Path(a.out, "completions.jsonl")
        self.said = spider.generate(lambda: self.policy, self.questions, cache, **settings)
        self.yes = self._yes()

    @cached_property
    def policy(self) -> Any:
        """Loaded only if something is left to ask it."""
        from reasongym.policies.hf import HF

        return HF(self.args.model, dtype=self.args.dtype, device=self.args.device)

    def run(self, prompt: str, sql: str) -> Row:
        return self.runs(self.by_prompt[prompt]["id"], sql)

    def executes(self, prompt: str, sql: str) -> bool:
        return bool(self.run(prompt, sql)["runs"])

    def overlap(self, prompt: str, sql: str) -> float:
        return float(self.run(prompt, sql).get("overlap", "nan"))

    def exact(self, prompt: str, sql: str) -> float:
        """The truth itself: 1 for execution match."""
        found = self.run(prompt, sql)
        return float(found["right"]) if found["runs"] else float("nan")

    def candidates(self, question: Row) -> list[str]:
        """The distinct samples, in the order in which they were drawn."""
        return [c for c in dict.fromkeys(spider.candidate(s["text"]) for s in self.said[question["id"]][1:]) if c]

    def spread(self) -> dict[str, float]:
        counts = [len(self.candidates(q)) for q in self.questions]
        solvable = [any(self.runs(q["id"], c)["right"] for c in self.candidates(q)) for q in self.questions]
        return {"mean": sum(counts) / len(counts), "one_is_right": sum(solvable) / len(solvable), "n": len(counts)}

    def _yes(self) -> Remembered:
        """P(Yes), with every score kept in a file."""
        cache = Path(self.args.out, "yes.jsonl")
        ids = {q["id"]: prompt for prompt, q in self.by_prompt.items()}
        known = {(ids[r["id"]], r["sql"]): r["score"] for r in spider.read_lines(cache) if r["id"] in ids}
        return Remembered(_Kept(self, cache), known)


@dataclass
class _Kept:
    """Asks the model for P(Yes), and writes down what it said."""

    bench: Bench
    cache: Path

    def score(self, question: str, candidates: Any) -> list[float]:
        row = self.bench.by_prompt[question]
        judge = YesNo(self.bench.policy, lambda q, sql: spider.asking_yes(row, sql))
        scores = judge.score(question, candidates)
        new = ({"id": row["id"], "sql": c, "score": s} for c, s in zip(candidates, scores, strict=True))
        spider.append_lines(self.cache, new)
        return scores


# --- end to end


def wanted() -> list[str]:
    """The methods of the benchmark: each re-ranking with and without the execution check."""
    judges = [f"oracle p={p}" for p in DIALS] + ["P(Yes)"]
    return ["greedy", *(f"rerank {judge}{check}" for judge in judges for check in ("", " + check"))]


def end_to_end(bench: Bench) -> tuple[list[Row], dict[str, list[bool]]]:
    """A row a method, and which questions each gets right."""
    right = {"greedy": [bench.runs(q["id"], greedy(bench, q))["right"] for q in bench.questions]}
    firsts = [bench.runs(q["id"], c[0])["right"] if (c := bench.candidates(q)) else False for q in bench.questions]
    right["first sample"] = firsts
    right["rerank check alone"] = rerank(bench, Checked(_Nothing(), bench.executes))
    extra: dict[str, Row] = {}
    for name, truth in (("oracle", bench.overlap), ("exact oracle", bench.exact)):
        for p in DIALS:
            for check in ("", " + check"):
                method = f"rerank {name} p={p}{check}"
                marks = [rerank(bench, checked(bench, Oracle(truth, p, seed), check)) for seed in range(ORACLES)]
                right[method] = marks[0]
                mean, half = mean_ci95([sum(m) / len(m) for m in marks])
                extra[method] = {"mean_of_seeds": mean, "ci95_of_seeds": half, "seeds": ORACLES}
    for check in ("", " + check"):
        right[f"rerank P(Yes){check}"] = rerank(bench, checked(bench, bench.yes, check))
    return [row_of(bench, name, marks) | extra.get(name, {}) for name, marks in right.items()], right


def greedy(bench: Bench, question: Row) -> str:
    return spider.candidate(bench.said[question["id"]][0]["text"])


def checked(bench: Bench, judge: Discriminator, check: str) -> Discriminator:
    return Checked(judge, bench.executes) if check else judge


def rerank(bench: Bench, judge: Discriminator) -> list[bool]:
    """Whether the planner's choice among the samples is right, by question."""
    replay = Scripted(lambda r: bench.said[bench.by_prompt[r.prompt]["id"]][1 + r.key[-1]]["text"])
    chosen = plan(bench, replay, judge, Rerank(), bench.questions)
    return [bool(bench.runs(q["id"], sql)["right"]) for q, sql in zip(bench.questions, chosen, strict=True)]


def plan(
    bench: Bench, generator: Any, judge: Discriminator, planner: Planner, questions: list[Row], samples: int = 0
) -> list[str]:
    ranked = Ranked(
        generator,
        judge,
        planner,
        normalise=lambda text: normal_form(text.partition("```")[0]),
        samples=samples or bench.args.samples,
        tokens=bench.args.tokens,
        stop=spider.STOPS,
        opened=spider.OPENED,
        begin=spider.BEGIN,
    )
    seed = bench.args.seed
    asked = [Request((seed, q["id"], 0, 0), spider.asking(q), "", (), bench.args.tokens, seed=seed) for q in questions]
    return [text for text, _ in ranked.plan(asked)]


class _Nothing:
    """A discriminator that finds all alike."""

    def score(self, question: str, candidates: Any) -> list[float]:
        return [0.0] * len(candidates)


def row_of(bench: Bench, method: str, marks: list[bool]) -> Row:
    n, by_class = len(marks), {}
    for name in HARDNESS:
        mine = [m for m, q in zip(marks, bench.questions, strict=True) if q["hardness"] == name]
        by_class[name] = {"n": len(mine), "ex": sum(mine) / max(1, len(mine)), "ci95": wilson(sum(mine), len(mine))}
    total = {"questions": n, "n": n, "ex": sum(marks) / n, "ci95": wilson(sum(marks), n)}
    return {"method": method, "model": bench.name, **total, "by_hardness": by_class}


def intrinsics(bench: Bench) -> dict[str, Row]:
    """The discriminators on the samples themselves: the paper's intrinsic table."""
    prompts = {spider.asking(q): bench.candidates(q) for q in bench.questions}
    right = [[bool(bench.run(p, c)["right"]) for c in cs] for p, cs in prompts.items()]
    judges: dict[str, Discriminator] = {"P(Yes)": bench.yes}
    judges |= {f"oracle p={p}": Oracle(bench.overlap, p, bench.args.seed) for p in DIALS}
    tables = {}
    for name, judge in judges.items():
        for check in ("", " + check"):
            scores = [checked(bench, judge, check).score(p, cs) for p, cs in prompts.items()]
            tables[name + check] = intrinsic([[-s for s in row] for row in scores], right)
    return tables


# --- a few questions: judging in words, correction, tree search


def few_questions(bench: Bench) -> Row:
    """Run, and said to be not measured: ten questions decide nothing."""
    few, budgets = bench.args.few, bench.args.budgets
    questions = bench.questions[:few]
    judged = kept(bench, f"judging_{few}_{'_'.join(map(str, budgets))}", lambda: judging(bench, questions))
    planned = kept(bench, f"planners_{few}", lambda: planners(bench, questions))
    return {"measured": False, "questions": len(questions), "judging": judged, "planners": planned}


def kept(bench: Bench, name: str, made: Callable[[], dict[str, Row]]) -> Row:
    """What was made under this name before, or now."""
    cache = Path(bench.args.out, f"{name}.json")
    if not cache.exists():
        cache.write_text(json.dumps(made()))
    return dict(json.loads(cache.read_text()))


def judging(bench: Bench, questions: list[Row]) -> dict[str, Row]:
    """Verdicts in words on the candidates, by budget: the intrinsic table of the soft and the hard scores."""
    asked = [(q, c) for q in questions for c in bench.candidates(q)]
    judge = ChainOfThought(bench.policy, lambda q, sql: "", tokens=max(bench.args.budgets), opener="")
    requests = [judge.request(spider.asking_verdict(q, c), n) for n, (q, c) in enumerate(asked)]
    said = dict(zip(((q["id"], c) for q, c in asked), bench.policy.generate(requests), strict=True))
    decode, tables = bench.policy.tokenizer.decode, {}
    right = [[bool(bench.runs(q["id"], c)["right"]) for c in bench.candidates(q)] for q in questions]
    for budget in bench.args.budgets:
        for name, score in (("soft", partial(_soft, decode, budget)), ("hard", partial(_hard, decode, budget))):
            scores = [[score(said[q["id"], c]) for c in bench.candidates(q)] for q in questions]
            failed = [[s < 0 for s in row] for row in scores]
            tables[f"{name} at {budget}"] = intrinsic(scores, right, failed)
    return tables


def _soft(decode: Callable[..., str], budget: int, completion: Any) -> float:
    return soft_probability(completion, decode, decode(completion.ids[:budget]))


def _hard(decode: Callable[..., str], budget: int, completion: Any) -> float:
    return hard_probability(decode(completion.ids[:budget]))


def planners(bench: Bench, questions: list[Row]) -> dict[str, Row]:
    """Correction and tree search with the model as generator and its checked P(Yes) as discriminator."""
    judge = Checked(bench.yes, bench.executes)
    again = Correct(lambda prompt, sql: spider.asking_again(bench.by_prompt[prompt], sql), rounds=3)
    search = TreeSearch(next_clause, lambda sql: sql.endswith(";"), pops=5)
    found = {}
    for name, planner, setting in (("correct", again, "rounds=3"), ("tree search", search, "pops=5")):
        started = time.perf_counter()
        chosen = plan(bench, bench.policy, judge, planner, questions, samples=3)
        marks = [bool(bench.runs(q["id"], sql)["right"]) for q, sql in zip(questions, chosen, strict=True)]
        print(f"{name}: {sum(marks)} of {len(marks)}", flush=True)
        seconds = time.perf_counter() - started
        setting = f"samples=3, {setting}"
        found[name] = {"right": sum(marks), "n": len(marks), "setting": setting, "seconds": seconds, "chosen": chosen}
    return found


# --- what a person sees


def order(rows: list[Row], right: dict[str, list[bool]]) -> Row:
    """What the paper finds, and what is found here: an oracle's figures are means over its seeds."""
    ex = {row["method"]: row.get("mean_of_seeds", row["ex"]) for row in rows}
    judges = [f"rerank {judge}" for judge in (*(f"oracle p={p}" for p in DIALS), "P(Yes)")]
    gain = {judge: ex[f"{judge} + check"] - ex[judge] for judge in judges}
    dial = [ex[f"rerank oracle p={p}"] for p in DIALS]
    return {
        "gain_of_check": gain,
        "mcnemar_of_check": {judge: mcnemar(right[judge], right[f"{judge} + check"]) for judge in judges},
        "check_helps_every_imperfect_judge": all(g > 0 for judge, g in gain.items() if "p=1.0" not in judge),
        "better_oracle_better_accuracy": dial == sorted(dial) and dial[0] < dial[-1],
        "p_yes_checked_minus_greedy": ex["rerank P(Yes) + check"] - ex["greedy"],
        "p_yes_checked_minus_check_alone": ex["rerank P(Yes) + check"] - ex["rerank check alone"],
    }


def table(rows: list[Row]) -> str:
    lines = [f"{'method':32} {'ex':>6} {'ci95':>15} " + "".join(f"{name:>8}" for name in HARDNESS)]
    for row in rows:
        cells = "".join(f"{row['by_hardness'][name]['ex']:8.2f}" for name in HARDNESS)
        low, high = row["ci95"]
        lines.append(f"{row['method']:32} {row['ex']:6.3f} [{low:.3f}, {high:.3f}] {cells}")
    return "\n".join(lines)


def draw(rows: list[Row], path: Path) -> str:
    """Execution accuracy of every method, with its interval, and by hardness."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(15, 6), layout="constrained")
    names, ex = [row["method"] for row in rows], [row["ex"] for row in rows]
    errors = [[row["ex"] - row["ci95"][0] for row in rows], [row["ci95"][1] - row["ex"] for row in rows]]
    left.errorbar(ex, range(len(rows)), xerr=errors, fmt="o", capsize=3)
    left.axvline(ex[0], ls=":", color="grey")
    left.set_yticks(range(len(rows)), names)
    left.set_xlabel("execution accuracy, 95 % interval")
    for row in rows:
        if row["method"] in ("greedy", "rerank P(Yes)", "rerank P(Yes) + check", "rerank oracle p=1.0 + check"):
            right.plot(HARDNESS, [row["by_hardness"][h]["ex"] for h in HARDNESS], "o-", label=row["method"])
    right.set_title("by hardness")
    right.legend()
    right.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


if __name__ == "__main__":
    cli.run(main, Args)
