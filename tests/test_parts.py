"""Strings to parts: what can be said, and one line for everything that cannot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasongym import parts
from reasongym.core import UserError
from reasongym.tasks.register import Register
from reasongym.thinking import Delethink, LongCoT


@dataclass(frozen=True)
class Part:
    """A part of our own."""

    n: int = 1
    name: str = "x"
    more: Any = None


def make_loose(**kw: Any) -> Part:
    return Part(**kw)


def make_looser(n: int = 0, **kw):  # type: ignore[no-untyped-def]
    return Part(n, **kw)


def make_unknown(**kw: Any) -> NoSuchType:  # type: ignore[name-defined] # noqa: F821
    return Part(**kw)


number = 3


@pytest.mark.parametrize(
    ("family", "spec", "part"),
    [
        ("thinking", "longcot", LongCoT()),
        ("thinking", "LongCoT", LongCoT()),
        ("thinking", "delethink(chunk=64, carry=32, head=4)", Delethink(64, 32, 4)),
        ("thinking", " delethink ( 64, 32, head=4 ) ", Delethink(64, 32, 4)),
        ("thinking", "longcot(budget=9, prefix='<think>\\n(')", LongCoT(9, "<think>\n(")),
        ("tasks", "register", Register()),
        ("tasks", "register(low=3,\n high=5)", Register(3, 5)),
        ("tasks", f"{__name__}:Part", Part()),
        (
            "tasks",
            f"{__name__}:Part(2, name='a)b', more={{'k': [1, -2.5, None]}})",
            Part(2, "a)b", {"k": [1, -2.5, None]}),
        ),
        ("tasks", f"{__name__}:make_loose(n=4)", Part(4)),
    ],
)
def test_a_string_makes_a_part(family: str, spec: str, part: Any) -> None:
    assert parts.make(family, spec) == part


@pytest.mark.parametrize("part", [LongCoT(7, "<t>"), Delethink(64, 32, 4, 9, "paper", "p", 100), Delethink()])
def test_a_repr_makes_the_same_part(part: Any) -> None:
    assert parts.make("thinking", repr(part)) == part
    assert parts.make("tasks", repr(Register(3, 5, "slip"))) == Register(3, 5, "slip")


def test_objects_pass_through_and_settings_are_added() -> None:
    part = Part(9)
    assert parts.make("tasks", part) is part and parts.make("thinking", None) is None
    assert parts.make("thinking", "delethink(chunk=64)", carry=32, head=4) == Delethink(64, 32, 4)
    assert parts.make("thinking", "delethink(chunk=64)", chunk=32, carry=16, head=4) == Delethink(32, 16, 4)


def test_a_slash_gives_the_first_argument() -> None:
    assert parts.make("tasks", "reasoning_gym/chain_sum").dataset == "chain_sum"
    assert parts.make("tasks", "reasoning-gym/chain_sum(max_terms=3)").config == {"max_terms": 3}


@pytest.mark.parametrize(
    ("family", "spec", "says"),
    [
        ("thinking", "", "'' is not a name"),
        ("thinking", "longcot(", "is not a name"),
        ("thinking", "longcot(budget=)", "plain values"),
        ("thinking", "longcot(budget=x)", "plain values"),
        ("thinking", "longcot(**{'budget': 3})", "plain values"),
        ("thinking", "longcot(*[3])", "plain values"),
        ("thinking", "longcot(1) + g(2)", "plain values"),
        ("thinking", "longcot(1)(2)", "plain values"),
        ("thinking", "longcot({[]: 1})", "plain values"),
        ("thinking", "longcot(" + "(" * 500 + ")" * 500 + ")", "plain values"),
        ("thinking", "longcot(__import__('os').getcwd())", "plain values"),
        ("thinking", "longcot(3, budget=3)", "budget"),
        ("thinking", "longcot(budgets=3)", "budgets"),
        (
            "thinking",
            "longcott",
            "thinking: there is no 'longcott'; there is delethink, longcot, or package.",
        ),
        ("thinking", "_positive", "there is no '_positive'"),
        ("thinking", "sequence", "there is no 'sequence'"),
        ("tasks", "sat_", "there is arithmetic"),
        ("tasks", "no.such:Class", "cannot import 'no.such:Class'"),
        ("tasks", f"{__name__}:Nothing", "cannot import"),
        ("tasks", ":Part", "cannot import"),
        ("tasks", f"{__name__}:", "cannot import"),
        ("tasks", f"{__name__}:number", "not callable"),
        ("tasks", f"{__name__}:Part(7, 8, 9, 10)", "positional"),
    ],
)
def test_errors_are_one_line_and_name_the_thing(family: str, spec: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        parts.make(family, spec)
    assert says in str(caught.value) and "\n" not in str(caught.value) and family in str(caught.value)


def test_an_object_takes_no_settings() -> None:
    with pytest.raises(UserError, match=r"budget: cannot be set on LongCoT\(.*an object already"):
        parts.make("thinking", LongCoT(), budget=3)


def test_accepts() -> None:
    assert parts.accepts("thinking", "delethink(chunk=4)") == set(Delethink.__dataclass_fields__)
    assert parts.accepts("thinking", LongCoT()) == frozenset()
    assert parts.accepts("tasks", "register") == {"low", "high", "demonstrator"}, (
        "make(**kw) takes what its class takes"
    )
    assert parts.accepts("tasks", f"{__name__}:make_loose") == {"n", "name", "more"}
    assert parts.accepts("tasks", f"{__name__}:make_looser") == {"n"}
    assert parts.accepts("tasks", f"{__name__}:make_unknown") == frozenset()
    assert parts.accepts("tasks", f"{__name__}:number") == frozenset()


def test_names_are_the_files_of_a_family() -> None:
    assert parts.names("thinking") == ["delethink", "longcot"]
    assert {"arithmetic", "register", "pool", "mixture"} <= set(parts.names("tasks"))
    assert not any(name.startswith("_") for family in ("tasks", "rewards", "tools") for name in parts.names(family))


@given(st.text(max_size=30))
def test_any_string_is_a_part_or_a_user_error(text: str) -> None:
    for spec in (text, f"longcot({text})"):
        try:
            made = parts.make("thinking", spec)
        except UserError as error:
            assert len(str(error).splitlines()) <= 1 + len(text.splitlines()), "the message is about the text alone"
        else:
            assert isinstance(made, LongCoT | Delethink)
