"""Text to SQL: drawn questions, data sets as folders, what counts as an answer, and when it is right."""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.sql_match import PETS, TRAPS
from reasongym import parts
from reasongym.core import FiniteTask, Problem, UserError
from reasongym.sandbox.sqlite import Copy, Database, Result, execute
from reasongym.sql import execution
from reasongym.sql.answers import query_in
from reasongym.sql.domains import DOMAINS
from reasongym.sql.drawing import STYLES
from reasongym.sql.execution import ExecutionMatch
from reasongym.sql.questions import LEVELS, TEMPLATES, pose
from reasongym.sql.schema import Table, from_spider, quoted
from reasongym.sql.text import has_limit, is_ordered, without_distinct

DATA = os.environ.get("REASONGYM_DATA", "")
needs_data = pytest.mark.skipif(
    not Path(DATA, "spider_en").is_dir(), reason="REASONGYM_DATA names no folder with spider_en/"
)
FOREVER = "WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x) SELECT max(n) FROM x"
PET = Database(script=PETS)


def fenced(sql: str) -> str:
    return f"```sql\n{sql}\n```"


def drawn(seed: int = 0, level: int = 0, **settings: Any) -> tuple[Any, Problem]:
    task = parts.make("tasks", "sql", **settings)
    return task, task.sample(np.random.default_rng(seed), level)


# --- what the drawn questions are


@pytest.mark.parametrize("level", range(1, len(LEVELS) + 1))
def test_gold_is_right_and_ordered_questions_say_so(level: int) -> None:
    for seed in range(12):
        task, problem = drawn(seed, level)
        verdict = task.verify(problem, task.demonstrate(problem, np.random.default_rng(0)))
        assert (verdict.score, verdict.valid, verdict.answer) == (1.0, True, problem.answer), problem.prompt
        assert problem.level == level and problem.data["database"].startswith("CREATE TABLE")
        assert problem.answer not in problem.prompt
        rows = execute(Database(script=problem.data["database"]), problem.answer).rows
        assert rows and rows[0] != (None,)
        assert ("highest" in problem.prompt or "lowest" in problem.prompt or "most" in problem.prompt) or not (
            is_ordered(problem.answer)
        )


def test_levels_get_harder_in_kind() -> None:
    words = {1: (" WHERE ", "ORDER"), 2: ("(",), 3: ("GROUP BY",), 4: (" JOIN ",), 5: ("(SELECT ",)}
    words[6] = ("INTERSECT", "EXCEPT", "UNION")
    for level, some in words.items():
        for seed in range(20):
            gold = pose(np.random.default_rng(seed), level).gold
            assert any(word in gold for word in some), (level, gold)
            assert level == 6 or not any(word in gold for word in words[6])
    assert {pose(np.random.default_rng(seed)).level for seed in range(60)} == set(range(1, 7))


def test_every_template_domain_and_style_is_drawn() -> None:
    posed = [pose(np.random.default_rng(seed), 1 + seed % 6) for seed in range(600)]
    assert {p.world.child.entity.one for p in posed} == {d.child.one for d in DOMAINS.values()}
    starts = Counter((p.level, " ".join(p.gold.split()[:2])) for p in posed)
    assert len(starts) > len(LEVELS) * 2 and min(Counter(p.level for p in posed).values()) == 100
    columns = {p.world.child.name for p in posed}
    assert {"name", "Name"} < columns and any(c.endswith("_name") for c in columns) and len(STYLES) == 4
    assert sum(map(len, TEMPLATES)) == len({t for level in TEMPLATES for t in level}) == 27


def test_superlatives_have_no_ties_on_the_drawn_rows() -> None:
    """The gold query says the same whichever way the rows are stored."""
    for seed in range(60):
        posed = pose(np.random.default_rng(seed), 1 + seed % 6)
        if not has_limit(posed.gold):
            continue
        first, *statements = posed.world.script.split("INSERT INTO ")
        turned = [first]
        for statement in statements:
            head, rows = statement.split(" VALUES\n")
            turned.append(f"{head} VALUES\n" + ",\n".join(reversed(rows.rstrip(";\n").split(",\n"))) + ";\n")
        script = turned[0] + "".join(f"INSERT INTO {t}" for t in turned[1:]).replace("INTEGER PRIMARY", "INT PRIMARY")
        assert (
            execute(Database(script=script), posed.gold).rows
            == execute(Database(script=posed.world.script), posed.gold).rows
        )


def test_domains_can_be_held_out_and_schemas_shown_in_a_line() -> None:
    _, problem = drawn(1, 4, domains=("library",), schema="line")
    assert "-- author" in problem.prompt.lower() and "CREATE" not in problem.prompt and "book" in problem.prompt
    _, same = drawn(1, 4, domains=["library"])
    assert "CREATE TABLE" in same.prompt and same.answer == problem.answer
    for bad, said in (({"domains": ("x",)}, "some of library"), ({"domains": ()}, "some of")):
        with pytest.raises(UserError, match=said):
            drawn(**bad)  # type: ignore[arg-type]


def test_made_up_domains_are_new_ones_each_time() -> None:
    """Any word may be a table's or a column's name, so none is a word of SQL: all of these run."""
    names: Counter[str] = Counter()
    for i in range(60):
        task, problem = drawn(i, 1 + i % 6, domains=("invented",))
        assert task.verify(problem, task.demonstrate(problem, np.random.default_rng(0))).score == 1
        names.update({name.lower() for table, columns in problem.data["tables"].items() for name in (table, *columns)})
    assert min(names.pop("name"), names.pop("id")) > 20 and max(names.values()) < 5, names.most_common(3)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"schema": "x"}, "schema='x' must be 'create' or 'line'"),
        ({"copies": -1}, "copies"),
        ({"seconds": 0.0}, "seconds"),
        ({"perturb": "x"}, "perturb='x'"),
        ({"empty": "x"}, "empty='x'"),
        ({"source": "/none/such"}, "no folder"),
        ({"source": "/", "domains": ("library",)}, "leave out source"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        len(parts.make("tasks", "sql", **settings))
    with pytest.raises(UserError, match="level=7"):
        drawn(0, 7)


# --- what counts as the answer


@pytest.mark.parametrize(
    ("text", "query"),
    [
        (fenced("SELECT 1"), "SELECT 1"),
        (f"{fenced('SELECT 1')}\nno, better:\n{fenced('SELECT 2;')}\nThat is it.", "SELECT 2"),
        ("```SQLite\nSELECT 1\n;\n```", "SELECT 1"),
        ("So ```sql SELECT 1``` it is", "SELECT 1"),
        ("```sql\nSELECT 'a\nFROM t", "SELECT 'a\nFROM t"),
        (f"{fenced('SELECT 1')}\n```output\n1\n```\n", "SELECT 1"),
        (f"{fenced('SELECT 1')}\n```table\nx\n```\nSELECT 3", "SELECT 1"),
        ("```\nSELECT 1\n```", "SELECT 1"),
        ("```python\nprint(1)\n```\nThe query:\nSELECT a\nFROM t;\nDone.", "SELECT a\nFROM t"),
        ("select name from t", "select name from t"),
        ("Answer: SELECT name FROM t WHERE a = ';' AND b = 1; and so on", "SELECT name FROM t WHERE a = ';' AND b = 1"),
        ("Answer: SELECT a -- FROM t;\nFROM t; yes", "SELECT a -- FROM t;\nFROM t"),
        ("SELECT 1\n\nno:\n\nSELECT 2\nUNION\nSELECT 3", "SELECT 2\nUNION\nSELECT 3"),
        ("WITH x AS (SELECT 1) SELECT * FROM x", "WITH x AS (SELECT 1) SELECT * FROM x"),
        ("With this in mind, the answer is clear.", None),
        ("```sql\n```", None),
        ("I do not know", None),
        ("", None),
    ],
)
def test_the_query_of_a_response(text: str, query: str | None) -> None:
    assert query_in(text) == query


def test_a_query_is_found_at_the_end_of_anything() -> None:
    for junk in ("a" * 1_000_000, "`" * 100_000, "select " * 50_000, "with x as (" * 20_000, "\n\n" * 50_000):
        assert query_in(junk + "\n\n" + fenced("SELECT 1")) == "SELECT 1"
        query_in(junk)


def test_order_limit_and_distinct_are_read_outside_of_quotes() -> None:
    for sql in (
        "SELECT a FROM t ORDER BY a",
        "SELECT 1 UNION SELECT 2 order\nby 1",
        "WITH x AS (SELECT 1) SELECT * FROM x ORDER BY 1",
    ):  # noqa: E501
        assert is_ordered(sql)
    for sql in (
        "SELECT a FROM (SELECT a FROM t ORDER BY a)",
        "SELECT rank() OVER (ORDER BY a) FROM t",
        "SELECT 'ORDER BY' FROM t -- ORDER BY a",
        'SELECT "order by" FROM t',
    ):
        assert not is_ordered(sql)
    assert has_limit("SELECT 1 WHERE 1 IN (SELECT 1 LIMIT 1)") and not has_limit("SELECT 'LIMIT', limits FROM t")
    plain = without_distinct("SELECT DISTINCT a, count(distinct b) FROM t WHERE c = 'DISTINCT' -- DISTINCT")
    assert plain.split() == "SELECT a, count( b) FROM t WHERE c = 'DISTINCT' -- DISTINCT".split()
    compared = "SELECT a FROM t WHERE a IS NOT DISTINCT\nFROM b OR a is distinct from 1"
    assert without_distinct(compared) == compared


# --- when it is right


@pytest.mark.parametrize(("kind", "gold", "query"), TRAPS)
def test_no_trap_is_right(kind: str, gold: str, query: str) -> None:
    rule = ExecutionMatch()
    assert rule.judge(PET, gold, gold).score == 1.0
    verdict = rule.judge(PET, gold, query)
    assert verdict.score == 0.0 and verdict.valid and verdict.answer == query


@pytest.mark.parametrize(
    ("gold", "query"),
    [
        ("SELECT name, age FROM pet", "SELECT p.age AS x, p.name AS y FROM pet AS p"),
        (
            "SELECT name FROM pet ORDER BY weight DESC LIMIT 1",
            "SELECT name FROM pet WHERE weight = (SELECT max(weight) FROM pet)",
        ),  # noqa: E501
        ("SELECT count(*) FROM pet WHERE kind = 'dog'", "SELECT sum(kind = 'dog') FROM pet"),
        ("SELECT DISTINCT kind FROM pet", "SELECT kind FROM pet GROUP BY kind"),
        (
            "SELECT name FROM owner WHERE id NOT IN (SELECT owner_id FROM pet)",
            "SELECT o.name FROM owner o LEFT JOIN pet p ON p.owner_id = o.id WHERE p.id IS NULL",
        ),  # noqa: E501
        ("SELECT name FROM pet WHERE age > 500", "SELECT p.name FROM pet AS p WHERE NOT p.age <= 500"),
        ("SELECT avg(weight) FROM pet", "SELECT sum(weight) / count(weight) FROM pet"),
        ("SELECT count(*) FROM pet WHERE age > 500", "SELECT count(id) FROM pet WHERE 500 < age"),
    ],
)
def test_other_ways_to_say_it_are_right(gold: str, query: str) -> None:
    for perturb in ("drop", "plant"):
        assert ExecutionMatch(perturb=perturb).judge(PET, gold, query).score == 1.0  # type: ignore[arg-type]


def test_a_join_that_changes_nothing_may_be_left_out_and_ties_may_be_broken_either_way() -> None:
    keys = PETS.replace("owner_id INTEGER", "owner_id INTEGER REFERENCES owner (id)")
    joined = "SELECT p.kind FROM pet p JOIN owner o ON p.owner_id = o.id"
    assert ExecutionMatch().judge(Database(script=keys), joined, "SELECT kind FROM pet").score == 1.0
    ordered = "SELECT name FROM pet WHERE age > 2 ORDER BY age"
    assert ExecutionMatch().judge(PET, ordered, f"{ordered}, name DESC").score == 1.0


def test_a_constant_that_no_missing_row_changes_is_refuted_by_few_rows() -> None:
    rows = ", ".join(f"({i}, '{'abc'[i % 3]}')" for i in range(60))
    many = Database(script=f"CREATE TABLE t (id INTEGER PRIMARY KEY, k TEXT); INSERT INTO t VALUES {rows}")
    gold = "SELECT count(DISTINCT k) FROM t"
    assert ExecutionMatch().judge(many, gold, "SELECT 3").score == 0.0
    assert ExecutionMatch().judge(many, gold, "SELECT count(*) FROM (SELECT 1 FROM t GROUP BY k)").score == 1.0


@pytest.mark.parametrize("number", [(1 << 63) - 1, 1 << 63, 10**30])
def test_numbers_that_sqlite_cannot_hold_are_no_failure(number: int) -> None:
    gold = f"SELECT name FROM pet WHERE age < {number}"
    verdict = ExecutionMatch().judge(PET, gold, gold)
    assert verdict.valid and verdict.score == 1.0


def test_distinct_by_flag() -> None:
    gold, query = "SELECT DISTINCT kind FROM pet", "SELECT kind FROM pet"
    assert ExecutionMatch().judge(PET, gold, query).score == 0.0
    assert ExecutionMatch(keep_distinct=False).judge(PET, gold, query).score == 1.0
    assert ExecutionMatch(keep_distinct=False).judge(PET, gold, "SELECT name FROM pet").score == 0.0


def test_empty_gold_results_are_flagged_and_plain_accuracy_takes_any_empty_one() -> None:
    gold, query = "SELECT name FROM pet WHERE age > 500", "SELECT name FROM pet WHERE 0"
    strict = ExecutionMatch().judge(PET, gold, query)
    plain = ExecutionMatch(copies=0, empty="spider").judge(PET, gold, query)
    assert (strict.score, strict.detail["empty_gold"]) == (0.0, True)
    assert (plain.score, plain.detail["empty_gold"]) == (1.0, True)
    nothing = "SELECT name FROM pet WHERE 1 = 0"  # of which no copy has a row
    assert ExecutionMatch().judge(PET, nothing, f"{nothing} -- the same").score == 1.0
    assert ExecutionMatch().judge(PET, nothing, "SELECT name FROM pet WHERE 2 = 0").score == 0.0
    assert ExecutionMatch(copies=0).judge(PET, gold, query).score == 0.0, "empty is strict without copies too"
    assert ExecutionMatch(copies=0).judge(PET, gold, gold.lower()).score == 1.0


def test_plain_accuracy_is_fooled_where_copies_are_not() -> None:
    plain = ExecutionMatch(copies=0)
    fooled = [query for _, gold, query in TRAPS if plain.judge(PET, gold, query).score]
    assert {"SELECT 6", "SELECT 'Tom'", "SELECT count(*) FROM owner"} <= set(fooled)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (FOREVER, "stopped"),
        ("SELECT a.*, b.*, c.*, d.*, e.*, f.* FROM pet a, pet b, pet c, pet d, pet e, pet f", "columns"),
        ("SELECT p.name FROM pet p, pet q, pet r, pet s, pet t, pet u, pet v", "more than"),
        ("SELECT nonesuch FROM pet", "no such column"),
        ("DROP TABLE pet", "only one query"),
        ("SELECT '" + "x" * 200_000 + "'", "longer"),
    ],
)
def test_a_query_that_hangs_floods_or_fails_is_wrong_and_not_invalid(query: str, said: str) -> None:
    verdict = ExecutionMatch().judge(PET, "SELECT name FROM pet", query)
    assert (verdict.score, verdict.valid) == (0.0, True)
    assert said in str(verdict.detail.get("error", verdict.detail.get("differs")))


# --- folders

SINGERS = "CREATE TABLE singer (Singer_ID INTEGER PRIMARY KEY, Name TEXT, Age INTEGER);" + "".join(
    f"INSERT INTO singer VALUES ({i}, 'n{i}', {20 + i});" for i in range(9)
)
ENTRY = {
    "db_id": "concert",
    "table_names_original": ["singer", "song of"],
    "column_names_original": [[-1, "*"], [0, "Singer_ID"], [0, "Name"], [0, "Age"], [1, "order"], [1, "Singer_ID"]],
    "column_types": ["text", "number", "text", "number", "others", "number"],
    "primary_keys": [1, [4, 5]],
    "foreign_keys": [[5, 1]],
}
ROWS = [
    {"db_id": "concert", "question": " How many singers? ", "query": "SELECT count(*) FROM singer"},
    {
        "db_id": "concert",
        "question": "Who is old?",
        "query": "SELECT name FROM singer WHERE age > 25 OR name LIKE 'x%'",
    },  # noqa: E501
]


def made(folder: Path, layout: str) -> str:
    """A folder of this layout with two questions."""
    databases, tables, rows = {
        "spider": ("database", "tables.json", "dev.json"),
        "train": ("database", "tables.json", "train_spider.json"),
        "bird": ("dev_databases", "dev_tables.json", "dev.json"),
        "nested": ("dev_databases/dev_databases", "dev_tables.json", "dev.json"),
        "jsonl": ("database", "tables.json", "dev.jsonl"),
    }[layout]
    (folder / databases / "concert").mkdir(parents=True)
    with closing(sqlite3.connect(folder / databases / "concert" / "concert.sqlite")) as file:
        file.executescript(SINGERS)
    (folder / tables).write_text(json.dumps([ENTRY]))
    content: list[dict[str, Any]] = ROWS
    if layout in ("bird", "nested"):
        extra = {"evidence": "old means over 25", "difficulty": "challenging"}
        content = [
            {"question_id": i, "SQL": r["query"], **{k: v for k, v in r.items() if k != "query"}, **extra}
            for i, r in enumerate(ROWS)
        ]  # noqa: E501
    lines = "\n".join(map(json.dumps, content)) if rows.endswith("l") else json.dumps(content)
    (folder / rows).write_text(lines)
    return str(folder)


@pytest.mark.parametrize("layout", ["spider", "train", "bird", "nested", "jsonl"])
def test_folders_of_each_layout(layout: str, tmp_path: Path) -> None:
    task = parts.make("tasks", "sql", source=made(tmp_path, layout), split="train" if layout == "train" else "dev")
    assert isinstance(task, FiniteTask) and len(task) == 2
    one, two = task.problem(0), task.problem(1)
    assert "How many singers?\n" in one.prompt and ("old means over 25" in one.prompt) == (layout in ("bird", "nested"))
    assert (one.level, two.level) == ((3, 3) if layout in ("bird", "nested") else (1, 3))
    assert one.id != two.id and one.data["database"].startswith(str(tmp_path))
    assert task.sample(np.random.default_rng(0), task.last_level).level == 3
    for problem in (one, two):
        assert task.verify(problem, task.demonstrate(problem, np.random.default_rng(0))).score == 1.0
        assert task.verify(problem, fenced("SELECT 9")).score == 0.0
    with pytest.raises(UserError, match="no problem 2"):
        task.problem(2)
    with pytest.raises(UserError, match="level 4"):
        task.sample(np.random.default_rng(0), 4)


def test_the_splits_own_tables_and_databases_go_first(tmp_path: Path) -> None:
    source = made(tmp_path, "spider")
    (tmp_path / "test.json").write_text(json.dumps([{**ROWS[0], "db_id": "unseen"}]))
    (tmp_path / "test_tables.json").write_text(json.dumps([{**ENTRY, "db_id": "unseen"}]))
    (tmp_path / "test_database").mkdir()
    unseen, seen = (parts.make("tasks", "sql", source=source, split=split).problem(0) for split in ("test", "dev"))
    assert "/test_database/unseen/" in unseen.data["database"] and "/database/concert/" in seen.data["database"]


def test_tables_as_statements_and_lines() -> None:
    singer, song = from_spider(ENTRY)
    assert singer == Table("singer", (("Singer_ID", "NUMERIC"), ("Name", "TEXT"), ("Age", "NUMERIC")), ("Singer_ID",))
    assert song.create() == (
        'CREATE TABLE "song of" (\n  "order",\n  Singer_ID NUMERIC,\n  PRIMARY KEY ("order", Singer_ID),\n'
        "  FOREIGN KEY (Singer_ID) REFERENCES singer (Singer_ID)\n);"
    )
    assert song.line() == "-- song of: order, singer_id"
    assert execute(Database(script=singer.create() + song.create()), 'SELECT * FROM "song of"').ok
    assert (quoted("a1"), quoted("1a"), quoted('a"b'), quoted("Group")) == ("a1", '"1a"', '"a""b"', '"Group"')


def test_folders_that_lack_something(tmp_path: Path) -> None:
    source = made(tmp_path, "spider")

    def said() -> str:
        with pytest.raises(UserError) as caught:
            len(parts.make("tasks", "sql", source=source))
        return str(caught.value)

    (tmp_path / "tables.json").write_text("[]")
    assert "'concert' are not described" in said()
    (tmp_path / "tables.json").write_text("{")
    assert "not JSON" in said()
    (tmp_path / "tables.json").unlink()
    assert "no description of the tables: none of dev_tables.json" in said()
    (tmp_path / "dev.json").write_text(json.dumps([{"db_id": "concert"}]))
    (tmp_path / "tables.json").write_text(json.dumps([ENTRY]))
    assert "row 1 must have db_id, question and query" in said()
    (tmp_path / "dev.json").write_text('{"a": 1}')
    assert "not a list of objects" in said()
    (tmp_path / "dev.json").unlink()
    assert "no file of questions" in said()


LACKING = {key: value for key, value in ENTRY.items() if key != "foreign_keys"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"concert": ENTRY}, "not a list of objects"),
        (None, "not a list of objects"),
        ([{}], "not a list of objects, each with its db_id"),
        ([LACKING], "'concert' is not described .*foreign_keys"),
        ([{**ENTRY, "foreign_keys": [[5, 99]]}], "'concert' is not described"),
        ([{**ENTRY, "primary_keys": [99]}], "'concert' is not described"),
        ([{**ENTRY, "table_names_original": ["singer", None]}], "'concert' is not described"),
    ],
)
def test_tables_that_are_not_described_as_spider_does(content: Any, said: str, tmp_path: Path) -> None:
    task = parts.make("tasks", "sql", source=made(tmp_path, "spider"))
    (tmp_path / "tables.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=f"tables.json: .*{said}"):
        len(task)


def test_a_database_that_nobody_asks_about_may_be_described_wrongly(tmp_path: Path) -> None:
    task = parts.make("tasks", "sql", source=made(tmp_path, "spider"))
    (tmp_path / "tables.json").write_text(json.dumps([ENTRY, {"db_id": "other"}]))
    assert len(task) == 2


def test_a_broken_or_locked_file_makes_the_verdict_invalid_and_says_why(tmp_path: Path) -> None:
    task = parts.make("tasks", "sql", source=made(tmp_path, "spider"))
    problem = task.problem(0)
    path = Path(problem.data["database"])
    whole = path.read_bytes()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        verdict = task.verify(problem, fenced(problem.answer))
        assert not verdict.valid and verdict.score == 0.0 and "locked" in verdict.detail["error"]
        other.execute("ROLLBACK")
    assert task.verify(problem, fenced(problem.answer)).score == 1.0
    for content in (b"no database" * 100, whole[:5000], b""):
        path.write_bytes(content)
        verdict = task.verify(problem, fenced(problem.answer))
        assert not verdict.valid and str(path) in verdict.detail["error"]
    path.unlink()
    assert "cannot be read" in task.verify(problem, fenced("SELECT 1")).detail["error"]
    assert task.verify(problem, "no query at all").valid, "which needs no database"


def test_a_gold_query_that_fails_makes_the_verdict_invalid(tmp_path: Path) -> None:
    for gold in ("SELECT nonesuch FROM pet", FOREVER.replace("max(n)", "n")):
        verdict = ExecutionMatch().judge(PET, gold, "SELECT 1")
        assert not verdict.valid and "gold query" in verdict.detail["error"]


def test_a_problem_without_a_database_is_named() -> None:
    problem = Problem.of("How many?", "SELECT 1")
    with pytest.raises(UserError, match=f"problem {problem.id} has no database"):
        parts.make("tasks", "sql").verify(problem, fenced("SELECT 1"))


def test_a_gold_query_that_failed_once_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    gold, rule = "SELECT count(*) + 12345 FROM pet", ExecutionMatch()
    with monkeypatch.context() as patched:
        patched.setattr(execution, "execute", lambda *_: Result(error="the query took too long"))
        assert not rule.judge(PET, gold, gold).valid
    with monkeypatch.context() as patched:
        patched.setattr(execution, "execute_on_copies", lambda *_: [Result(error="the query took too long")])
        assert rule.golden(PET, gold, [Copy()])[1].error
    assert rule.golden(PET, gold, [Copy()])[1].ok and rule.judge(PET, gold, gold).score == 1.0


@needs_data
@pytest.mark.parametrize(("split", "questions"), [("dev", 493), ("train", 3482)])
def test_gold_of_spider_is_right(split: str, questions: int) -> None:
    """A part of them; ``benchmarks.sql_match`` asks all."""
    task = parts.make("tasks", "sql", source=str(Path(DATA, "spider_en")), split=split)
    assert len(task) == questions
    for i in range(0, questions, questions // 20):
        problem = task.problem(i)
        verdict = task.verify(problem, fenced(problem.answer))
        assert verdict.valid and verdict.score == 1.0, (i, problem.answer, verdict)
    assert {task.problem(i).level for i in range(60)} <= {1, 2, 3, 4}
