"""What `sql_planning` needs of a model and of SQLite, each thing done once and kept in a file: samples, scores, runs.

Questions come in an order drawn once, one hardness after the other in turn, so that the first n are a balanced sample
for any n; those whose gold query finds no row are left out, for almost any failure would match them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from reasongym.core import Request, Sampling, UserError
from reasongym.judging import overlap
from reasongym.sandbox.sqlite import Database, Guard, Result, execute, match
from reasongym.sql.hardness import HARDNESS, hardness
from reasongym.sql.schema import from_spider, shown
from reasongym.sql.text import is_ordered, normal_form

Row = dict[str, Any]
OPENED, BEGIN = "```sql\n", "SELECT"  # what each answer begins with: the paper forces SELECT too
STOPS = (";", "```")


def load_questions(data: str, count: int, seed: int) -> list[Row]:
    """The first ``count`` of Spider's dev set in the drawn order, each with its hardness, schema and database."""
    folder = Path(data, "spider_en")
    if not data or not (folder / "dev.jsonl").is_file():
        raise UserError(f"no {folder}/dev.jsonl: set REASONGYM_DATA or --data to a folder with spider_en/")
    schemas = {t["db_id"]: shown(from_spider(t), "line") for t in json.loads((folder / "tables.json").read_text())}
    rows = [row for row in read_lines(folder / "dev.jsonl") if row["gold_rows"]]
    for row in rows:
        file = folder / "database" / row["db_id"] / f"{row['db_id']}.sqlite"
        row |= {"hardness": hardness(row["query"]), "schema": schemas[row["db_id"]], "database": str(file)}
    order = np.random.default_rng(seed).permutation(len(rows))
    by_class = [[rows[i] for i in order if rows[i]["hardness"] == h] for h in HARDNESS]
    return [row for turn in zip_longest(*by_class) for row in turn if row is not None][:count]


# --- what the model is asked


def asking(row: Row) -> str:
    """For a query."""
    return (
        f"-- Database {row['db_id']}, tables and their columns:\n{row['schema']}\n-- Question: {row['question']}\n"
        "Write one SQLite query that answers the question. Answer with the query alone."
    )


def asking_yes(row: Row, sql: str) -> str:
    """For the first word, Yes or No."""
    return (
        f"-- Database {row['db_id']}, tables and their columns:\n{row['schema']}\n-- Question: {row['question']}\n"
        f"-- SQL: {sql}\nDoes the SQL query answer the question correctly? Answer Yes or No."
    )


def asking_verdict(row: Row, sql: str) -> str:
    """For a thought and a verdict in JSON."""
    return (
        f"-- Database {row['db_id']}, tables and their columns:\n{row['schema']}\n-- Question: {row['question']}\n"
        f"-- SQL: {sql}\nDecide whether the SQL query answers the question. First go through the query step by step, "
        "then say whether it gives just what is asked for. Judge only; do not write another query. End with a JSON "
        'object: {"correct": true} or {"correct": false}.'
    )


def asking_again(row: Row, sql: str) -> str:
    """For a better query than this one."""
    return f"{asking(row)}\n-- This query is not right:\n{sql}\n-- Write the right one."


# --- what it writes


def generate(
    policy: Any, questions: Sequence[Row], cache: Path, *, samples: int, batch: int, tokens: int, heat: float, seed: int
) -> dict[int, list[Row]]:
    """The greedy answer and then the samples of every question: read from the cache, or generated into it.

    ``policy`` is called only if something is missing: it gives the policy.
    """
    have = {(r["id"], r["sample"]): r for r in read_lines(cache)}
    numbers = range(-1, samples)
    todo = [q for q in questions if any((q["id"], n) not in have for n in numbers)]
    for at in range(0, len(todo), batch):
        started = time.perf_counter()
        part = [(q, n) for q in todo[at : at + batch] for n in numbers]
        requests = [request(policy().tokenizer, q, n, tokens, heat, seed) for q, n in part]
        said = policy().generate(requests)
        for (q, n), c in zip(part, said, strict=True):
            have[q["id"], n] = {"id": q["id"], "sample": n, "text": c.text, "finish": c.finish, "tokens": len(c.ids)}
        append_lines(cache, (have[q["id"], n] for q, n in part))
        rate = sum(len(c.ids) for c in said) / (time.perf_counter() - started)
        print(f"{at + len(part) // len(numbers)}/{len(todo)} questions, {rate:.1f} tokens/s", flush=True)
    return {q["id"]: [have[q["id"], n] for n in numbers] for q in questions}


def request(tokenizer: Any, question: Row, sample: int, tokens: int, heat: float, seed: int) -> Request:
    """Sample -1 is the greedy answer; each of the others has a random stream of its own."""
    key = (seed, question["id"], sample + 1, 0)
    opened = OPENED + BEGIN
    return Request(
        key=key,
        prompt=asking(question),
        response=opened,
        response_ids=tuple(tokenizer.encode(opened)),
        room=tokens,
        stop=STOPS,
        seed=int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]),
        sampling=Sampling(0.0 if sample < 0 else heat),
    )


# --- what SQLite says


@dataclass
class Runs:
    """Every query that was run, by question: whether it executes, whether it is right, how much of the gold it has.

    Right is Spider's execution match: the same rows, in order where the gold query has an order, columns in any order.
    """

    questions: dict[int, Row]
    cache: Path
    known: dict[tuple[int, str], Row] = field(default_factory=dict)
    gold: dict[int, Result] = field(default_factory=dict)
    counts: dict[tuple[int, str], int] = field(default_factory=dict)  # executions in this process

    def __post_init__(self) -> None:
        self.known |= {(r["id"], r["sql"]): r for r in read_lines(self.cache)}

    @property
    def reruns(self) -> int:
        return sum(count - 1 for count in self.counts.values())

    def __call__(self, question: int, sql: str) -> Row:
        if (question, sql) not in self.known:
            self.known[question, sql] = found = self._run(self.questions[question], sql)
            append_lines(self.cache, [found])
        return self.known[question, sql]

    def _execute(self, row: Row, sql: str) -> Result:
        self.counts[row["id"], sql] = self.counts.get((row["id"], sql), 0) + 1
        return execute(Database(row["database"]), sql, Guard(seconds=10.0, steps=200_000_000))

    def _run(self, row: Row, sql: str) -> Row:
        if row["id"] not in self.gold:
            self.gold[row["id"]] = self._execute(row, row["query"])
        gold, result = self.gold[row["id"]], self._execute(row, sql)
        if gold.error:
            raise UserError(f"the gold query of question {row['id']} fails: {gold.error}")
        right = match(gold, result, is_ordered(row["query"]))
        worth = overlap(None if result.error else result.rows, gold.rows)
        found = {"id": row["id"], "sql": sql, "runs": result.ok, "right": right}
        return found | ({"overlap": worth} if result.ok else {"error": result.error})


def candidate(text: str) -> str:
    """The query of a completion, in normal form; "" for none."""
    return normal_form(BEGIN + text.partition("```")[0]) if text.strip() else ""


# --- files


def read_lines(path: Path) -> Iterator[Row]:
    """The rows of a jsonl file, if there is one; a line that a kill has cut short is left out."""
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):
                yield json.loads(line)


def append_lines(path: Path, rows: Iterable[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" + "\n".join(json.dumps(row) for row in rows) + "\n")  # after a line that was cut short, too
