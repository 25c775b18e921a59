r"""The checker of mathematical answers: gold answers, labelled pairs, speed, and texts that mean harm.

    REASONGYM_DATA=... python -m benchmarks.verifier [--save] [--seed 0]

* ``gold``: every gold answer passes: GSM8K's worked answers against their numbers, MATH-500's worked solutions against
  its answers. Read from the folder named by REASONGYM_DATA; without it there is no such figure, and ``ok`` is false.
* ``pairs``: labelled pairs of gold and given answers, each given in a response (see `answer_pairs`).
* ``p50_us``: a check of a plain number in a response; ``p99_ms``: over all pairs, with a warm worker (starting one
  takes ``start_s``, once). ``hostile_max_s``: the slowest of the texts of ``hostile()`` against gold answers that
  need algebra and that do not.

Bar: all gold; at least 5,000 pairs, no false positive, at most 0.5 % false negatives; p50 < 50 us; 2 s.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.answer_pairs import Pair, pairs, response
from benchmarks.report import finish
from reasongym import answers
from reasongym.metrics import wilson

HOSTILE_GOLD = ("42", r"\sqrt{2}", "x^2+1", "(1, 2)", r"y = 2x + 1", r"\text{(C)}")


def hostile() -> dict[str, str]:
    """Texts that are meant to hang, to crash or to exhaust, by name."""
    deep = 3000
    return {
        "tower": "9^{9^{9^9}}",
        "log tower": r"\log \log \log 9^{9^{9}}",
        "exp tower": "e^{e^{e^{e^{9}}}}",
        "factorial": "10000000!",
        "factorials": "((9!)!)!",
        "binomial": r"\binom{10^{9}}{10^{8}}",
        "power": "(x+y+z+a+b+c)^{500}",
        "big root": "(2^{1/10^{9}})^{9}",
        "round brackets": "(" * deep + "1" + ")" * deep,
        "open brackets": "(" * deep,
        "braces": "{" * deep + "1" + "}" * deep,
        "backslashes": "\\" * 100000,
        "roots": r"\sqrt{" * 29 + "2" + "}" * 29,
        "fractions": r"\frac{1}{1+" * 28 + "x" + "}" * 28,
        "nested sets": r"\{1," * 29 + "2" + r"\}" * 29,
        "long integer": "9" * 5000,
        "long sum": "+".join(["x"] * 240),
        "long product": "(x+1)" * 95,
        "exponent": "1e999999999",
        "science": r"1 \times 10^{999999999}",
        "repeating": "0." + "1" * 99 + r"\overline{" + "3" * 99 + "}",
        "sines": r"\sin " * 70 + "x",
        "tangents": r"\tan(\tan(\tan(\tan(10^{50}x))))",
        "sum": r"\sum_{k=1}^{10^{12}} \frac{1}{k^2}",
        "integral": r"\int_0^1 x^{x^{x^x}} dx",
        "boxes": r"\boxed{" * 20000,
        "marks": "#### " * 50000,
        "answers": "answer is " * 40000,
        "spaces": "1" + " " * 200000 + "x",
        "commas": "1," * 2900,
        "digits": "1 " * 2900,
        "letters": "a" * 5900,
        "surrogates": "\ud800\udfff\x00" * 300,
        "percent": "%" * 5000,
        "dollars": "$" * 5000,
        "degrees": "1" + "°" * 3000,
        "text": r"1\text{" * 900,
        "units": "1" + " cm" * 1900,
        "equals": "x=" * 2500,
        "signs": "-" * 5000 + "1",
        "plus or minus": r"\pm 1," * 900,
        "less": "1<" * 2000 + "x",
    }


def hostile_max() -> tuple[float, str]:
    """Seconds of the slowest check, and the name of its text; every verdict must be a wrong answer."""
    slowest = (0.0, "")
    for name, text in hostile().items():
        for whole in (text, rf"\boxed{{{text}}}"):
            for gold in HOSTILE_GOLD:
                start = time.perf_counter()
                verdict = answers.check(whole, gold)
                slowest = max(slowest, (time.perf_counter() - start, name))
                assert verdict.valid and verdict.score == 0, (name, gold, verdict)
    return slowest


def gold_sets() -> dict[str, dict[str, int]]:
    folder = os.environ.get("REASONGYM_DATA")
    if not folder:
        print("REASONGYM_DATA is not set: no gold figures")
        return {}
    school = [row["answer"] for split in ("test", "train") for row in rows(folder, f"gsm8k/{split}.jsonl")]
    sets = {
        "gsm8k": [(answer, answer.rpartition("#### ")[2]) for answer in school],
        "math500": [(row["solution"], row["answer"]) for row in rows(folder, "math500/test.jsonl")],
    }
    return {k: {"n": len(s), "passed": sum(answers.check(t, g).score == 1 for t, g in s)} for k, s in sets.items()}


def rows(folder: str, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (Path(folder) / name).read_text(encoding="utf-8").splitlines()]


def plain_p50(seed: int) -> float:
    """Microseconds, the median over checks of plain numbers in a short response, as often wrong as right."""
    r, times = random.Random(seed), []
    for _ in range(20000):
        n = r.randint(0, 10 ** r.randint(1, 6))
        said = r.choice([n, n + 1])
        spelling = r.choice([str(said), f"{said:,}", f"{said}.5"])
        text = rf"Thus she pays {n + 7} - 7 dollars. The answer is \boxed{{{spelling}}}."
        start = time.perf_counter()
        answers.check(text, str(n))
        times.append(time.perf_counter() - start)
    return 1e6 * statistics.median(times)


def checked(labelled: list[Pair], seed: int) -> tuple[list[Pair], list[float]]:
    """The pairs that were judged against their label, and the seconds that each check took."""
    r, wrong, times = random.Random(seed), [], []
    for pair in labelled:
        text = response(r, pair.answer)
        start = time.perf_counter()
        verdict = answers.check(text, pair.gold)
        times.append(time.perf_counter() - start)
        if not verdict.valid or (verdict.score == 1) != pair.right:
            wrong.append(pair)
    return wrong, times


def figures_of(seed: int) -> dict[str, Any]:
    started = time.perf_counter()
    assert answers.equal(r"\frac{1}{\sqrt{2}}", r"\frac{\sqrt{2}}{2}", timeout_s=60)
    start_s = time.perf_counter() - started
    labelled = pairs(seed)
    wrong, times = checked(labelled, seed + 1)
    for pair in wrong[:40]:
        print(*pair, sep=" | ")
    right = sum(pair.right for pair in labelled)
    false_neg, false_pos = sum(p.right for p in wrong), sum(not p.right for p in wrong)
    slowest, name = hostile_max()
    return {
        "gold": gold_sets(),
        "pairs": len(labelled),
        "pairs_by_kind": {k: sum(p.kind == k for p in labelled) for k in sorted({p.kind for p in labelled})},
        "right": right,
        "false_pos": false_pos,
        "false_pos_share": {"n": len(labelled) - right, "ci95": wilson(false_pos, len(labelled) - right)},
        "false_neg": false_neg,
        "false_neg_share": {"n": right, "ci95": wilson(false_neg, right)},
        "p50_us": round(plain_p50(seed), 2),
        "p99_ms": round(1e3 * statistics.quantiles(times, n=100)[98], 2),
        "start_s": round(start_s, 2),
        "hostile_max_s": round(slowest, 3),
        "hostile_slowest": name,
        "hostile_kinds": len(hostile()),
    }


def meets_the_bar(f: dict[str, Any]) -> bool:
    gold = len(f["gold"]) == 2 and all(s["passed"] == s["n"] for s in f["gold"].values())
    exact = f["pairs"] >= 5000 and f["false_pos"] == 0 and f["false_neg"] <= 0.005 * f["right"]
    return bool(gold and exact and f["p50_us"] < 50 and f["hostile_max_s"] <= 2)


def main() -> bool:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    started = time.perf_counter()
    figures = figures_of(args.seed)
    ok = meets_the_bar(figures)
    finish("verifier", ok, figures, seeds=[args.seed], started=started, save=args.save)
    return ok


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
