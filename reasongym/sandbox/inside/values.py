"""Plain Python values as JSON and back: what may cross between two sandboxes. Nothing else can: no code, no classes."""

from __future__ import annotations

from typing import Any

_PLAIN = (bool, int, float, str, type(None))
_KINDS: tuple[Any, ...] = (bool, int, float, str, list, tuple, set, frozenset, dict)  # of which there may be subclasses
_MANY: dict[str, Any] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}


def encode(value: Any) -> Any:
    """JSON for a plain value, types kept. TypeError for any other."""
    kind = type(value)
    if kind is int and not -(1 << 63) < value < 1 << 63:
        return {"int": hex(value)}  # JSON in decimal would be slow, and refuses 4,300 digits
    if kind in _PLAIN:
        return value
    if kind.__name__ in _MANY and kind is _MANY[kind.__name__]:
        return {kind.__name__: [encode(v) for v in value]}
    if kind is dict:
        return {"dict": [[encode(k), encode(v)] for k, v in value.items()]}
    if kind in (bytes, bytearray):
        return {"bytes": value.hex()}
    if kind is complex:
        return {"complex": [value.real, value.imag]}
    if hasattr(value, "tolist"):  # numpy's
        return encode(value.tolist())
    for plain in _KINDS:
        if isinstance(value, plain):
            return encode(plain(value))
    if hasattr(value, "__next__"):
        return encode(list(value))
    raise TypeError(f"a {kind.__name__} cannot leave the sandbox: only plain values can")


def decode(data: Any) -> Any:
    """The value again."""
    if not isinstance(data, dict):
        return data
    ((kind, inside),) = data.items()
    if kind in _MANY:
        return _MANY[kind](decode(v) for v in inside)
    if kind == "dict":
        return {decode(k): decode(v) for k, v in inside}
    if kind == "int":
        return int(inside, 16)
    return bytes.fromhex(inside) if kind == "bytes" else complex(*inside)
