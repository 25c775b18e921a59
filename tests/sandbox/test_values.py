"""What may cross between two sandboxes: plain values round-trip, everything else is refused or stays where it is."""

from __future__ import annotations

import collections
import enum
import itertools
import json
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasongym.sandbox import Reply, open_session
from reasongym.sandbox.inside.values import LONGEST, decode, encode

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers().map(lambda n: n**125)  # more digits than Python prints
    | st.floats()
    | st.complex_numbers()
    | st.fractions()
    | st.decimals().filter(lambda d: not d.is_snan())  # such a one has no hash
    | st.text(st.characters())
    | st.text(st.characters(categories=["Cs"]))  # lone surrogates, also side by side
    | st.binary()
    | st.builds(bytearray, st.binary())
    | st.builds(range, st.integers(), st.integers(), st.integers(1))
)
hashable = st.recursive(
    scalars.filter(lambda v: not isinstance(v, bytearray)),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=6,
)
plain = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.lists(inner).map(collections.deque)
        | st.sets(hashable, max_size=3)
        | st.dictionaries(hashable, inner, max_size=3)
    ),
    max_leaves=20,
)


def crossed(value: Any) -> Any:
    """The value after two frames and a host."""
    return decode(json.loads(json.dumps(json.loads(json.dumps(encode(value))))))


def like(value: Any) -> Any:
    """A value as something that compares by type and by letter: NaN like NaN, -0.0 unlike 0.0."""
    kind = type(value)
    if isinstance(value, (set, frozenset)):
        return kind, sorted(map(repr, map(like, value)))
    if isinstance(value, (list, tuple, collections.deque)):
        return kind, [like(v) for v in value]
    if isinstance(value, dict):
        return kind, [(like(k), like(v)) for k, v in value.items()]
    return kind, hex(value) if kind is int else repr(value)


@given(plain)
def test_every_plain_value_comes_back_as_it_was(value: Any) -> None:
    assert like(crossed(value)) == like(value)


class Word(str):
    def __str__(self) -> str:
        return "another"


class Point(collections.namedtuple("Point", "x y")):
    pass


class Size(enum.IntEnum):
    LARGE = 3


@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([]), []),
        (np.str_("é"), "é"),
        ([np.float64("nan")], [math.nan]),
        (Word("word"), "word"),
        (Point(1, [2]), (1, [2])),
        (Size.LARGE, 3),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (collections.defaultdict(list, {1: [2]}), {1: [2]}),
        (collections.OrderedDict({1: 2}), {1: 2}),
        (int, int),
        (ValueError, ValueError),
        ({}, {}),
    ],
    ids=repr,
)
def test_subclasses_and_numbers_of_numpy_become_what_they_are(value: Any, becomes: Any) -> None:
    assert like(crossed(value)) == like(becomes)


def test_numbers_of_sympy_become_numbers() -> None:
    sympy = pytest.importorskip("sympy")
    found = crossed([sympy.Integer(5), sympy.Rational(1, 3), sympy.Float("0.5")])
    assert like(found) == like([5, Fraction(1, 3), 0.5])


def test_iterators_come_back_as_iterators() -> None:
    for made in (lambda: (n * n for n in range(3)), lambda: map(abs, [0, -1, -4]), lambda: iter([0, 1, 4])):
        found: Any = crossed(made())
        assert isinstance(found, Iterator) and found != [0, 1, 4] and list(found) == [0, 1, 4]
    with pytest.raises(ValueError, match=f"more than {LONGEST} values"):
        encode(itertools.count())


def test_views_of_a_dict_come_back_as_views() -> None:
    table = {1: [2], "a": [2]}
    assert crossed(table.keys()) == table.keys() and not isinstance(crossed(table.keys()), list)
    assert list(crossed(table.values())) == [[2], [2]]
    assert list(crossed(table.items())) == [(1, [2]), ("a", [2])]


@pytest.mark.parametrize("value", [object(), len, lambda: 1, Word, collections, [{"a": object()}], {(object(),): 1}])
def test_what_is_not_plain_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="only plain values can"):
        encode(value)


def test_a_number_stands_for_it_where_it_can_be_kept() -> None:
    kept: list[Any] = []
    thing = object()
    sent = json.loads(json.dumps(encode([1, {"a": thing}], lambda value: kept.append(value) or len(kept) - 1)))
    assert kept == [thing] and decode(sent, kept.__getitem__) == [1, {"a": thing}]
    with pytest.raises(ValueError, match="'kept' cannot enter"):
        decode(sent)


def test_cycles_and_depth_are_errors() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    table: dict[str, Any] = {}
    table["x"] = [table]
    deep: Any = ()
    for _ in range(100_000):
        deep = [deep]
    for value in (cycle, table, deep):
        with pytest.raises(RecursionError):
            encode(value)
    shallow: Any = 1
    for _ in range(100):
        shallow = [(shallow,)]
    assert crossed(shallow) == shallow


KINDS = "list set dict int str bytes complex Fraction Decimal range iterator type kept dict_keys dict_items".split()
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(KINDS), inner, max_size=2),
)


@given(junk)
def test_json_of_another_kind_gives_a_plain_value_or_an_ordinary_error(data: Any) -> None:
    try:
        decode(data)
    except Exception as error:
        assert not isinstance(error, MemoryError)


# --- across two real sessions


ANSWER = """
class Point:
    def __init__(self, x, y=0): self.x, self.y = x, y
    def __eq__(self, other): return True
class Mine(ValueError): pass
def double(x): return x + x
def origin(): return HOME
HOME = Point(0)
def is_home(point): return point is HOME
def area(*, corner): return corner.x * corner.y
def adder(n): return lambda m: n + m
def mine(): raise Mine("mine")
def key(table): return table["absent"]
def leave(): raise SystemExit(0)
def cycle():
    found = []
    found.append(found)
    return found
def large(): return "x" * (3 << 16)
def deep():
    found = 0
    for _ in range(400): found = [found]
    return found
def die(): __import__("os")._exit(0)
def raw(): return __import__("sys").modules["values"].decode({"iterator": []})
"""
NAMES = "Point double origin is_home area adder mine key leave cycle large deep die absent".split()


@pytest.fixture
def asking() -> Iterator[Any]:
    """Runs a cell that may call what `ANSWER` defines in another session."""
    theirs, ours = open_session(), open_session()
    assert theirs.run(ANSWER).ok
    ours.remote(NAMES)

    def answer(question: Any) -> dict[str, Any]:
        reply = theirs.call(*question)
        return {"ok": reply.ok, "value": reply.value, "out": reply.output}

    yield lambda code: ours.run(code, on_call=answer)
    theirs.close()
    ours.close()


def said(reply: Reply) -> str:
    return reply.output.splitlines()[-1] if reply.output else ""


@pytest.mark.parametrize(
    ("code", "output"),
    [
        ("double([1, (2,)])", "[1, (2,), 1, (2,)]"),
        ("double(10**30) == 2 * 10**30", "True"),
        ("double(1j), double('\\ud800') == '\\ud800' * 2", "(2j, True)"),
        ("p = Point(3, y=4); p.x, p.y", "(3, 4)"),
        ("p = Point(3, 4); p.x = 5; area(corner=p)", "20"),
        ("p = Point(Point(1)); p.x.y = 7; p.x.y", "7"),
        ("is_home(origin()), origin() is origin()", "(True, True)"),
        ("Point(1) == 1, Point(1) == Point(1), 1 != Point(1), Point(1) in [2, 3]", "(False, False, True, False)"),
        ("adder(3)(4)", "7"),
    ],
)
def test_calls_cross_and_objects_stay(asking: Any, code: str, output: str) -> None:
    reply = asking(code)
    assert (reply.ok, reply.output) == (True, output)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("double()", "TypeError: double() missing 1 required positional argument: 'x'"),
        ("mine()", "ValueError: mine"),
        ("key({})", "KeyError: 'absent'"),
        ("leave()", "RuntimeError: ('SystemExit', 0)"),
        ("absent()", "KeyError: 'absent'"),
        ("cycle()", "RecursionError: maximum recursion depth exceeded"),
        ("large()", "ValueError: the value is too large"),
        ("Point(1).z", "AttributeError: 'Point' object has no attribute 'z'"),
        ("len(Point(1))", "TypeError: object of type 'Far' has no len()"),
        ("double(lambda: 1)", "only plain values can"),
        ("x = []; x.append(x); double(x)", "RecursionError"),
        ("double(double)", "only plain values can"),
        ("die()", "The session was restarted"),
    ],
)
def test_errors_keep_their_kind(asking: Any, code: str, error: str) -> None:
    reply = asking(code)
    assert not reply.ok and not reply.lost and error in reply.output
    assert asking("1 + 1").output == "2"


def test_a_value_that_is_nested_deeply_harms_nobody(asking: Any) -> None:
    reply = asking("x = deep(); type(x)")
    assert said(reply) == "<class 'list'>" or "RecursionError" in reply.output
    assert asking("1 + 1").output == "2"


FORGED = [
    "5",
    '{"int": "zz"}',
    '{"kept": []}',
    '{"kept": "x"}',
    '{"type": "no"}',
    '{"set": [{"list": []}]}',
    "[" * 50_000,
    '{"list":[' * 900 + "]}" * 900,
    '{"a": 1, "b": 2}',
    "NaN",
    "1e999",
    '"LONG"',
    "9" * 5000,
]


@pytest.mark.parametrize("value", FORGED, ids=range(len(FORGED)))
@pytest.mark.parametrize("ok", ["true", "false"])
def test_a_forged_value_is_an_error_or_a_value_and_never_more(value: str, ok: str) -> None:
    """The answer's session writes its own reply, as it can: it finds the number of the order in its memory."""
    forge = f"""
def f():
    import os, sys
    frame = sys._getframe()
    while "order" not in frame.f_locals or "id" not in frame.f_locals["order"]:
        frame = frame.f_back
    body = ('{{"id": "' + frame.f_locals["order"]["id"] + '", "ok": {ok}, "out": "", "value": ' + VALUE + '}}').encode()
    os.write(3, len(body).to_bytes(4, "big") + body)
    os._exit(0)
"""
    theirs, ours = open_session(), open_session()
    try:
        assert theirs.run(forge).ok and theirs.run(f"VALUE = {value!r}.replace('LONG', 'x' * 200_000)").ok
        ours.remote(["f"])

        def answer(question: Any) -> dict[str, Any]:
            reply = theirs.call(*question)
            return {"ok": reply.ok, "value": reply.value, "out": reply.output}

        reply = ours.run(
            "try:\n    x = f()\nexcept Exception as error:\n    x = error\nassert x is not True", on_call=answer
        )
        assert reply.ok, reply
        assert ours.run("1 + 1").output == "2"
    finally:
        theirs.close()
        ours.close()


def test_a_host_that_fails_in_the_middle_ends_the_session() -> None:
    session = open_session()
    session.remote(["f"])

    def answer(question: Any) -> Any:
        raise RuntimeError("the host")

    with pytest.raises(RuntimeError, match="the host"):
        session.run("f()", on_call=answer)
    assert session.run("1 + 1").output == "2"
    session.close()
