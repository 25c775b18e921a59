"""Text to SQL: write the query that answers a question; right is one that gives what the gold query gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from reasongym.core import Problem, UserError, Verdict
from reasongym.sandbox.sqlite import Database
from reasongym.sql import schema as schemas
from reasongym.sql.answers import query_in
from reasongym.sql.domains import DOMAINS
from reasongym.sql.execution import ExecutionMatch
from reasongym.sql.folders import Item, read
from reasongym.sql.invented import INVENTED
from reasongym.sql.questions import LEVELS, pose

Form = Literal["create", "line"]
FORMS = ("create", "line")
_ASK = """Write one SQLite query that answers the question about this database.

{schema}

Question: {question}{evidence}

Give the query in a block: a line of three back-ticks and the word sql, the query, a line of three back-ticks. \
If you write several, the last one counts."""


@dataclass(frozen=True)
class DrawnSQL:
    """Questions drawn over drawn databases, with nothing to download.

    Level 1 filters and orders, 2 aggregates, 3 groups, 4 joins, 5 nests, 6 combines sets (`reasongym.sql.questions`);
    0 is any of them. A problem's database is the statements that make it, in ``data["database"]``; ``question`` and
    ``tables`` (name to columns) stand beside it.

    Args:
        domains: What the databases may be about, of `reasongym.sql.domains.DOMAINS`; others make unseen schemas.
            ``"invented"`` is a domain of made-up words, another one in each database.
        schema: ``"create"`` shows CREATE TABLE statements, ``"line"`` a line of names a table.
        rule: What is right: see `ExecutionMatch`.
    """

    domains: Sequence[str] = tuple(DOMAINS)
    schema: Form = "create"
    rule: ExecutionMatch = field(default_factory=ExecutionMatch)

    def __post_init__(self) -> None:
        _check_form(self.schema)
        unknown = [name for name in self.domains if name not in (*DOMAINS, INVENTED)]
        if unknown or not self.domains:
            raise UserError(f"sql: domains={self.domains!r} must be some of {', '.join((*DOMAINS, INVENTED))}")
        object.__setattr__(self, "domains", tuple(self.domains))

    @property
    def levels(self) -> tuple[str, ...]:
        """What level 1, 2, ... ask for."""
        return LEVELS

    @property
    def last_level(self) -> int:
        return len(LEVELS)

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        drawn = pose(rng, level, self.domains)
        asked = ask(drawn.question, schemas.shown(drawn.world.tables, self.schema))
        told = {"question": drawn.question, "tables": schemas.names(drawn.world.tables)}
        return Problem.of(asked, drawn.gold, level, database=drawn.world.script, **told)

    def verify(self, problem: Problem, text: str) -> Verdict:
        return _verify(self.rule, problem, text)

    def demonstrate(self, problem: Problem, rng: np.random.Generator) -> str:
        """The gold query in a block."""
        return _block(problem.answer)


@dataclass(frozen=True)
class FolderSQL:
    """The questions of a data set (see `reasongym.sql.folders`): a `core.FiniteTask`.

    The level of a question is its hardness by Spider's four classes, 1 (easy) to 4 (extra), or BIRD's own difficulty,
    1 to 3; `sample` draws from that level, and from all with level 0. ``data["database"]`` is the path of the file,
    which begins with ``source`` as it is given.

    Args:
        source: The folder.
        split: ``"dev"``, ``"train"`` or what else there is.
        schema: As in `DrawnSQL`.
        rule: The same.
    """

    source: str
    split: str = "dev"
    schema: Form = "create"
    rule: ExecutionMatch = field(default_factory=ExecutionMatch)

    def __post_init__(self) -> None:
        _check_form(self.schema)

    def __len__(self) -> int:
        return len(self._items)

    def problem(self, i: int) -> Problem:
        if not 0 <= i < len(self):
            raise UserError(f"sql: there is no problem {i}; there are problems 0 to {len(self) - 1}")
        item = self._items[i]
        asked = ask(item.question, schemas.shown(item.tables, self.schema), item.evidence)
        told = {"question": item.question, "tables": schemas.names(item.tables)}
        return Problem.of(asked, item.gold, _level(item), database=item.path, **told)

    @property
    def last_level(self) -> int:
        return max(self._of_level, default=0)

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        there = self._of_level.get(level, []) if level else range(len(self))
        if not there:
            raise UserError(f"sql: no question of {self.source!r} has level {level}; there is {sorted(self._of_level)}")
        return self.problem(int(there[int(rng.integers(len(there)))]))

    def verify(self, problem: Problem, text: str) -> Verdict:
        return _verify(self.rule, problem, text)

    def demonstrate(self, problem: Problem, rng: np.random.Generator) -> str:
        """The gold query in a block."""
        return _block(problem.answer)

    @cached_property
    def _items(self) -> list[Item]:
        return read(self.source, self.split)

    @cached_property
    def _of_level(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for i, item in enumerate(self._items):
            found.setdefault(_level(item), []).append(i)
        return found


def make(
    source: str | None = None,
    *,
    split: str = "dev",
    domains: Sequence[str] | None = None,
    schema: Form = "create",
    keep_distinct: bool = True,
    copies: int = 6,
    perturb: Literal["drop", "shuffle", "plant"] = "plant",
    empty: Literal["strict", "spider"] = "strict",
    tolerance: float = 1e-9,
    seconds: float = 1.0,
    backend: str = "auto",
    unsafe: bool = False,
) -> DrawnSQL | FolderSQL:
    """`FolderSQL` of a folder, or `DrawnSQL` without one; the other settings are of `ExecutionMatch`."""
    rule = ExecutionMatch(keep_distinct, copies, perturb, empty, tolerance, seconds, backend=backend, unsafe=unsafe)
    if source is None:
        return DrawnSQL(tuple(DOMAINS) if domains is None else domains, schema, rule)
    if domains is not None:
        raise UserError(f"sql: domains={domains!r} are of drawn questions: leave out source={source!r}")
    return FolderSQL(source, split, schema, rule)


def ask(question: str, schema: str, evidence: str = "") -> str:
    """The prompt; ``evidence`` is what BIRD says besides the question."""
    return _ASK.format(schema=schema, question=question, evidence=f"\nHint: {evidence}" if evidence else "")


def _verify(rule: ExecutionMatch, problem: Problem, text: str) -> Verdict:
    database = problem.data.get("database")
    if not isinstance(database, str):
        raise UserError(f"sql: problem {problem.id} has no database: give Problem.of one, database=PATH or statements")
    return rule.judge(Database.of(database), problem.answer, query_in(text))


def _block(sql: Any) -> str:
    return f"```sql\n{sql}\n```"


def _level(item: Item) -> int:
    if item.difficulty:
        return item.difficulty
    from reasongym.sql.hardness import HARDNESS, hardness

    return HARDNESS.index(hardness(item.gold)) + 1


def _check_form(form: str) -> None:
    if form not in FORMS:
        raise UserError(f"sql: schema={form!r} must be {' or '.join(map(repr, FORMS))}")
