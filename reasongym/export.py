r"""Problems as rows of a file that other trainers read.

``"trl"``: ``prompt`` (messages), ``answer``, and what a reward function needs to judge again. ``"verl"``:
``data_source``, ``prompt`` (messages), ``ability``, ``reward_model`` and ``extra_info``. For satisfiability also
``"saturn"``, the schema of SATURN's own rows, and ``"dimacs"``, a folder of CNF files. `problem_of` turns a row of the
first two back into a `core.Problem`, so that the task's ``verify`` can be another trainer's reward.

The file is .jsonl or .parquet, by its suffix; ``datasets.load_dataset`` loads both.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import numpy as np

from reasongym import cnf
from reasongym.core import Problem, Task, UserError

Row = dict[str, Any]
Schema = Literal["trl", "verl", "saturn", "dimacs"]

_BLOCK = 1 << 14  # satisfiability problems drawn at once
_HOLE = "\x00"  # where a prompt's formula goes


@dataclass
class Export:
    """Write an environment's problems to a file that other trainers read."""

    id: str
    out: Path
    """A .jsonl or .parquet file; with --schema dimacs a folder."""
    n: int = 1000
    levels: str = "0"
    """Such as 0 or 1,2,5-8: as many problems of each (the first ones get one more, if need be)."""
    schema: Schema = "trl"
    split: str = "train"
    """Only a name, in the rows of verl."""
    seed: int = 0
    env_settings: dict[str, Any] = field(default_factory=dict)


def export_command(args: Export) -> None:
    """The command ``reasongym export``."""
    if args.n < 1 or args.seed < 0:
        raise UserError(f"--n {args.n} must be at least 1, and --seed {args.seed} at least 0")
    levels = parse_levels(args.levels)
    try:
        env: Any = gym.make(args.id, disable_env_checker=True, **args.env_settings).unwrapped
    except (ImportError, TypeError) as error:
        raise UserError(f"{args.id}: {error}") from error
    if not hasattr(env, "task"):
        raise UserError(f"{args.id} is no environment of reasongym's kind: it has no task")
    if args.schema in ("saturn", "dimacs"):
        found = instances(env.task, args.n, levels, args.seed)
        count = write_dimacs(args.out, found) if args.schema == "dimacs" else write(args.out, saturn_lines(found))
    else:
        posed = problems(env.task, args.n, levels, args.seed)
        rows = to_rows(posed, args.schema, source=args.id, split=args.split)
        count = write(args.out, (f"{json.dumps(row)}\n" for row in rows))
    print(f"{args.out}: {count} problems")


def parse_levels(text: str) -> list[int]:
    """``"0,2,4-6"`` as [0, 2, 4, 5, 6]."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or (dash and int(last) < int(first)):
            raise UserError(f"--levels {text}: give levels such as 0 or 1,2,5-8")
        found += range(int(first), int(last if dash else first) + 1)
    return list(dict.fromkeys(found))


def problems(task: Task, n: int, levels: Sequence[int] = (0,), seed: int = 0) -> Iterator[Problem]:
    """``n`` problems, the levels by turns; problem i is pure in (seed, i) and its level."""
    return (task.sample(np.random.default_rng((seed, i)), levels[i % len(levels)]) for i in range(n))


def to_rows(posed: Iterable[Problem], schema: str, *, source: str, split: str = "train") -> Iterator[Row]:
    """Rows for TRL or verl."""
    for i, problem in enumerate(posed):
        messages = [{"role": "user", "content": problem.prompt}]
        try:
            data = json.dumps([problem.answer, dict(problem.data)])
        except (TypeError, ValueError) as error:
            raise UserError(f"{source}: JSON cannot hold a problem's answer and data ({error})") from error
        answer = problem.answer if isinstance(problem.answer, str) else json.dumps(problem.answer)
        again = {"id": problem.id, "level": problem.level, "data": data}
        if schema == "trl":
            yield {"prompt": messages, "answer": answer, **again}
        else:
            yield {
                "data_source": source,
                "prompt": messages,
                "ability": "reasoning",
                "reward_model": {"style": "rule", "ground_truth": answer},
                "extra_info": {"split": split, "index": i, **again},
            }


def problem_of(row: Mapping[str, Any]) -> Problem:
    """The problem of a row for TRL or verl."""
    again = row.get("extra_info", row)
    answer, data = json.loads(again["data"])
    return Problem(again["id"], row["prompt"][-1]["content"], answer, int(again["level"]), data)


# --- satisfiability


@dataclass(frozen=True)
class Drawn:
    """Some instances with their numbers in the file, and the task that asks about them."""

    task: Any
    found: cnf.Instances
    index: range
    level: int


def instances(task: Any, n: int, levels: Sequence[int] = (0,), seed: int = 0) -> Iterator[Drawn]:
    """``n`` instances of satisfiability, level after level, in blocks that the task draws at once."""
    if not hasattr(task, "batch"):
        raise UserError(f"{type(task).__name__}: only satisfiability (SAT-v0) has the schemas saturn and dimacs")
    done = 0
    for turn, level in enumerate(levels):
        share = n // len(levels) + (turn < n % len(levels))
        rng = np.random.default_rng((seed, level))
        for at in range(0, share, _BLOCK):
            count = min(_BLOCK, share - at)
            yield Drawn(task, task.batch(rng, count, level), range(done, done + count), level)
            done += count


def saturn_lines(drawn: Iterable[Drawn]) -> Iterator[str]:
    """SATURN's schema (id, n_sat, k, solution, clause, prompt), a line of JSON each.

    Formulas and assignments have no character that JSON would escape, so only the prompts' frame is encoded.
    """
    for part in drawn:
        n, k, _ = part.found.size
        if getattr(part.task, "format", "letters") != "letters":
            raise UserError("SATURN's schema is of letters: leave out --env.format dimacs, or write --schema dimacs")
        before, after = (json.dumps(text)[1:-1] for text in part.task.ask(_HOLE, k).split(_HOLE))
        joint = "&" if part.task.prompt == "short" else " & "
        clauses = part.found.texts()
        inside = clauses if joint == " & " else part.found.texts(joint)
        for i, answer, clause, shown in zip(part.index, part.found.answers, clauses, inside, strict=True):
            yield (
                f'{{"id": {i}, "n_sat": {n}, "k": {k}, "solution": "{answer}", "clause": "{clause}", '
                f'"prompt": "{before}{shown}{after}"}}\n'
            )


def write_dimacs(folder: Path, drawn: Iterable[Drawn]) -> int:
    """One CNF file an instance, with its number, its level and an answer in comments; returns how many."""
    count = 0
    _writable(folder)
    for part in drawn:
        for i, answer, clauses in zip(part.index, part.found.answers, part.found.formulas(), strict=True):
            head = f"c {i}, level {part.level}\nc answer {answer}\n"
            text = head + cnf.to_dimacs(clauses, part.found.size[1])
            (folder / f"{i:06d}.cnf").write_text(text, encoding="ascii")
            count += 1
    return count


def _writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be a folder of files ({error})") from error


# --- files


def write(out: Path, lines: Iterable[str]) -> int:
    """Write rows, given as lines of JSON, to a .jsonl or .parquet file; returns how many."""
    if out.suffix not in (".jsonl", ".parquet"):
        raise UserError(f"{out}: rows are written to .jsonl and .parquet files")
    _writable(out.parent)
    return _parquet(out, lines) if out.suffix == ".parquet" else _jsonl(out, lines)


def _jsonl(out: Path, lines: Iterable[str]) -> int:
    count, given, unfinished = 0, iter(lines), out.with_name(f"{out.name}.part")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            while some := list(islice(given, 1024)):  # one by one, rows take twice as long to write
                file.write("".join(some))
                count += len(some)
        unfinished.replace(out)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error})") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return count


def _parquet(out: Path, lines: Iterable[str]) -> int:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise UserError(f"{out}: parquet files need pyarrow: pip install 'reasongym[hf]'") from error
    table = pyarrow.Table.from_pylist([json.loads(line) for line in lines])
    try:
        parquet.write_table(table, out)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error})") from error
    return int(table.num_rows)
