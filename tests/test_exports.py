"""``reasongym.__all__``: sorted, complete, and every name of it importable and documented."""

from __future__ import annotations

import inspect
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import reasongym


def documented(thing: Any) -> bool:
    """Whether a class or function says what it is: dataclasses write a signature where nobody wrote a docstring."""
    doc = thing.__doc__ or ""
    return bool(doc.strip()) and not doc.startswith(f"{thing.__name__}(")


def test_all_is_sorted_and_without_duplicates() -> None:
    assert list(reasongym.__all__) == sorted(set(reasongym.__all__))


def test_all_is_complete() -> None:
    bound = {k for k, v in vars(reasongym).items() if not k.startswith("_") and not isinstance(v, ModuleType)}
    assert bound - set(reasongym.__all__) - {"annotations"} == set()
    assert set(reasongym.__all__) <= set(dir(reasongym))


@pytest.mark.parametrize("name", reasongym.__all__)
def test_every_name_is_importable_and_documented(name: str) -> None:
    thing = getattr(reasongym, name)
    if inspect.isclass(thing) or inspect.isroutine(thing):
        assert documented(thing), f"{name} has no docstring"


def test_the_version_is_said_once() -> None:
    pyproject = Path(__file__).resolve().parents[1] / "pyproject.toml"
    assert reasongym.__version__ == tomllib.loads(pyproject.read_text())["project"]["version"]


def test_a_missing_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="NoSuchName"):
        reasongym.NoSuchName  # noqa: B018
