"""Calls between two sandboxes, carried by the host: one calls functions that are defined in the other.

Plain values cross as copies (see `values`). Any other value stays where it was made, and the caller holds a `Far`.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

from values import decode, encode

_BUILT_IN = dict(vars(builtins))  # as they are before any cell
_ENDS = ("StopIteration", "StopAsyncIteration")  # in ``all(map(...))`` it would end the test there, as passed
_ON_KEPT: dict[str, Callable[..., Any]] = {  # no name of Python can be equal to one of these
    ".get": getattr,
    ".set": setattr,
    ".call": lambda function, *args, **kwargs: function(*args, **kwargs),
}


class Near:
    """The end where the functions are: calls them, and keeps what cannot leave."""

    def __init__(self, names: dict[str, Any]) -> None:
        self._names = names
        self._kept: list[Any] = []
        self._numbers: dict[int, int] = {}  # of what is kept, by its id, which stays its own as it is kept

    def call(self, name: str, args: Any, kwargs: Any) -> Any:
        function = _ON_KEPT[name] if name in _ON_KEPT else self._names[name]
        found = self._kept.__getitem__
        return encode(function(*decode(args, found), **decode(kwargs, found)), self._keep)

    def _keep(self, value: Any) -> int:
        number = self._numbers.setdefault(id(value), len(self._kept))
        if number == len(self._kept):
            self._kept.append(value)
        return number


class Far:
    """Something in the other sandbox: it can be called, handed back, and its attributes read and set.

    It is equal to itself only, whatever it says of itself where it is.
    """

    def __init__(self, number: int, function: Callable[[str], Callable[..., Any]]) -> None:
        self.__dict__.update(_number=number, _function=function)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._function(".get")(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._function(".set")(self, name, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(".call")(self, *args, **kwargs)


class There:
    """The end that calls. ``ask`` brings the host a question, ``[name, args, kwargs]``, and its answer back."""

    def __init__(self, ask: Callable[[Any], Any]) -> None:
        self._ask = ask
        self._known: dict[int, Far] = {}

    def function(self, name: str) -> Callable[..., Any]:
        """The function of that name, as it can be called from here."""

        def far(*args: Any, **kwargs: Any) -> Any:
            answer = self._ask([name, encode(args, _number), encode(kwargs, _number)])
            if not answer["ok"]:
                raise _error(answer)
            return decode(answer["value"], self._find)

        far.__name__ = name
        return far

    def _find(self, number: int) -> Far:
        return self._known.setdefault(number, Far(number, self.function))


def told(error: BaseException) -> list[Any]:
    """An error as it may cross: the name of the built-in kind that it is of, and its arguments."""
    try:
        kind = next(k.__name__ for k in type(error).__mro__ if _BUILT_IN.get(k.__name__) is k)
        try:
            return [kind, encode(tuple(error.args))]
        except TypeError:
            return [kind, encode((str(error),))]
    except BaseException:  # it is the caller's own, and may do anything
        return ["RuntimeError", encode(())]


def _error(answer: dict[str, Any]) -> Exception:
    kind, args = answer["value"] or ("RuntimeError", encode((answer["out"],)))
    found, args = _BUILT_IN.get(kind), decode(args)
    if isinstance(found, type) and issubclass(found, Exception) and kind not in _ENDS:
        return found(*args)
    return RuntimeError(kind, *args)


def _number(value: Any) -> int:
    if type(value) is not Far:
        raise TypeError(f"a {type(value).__name__} cannot be handed to the other sandbox: only plain values can")
    return int(value._number)
