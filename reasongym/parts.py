"""Strings to parts. A part is given as an object, or as a string that says how to make it:

``"sat"``                      ``reasongym.tasks.sat.make()``
``"delethink(chunk=64)"``      the same with arguments; what a part's ``repr`` looks like
``"reasoning_gym/countdown"``  ``reasongym.tasks.reasoning_gym.make("countdown")``
``"pkg.mod:Class(n=3)"``       anything importable

There is no registry: a file in a family's folder is a part of that family.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import typing
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from reasongym.core import UserError

_SPEC = re.compile(r"(?P<name>[\w.:/-]+)\s*(?:\((?P<args>.*)\))?", re.DOTALL)


def make(family: str, spec: Any, **settings: Any) -> Any:
    """The part that ``spec`` names in ``family`` ("tasks", "thinking", ...); objects pass through."""
    if not isinstance(spec, str):
        if settings:
            raise UserError(f"{', '.join(settings)}: cannot be set on {spec!r}, which is an object already")
        return spec
    target, args, written = _resolve(family, spec)
    try:
        return target(*args, **(written | settings))
    except TypeError as error:
        raise UserError(f"{family}: {spec!r}: {error}") from error


def accepts(family: str, spec: Any) -> frozenset[str]:
    """The settings that the part of this name takes; empty for an object."""
    return _keywords(_resolve(family, spec)[0]) if isinstance(spec, str) else frozenset()


def names(family: str) -> list[str]:
    """What there is in a family."""
    module = importlib.import_module(f"reasongym.{family}")
    if hasattr(module, "__path__"):
        return sorted(m.name for m in pkgutil.iter_modules(module.__path__) if not m.name.startswith("_"))
    return sorted(_classes(module))


def _resolve(family: str, spec: str) -> tuple[Callable[..., Any], list[Any], dict[str, Any]]:
    match = _SPEC.fullmatch(spec.strip())
    if match is None:
        raise UserError(f"{family}: {spec!r} is not a name, name(key=value) or package.module:Class")
    positional, keywords = _arguments(family, spec, match["args"] or "")
    name, slash, rest = match["name"].partition("/")
    if ":" in name:
        return _imported(family, name), positional, keywords
    return _member(family, name), [rest, *positional] if slash else positional, keywords


def _arguments(family: str, spec: str, text: str) -> tuple[list[Any], dict[str, Any]]:
    try:
        call = ast.parse(f"f({text})", mode="eval").body
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and all(k.arg for k in call.keywords)):
            raise ValueError("not one list of arguments")
        keywords = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
        return [ast.literal_eval(a) for a in call.args], keywords
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise UserError(f"{family}: {spec!r}: arguments must be plain values such as key=3 ({error})") from error


def _imported(family: str, name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{family}: cannot import {name!r}: {error}") from error
    return found


def _member(family: str, name: str) -> Callable[..., Any]:
    there = names(family)
    if name.lower().replace("-", "_") not in there:
        raise UserError(f"{family}: there is no {name!r}; there is {', '.join(there)}, or package.module:Class")
    module = importlib.import_module(f"reasongym.{family}")
    if not hasattr(module, "__path__"):
        return _classes(module)[name.lower().replace("-", "_")]
    found: Callable[..., Any] = importlib.import_module(f"{module.__name__}.{name.lower().replace('-', '_')}").make
    return found


def _classes(module: ModuleType) -> Mapping[str, Callable[..., Any]]:
    return {
        n.lower(): c
        for n, c in vars(module).items()
        if inspect.isclass(c) and c.__module__ == module.__name__ and not n.startswith("_")
    }


def _keywords(target: Callable[..., Any]) -> frozenset[str]:
    """The keywords of a call; a ``make(**kw) -> Class`` takes what its class takes."""
    try:
        parameters = inspect.signature(target).parameters.values()
        loose = any(p.kind is p.VAR_KEYWORD for p in parameters)
        made = typing.get_type_hints(target).get("return") if loose else None
        more = inspect.signature(made).parameters if inspect.isclass(made) else {}
    except (TypeError, ValueError, NameError):  # not callable, written in C, or with hints that name nothing
        return frozenset()
    return frozenset(more) | {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
