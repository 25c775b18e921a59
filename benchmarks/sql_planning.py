"""Generator and discriminator on Spider's questions, with a real model: greedy against re-ranking of its samples.

    OMP_NUM_THREADS=1 python -m benchmarks.sql_planning --model FOLDER [--questions 100] [--save]

Every completion and every score is written to ``--out`` as it comes, so a run that was stopped goes on from there,
and the same query is never executed, or judged, twice. Questions come in an order drawn once, one hardness after the
other in turn, so that the first n are a balanced sample for any n; those whose gold query finds no row are left out.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

import numpy as np

from reasongym import cli
from reasongym.core import Request, Sampling, UserError
from reasongym.sql.hardness import HARDNESS, hardness

Row = dict[str, Any]
OPENED = "```sql\nSELECT"  # what each answer begins with: the paper forces SELECT too
STOPS = (";", "```")


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
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    device: str = "cpu"
    out: str = "runs/sql_planning"
    seed: int = 0
    save: bool = False


def main(args: Args) -> None:
    questions = load_questions(args)
    generate(args, questions)


# --- questions and prompts


def load_questions(args: Args) -> list[Row]:
    """The first ``--questions`` of Spider's dev set in the drawn order, each with its hardness and its schema."""
    folder = Path(args.data, "spider_en")
    if not args.data or not (folder / "dev.jsonl").is_file():
        raise UserError(f"no {folder}/dev.jsonl: set REASONGYM_DATA or --data to a folder with spider_en/")
    schemas = {t["db_id"]: schema_text(t) for t in json.loads((folder / "tables.json").read_text())}
    rows = [json.loads(line) for line in (folder / "dev.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = [{**r, "hardness": hardness(r["query"]), "schema": schemas[r["db_id"]]} for r in rows if r["gold_rows"]]
    order = np.random.default_rng(args.seed).permutation(len(rows))
    by_class = [[rows[i] for i in order if rows[i]["hardness"] == h] for h in HARDNESS]
    mixed = [row for turn in zip_longest(*by_class) for row in turn if row is not None]
    return mixed[: args.questions]


def schema_text(table: Row) -> str:
    """One commented line a table: its name and its columns, in lower case, as the planning framework shows it."""
    lines = []
    for number, name in enumerate(table["table_names_original"]):
        columns = ", ".join(c.lower() for t, c in table["column_names_original"] if t == number)
        lines.append(f"-- {name.lower()}: {columns}")
    return "\n".join(lines)


def asking(row: Row) -> str:
    return (
        f"-- Database {row['db_id']}, tables and their columns:\n{row['schema']}\n-- Question: {row['question']}\n"
        "Write one SQLite query that answers the question. Answer with the query alone."
    )


# --- what the model writes


def generate(args: Args, questions: list[Row]) -> dict[int, list[Row]]:
    """The greedy answer and the samples of every question: read from the cache, or generated into it."""
    cache = Path(args.out, "completions.jsonl")
    have = {(r["id"], r["sample"]): r for r in read_lines(cache)}
    numbers = range(-1, args.samples)
    todo = [q for q in questions if any((q["id"], n) not in have for n in numbers)]
    if todo:
        from reasongym.policies.hf import HF

        policy = HF(args.model, dtype=args.dtype, device=args.device, slots=args.batch * len(numbers))
        for at in range(0, len(todo), args.batch):
            started = time.perf_counter()
            part = [(q, n) for q in todo[at : at + args.batch] for n in numbers]
            said = policy.generate([request(args, policy.tokenizer, q, n) for q, n in part])
            seconds = time.perf_counter() - started
            for (q, n), c in zip(part, said, strict=True):
                have[q["id"], n] = {
                    "id": q["id"],
                    "sample": n,
                    "text": c.text,
                    "finish": c.finish,
                    "tokens": len(c.ids),
                }
            append_lines(cache, (have[q["id"], n] for q, n in part))
            tokens = sum(len(c.ids) for c in said)
            print(
                f"{at + len(part) // len(numbers)}/{len(todo)} questions, {tokens / seconds:.1f} tokens/s", flush=True
            )
    return {q["id"]: [have[q["id"], n] for n in numbers] for q in questions}


def request(args: Args, tokenizer: Any, question: Row, sample: int) -> Request:
    """Sample -1 is the greedy answer; each of the others has a random stream of its own."""
    key = (args.seed, question["id"], sample + 1, 0)
    return Request(
        key=key,
        prompt=asking(question),
        response=OPENED,
        response_ids=tuple(tokenizer.encode(OPENED)),
        room=args.tokens,
        stop=STOPS,
        seed=int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]),
        sampling=Sampling(0.0 if sample < 0 else args.temperature),
    )


def read_lines(path: Path) -> Iterator[Row]:
    """The rows of a jsonl file, if there is one; a line that a kill has cut short is left out."""
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):
                yield json.loads(line)


def append_lines(path: Path, rows: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" + "\n".join(json.dumps(row) for row in rows) + "\n")  # after a line that was cut short, too


if __name__ == "__main__":
    cli.run(main, Args)
