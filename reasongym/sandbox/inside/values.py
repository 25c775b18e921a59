"""Plain Python values as JSON and back: what may cross between two sandboxes. No code can, and no class but Python's.

What is not plain stays where it is, and a number stands for it (see `far`).
"""

from __future__ import annotations

import builtins
import itertools
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from numbers import Integral, Rational, Real
from typing import Any

LONGEST = 100_000  # values of an iterator that are taken: it may have no end
_SAME = (bool, float, type(None))
_MANY: dict[str, Any] = {t.__name__: t for t in (list, tuple, set, frozenset, deque)} | {"iterator": iter}
_HEX = {"bytes": bytes.fromhex, "bytearray": bytearray.fromhex}
_VIEWS: dict[str, Any] = {
    "dict_keys": lambda values: dict.fromkeys(values).keys(),
    "dict_values": lambda values: dict(enumerate(values)).values(),
    "dict_items": lambda values: dict(values).items(),
}
_PARTS: dict[str, Any] = {
    "complex": (complex, lambda v: [v.real, v.imag]),
    "range": (range, lambda v: [v.start, v.stop, v.step]),
    "Fraction": (Fraction, lambda v: [v.numerator, v.denominator]),
    "Decimal": (Decimal, lambda v: [str(v)]),
}
_PLAIN: dict[type, Any] = {  # of subclasses
    **{str: str.__str__, int: int.__int__, float: float.__float__},
    **{t: t for t in (bytes, bytearray, list, tuple, set, frozenset, deque, dict)},
}
_NUMBERS: dict[Any, Any] = {Integral: int, Rational: Fraction, Real: float}  # sympy's are among them
_TYPES = {name: kind for name, kind in vars(builtins).items() if isinstance(kind, type)}  # before any cell
_OF_VIEWS = {type(view({}.items())): name for name, view in _VIEWS.items()}


def encode(value: Any, keep: Callable[[Any], int] | None = None) -> Any:
    """JSON for a plain value, types kept; numpy's values and subclasses become the plain type that they are.

    ``keep`` gives the number that stands for any other value; without it they are a TypeError.
    """
    kind = type(value)
    if kind in _SAME:
        return value
    if kind is str:
        return value if value.isascii() else _text(value)
    if kind is int:  # JSON in decimal would be slow, and refuses 4,300 digits
        return value if -(1 << 63) < value < 1 << 63 else {"int": hex(value)}
    name = _OF_VIEWS.get(kind, kind.__name__)
    if kind is _MANY.get(name) or kind in _OF_VIEWS:
        return {name: [encode(v, keep) for v in value]}
    if kind is dict:
        return {"dict": [[encode(k, keep), encode(v, keep)] for k, v in value.items()]}
    if kind in (bytes, bytearray):
        return {name: value.hex()}
    if name in _PARTS and kind is _PARTS[name][0]:
        return {name: [encode(v) for v in _PARTS[name][1](value)]}
    return _other(value, keep)


def _other(value: Any, keep: Callable[[Any], int] | None) -> Any:
    for plain, of in _PLAIN.items():
        if isinstance(value, plain):
            return encode(of(value), keep)
    if hasattr(type(value), "tolist"):  # numpy, without importing it
        return encode(value.tolist(), keep)
    for abstract, of in _NUMBERS.items():
        if isinstance(value, abstract):
            return encode(of(value))
    if isinstance(value, type) or not hasattr(type(value), "__next__"):
        return _kept(value, keep)
    taken = list(itertools.islice(value, LONGEST + 1))
    if len(taken) > LONGEST:
        raise ValueError(f"an iterator of more than {LONGEST} values cannot leave the sandbox")
    return {"iterator": [encode(v, keep) for v in taken]}


def _kept(value: Any, keep: Callable[[Any], int] | None) -> Any:
    if isinstance(value, type) and _TYPES.get(value.__name__) is value:
        return {"type": value.__name__}
    if keep is None:
        raise TypeError(f"a {type(value).__name__} cannot leave the sandbox: only plain values can")
    return {"kept": keep(value)}


def _text(value: str) -> Any:
    """Two lone surrogates side by side would come back from JSON as one character."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return {"str": value.encode("utf-32-le", "surrogatepass").hex()}
    return value


def decode(data: Any, find: Callable[[int], Any] | None = None) -> Any:
    """The value again; ``find`` gives what stands for a number. An error for JSON of another kind."""
    if not isinstance(data, dict):
        return data
    ((kind, inside),) = data.items()
    if kind in _MANY or kind in _VIEWS:
        return (_MANY.get(kind) or _VIEWS[kind])([decode(v, find) for v in inside])
    if kind == "dict":
        return {decode(k, find): decode(v, find) for k, v in inside}
    if kind == "int":
        return int(inside, 16)
    if kind == "str":
        return bytes.fromhex(inside).decode("utf-32-le", "surrogatepass")
    if kind in _HEX:
        return _HEX[kind](inside)
    if kind in _PARTS:
        return _PARTS[kind][0](*map(decode, inside))
    if kind == "type":
        return _TYPES[inside]
    if kind == "kept" and find is not None:
        return find(inside)
    raise ValueError(f"a value of the kind {kind!r} cannot enter the sandbox")
