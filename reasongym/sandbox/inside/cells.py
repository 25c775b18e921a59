"""The interpreter of one session: runs cells in one namespace and says what they printed. Standard library only.

Whatever this says is untrusted: the cells share the process. What they replace in the standard library may mislead
themselves; the functions used here are bound before the first cell.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import json
import os
import random
import re
import struct
import sys
import types
from collections.abc import Callable
from typing import Any

from far import Near, There, told

_NAME = re.compile(r"<cell (\d+)>")
_ADDRESS = re.compile(r" at 0x[0-9a-f]{6,16}>")  # another one in every process
_FRAMES = 3  # of a traceback that are shown, the innermost


class Shown:
    """A text file that keeps the first and the last half of ``cap`` characters of what is written to it."""

    encoding, errors, closed = "utf-8", "strict", False

    def __init__(self, cap: int) -> None:
        self.half = max(1, cap // 2)
        self.head = self.tail = ""
        self.cut = False

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        rest = text
        if not self.cut:
            self.head += text[: 4 * self.half]
            rest = text[4 * self.half :]
        if rest or len(self.head) > 4 * self.half:
            self.cut = True
            self.tail = (self.tail + self.head[self.half :] + rest)[-2 * self.half :]  # blanks at its end will go
            self.head = self.head[: self.half]
        return len(text)

    def flush(self) -> None: ...

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def text(self) -> str:
        whole = _steady(self.head).strip()
        if not self.cut and len(whole) <= 2 * self.half:
            return whole
        tail = _steady(self.tail).rstrip() if self.cut else whole
        return whole[: self.half] + "..." + tail[-self.half :]


def _steady(text: str) -> str:
    return _ADDRESS.sub(" at 0x...>", text) if " at 0x" in text else text


class Interpreter:
    """One namespace, and the cells that ran in it."""

    def __init__(self, ask: Callable[[Any], Any]) -> None:
        self.cells: list[str] = []
        self.names: dict[str, Any] = {"__name__": "__main__", "__builtins__": builtins}
        self._near, self._there = Near(self.names), There(ask)
        self._kept = (compile, exec, eval, ast.parse, sys.settrace, sys.setprofile)  # as they were

    def run(self, code: str, cap: int) -> dict[str, Any]:
        """Run a cell, echo its last expression; ``{"ok", "out"}``."""
        shown = Shown(cap)
        self.cells.append(code)
        sys.stdout = sys.stderr = shown
        ok = self._guarded(lambda: self._execute(code), shown)
        return {"ok": ok, "out": shown.text()}

    def call(self, name: str, args: Any, kwargs: Any) -> dict[str, Any]:
        """Call a function that a cell has defined; ``{"ok", "value"}``, the value that of the error if not ok."""
        shown, found = Shown(800), []
        sys.stdout = sys.stderr = Shown(2)
        if self._guarded(lambda: found.append(self._near.call(name, args, kwargs)), shown):
            return {"ok": True, "value": found[0]}
        return {"ok": False, "out": shown.text(), "value": self._error}

    def remote(self, names: list[str]) -> None:
        """Let these names stand for functions that are somewhere else, wherever the host may ask."""
        self.names.update({name: self._there.function(name) for name in names})

    def _guarded(self, work: Callable[[], Any], shown: Shown) -> bool:
        settrace, setprofile = self._kept[4:]
        try:
            work()
        except BaseException as error:
            shown.write(_explained(error, self.cells))
            self._error = told(error)
            return False
        finally:
            settrace(None)
            setprofile(None)
        return True

    def _execute(self, code: str) -> None:
        compile_, exec_, eval_, parse = self._kept[:4]
        name = f"<cell {len(self.cells)}>"
        try:
            last = compile_(code, name, "eval") if "\n" not in code else None  # the usual short cell needs no tree
        except SyntaxError:
            last = None
        if last is None:
            tree = parse(code, name)
            end = tree.body[-1] if tree.body else None
            before = tree.body[:-1] if isinstance(end, ast.Expr) else tree.body
            exec_(compile_(ast.Module(before, []), name, "exec"), self.names)
            if not isinstance(end, ast.Expr):
                return
            last = compile_(ast.Expression(end.value), name, "eval")
        value = eval_(last, self.names)
        if value is not None:
            sys.stdout.write(f"{value!r}\n")


def _explained(error: BaseException, cells: list[str]) -> str:
    """The useful lines of a traceback: where in the cells, and what."""
    lines, trace = [], error.__traceback__
    while trace is not None:
        found = _NAME.fullmatch(trace.tb_frame.f_code.co_filename)
        if found:
            cell = cells[int(found[1]) - 1].splitlines() if int(found[1]) <= len(cells) else []
            line = cell[trace.tb_lineno - 1].strip() if 0 < trace.tb_lineno <= len(cell) else ""
            lines.append(f"  line {trace.tb_lineno}, in {trace.tb_frame.f_code.co_name}: {line}"[:200])
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.lineno and _NAME.fullmatch(str(error.filename)):
        lines = [f"  line {error.lineno}: {str(error.text or '').strip()}"[:200]]
    try:
        said = str(error.msg if isinstance(error, SyntaxError) else error)
    except BaseException:
        said = "(its message cannot be printed)"
    kind = type(error).__name__
    return "\n".join(["Traceback (most recent call last):", *lines[-_FRAMES:], f"{kind}: {said}" if said else kind, ""])


def serve(fd: int, confine: Callable[[int, int], None]) -> None:
    """Take the order from ``fd``, be confined accordingly, and answer frames until it is closed."""
    read, write, loads, dumps = os.read, os.write, json.loads, json.dumps
    pack, unpack = struct.pack, struct.unpack

    def receive() -> Any:
        data = b""
        while len(data) < 4 or len(data) < 4 + unpack("!I", data[:4])[0]:
            more = read(fd, 1 << 12 if not data else 1 << 16)  # quick to make, and enough for most
            if not more:
                os._exit(0)
            data += more
        return loads(data[4:].decode())

    def send(body: str) -> None:
        data = body.encode()
        data = pack("!I", len(data)) + data
        while (done := write(fd, data)) < len(data):
            data = data[done:]

    def ask(question: Any) -> Any:
        send(dumps({"id": order["id"], "ask": question}))
        return receive()["answer"]

    order = receive()
    confine(order["memory"], order["seconds"])
    _sow(order["seed"])
    interpreter = Interpreter(ask)
    sys.modules["__main__"] = types.ModuleType("__main__")
    send(dumps({"ready": True}))
    while True:
        order = receive()
        if order["remote"]:
            interpreter.remote(order["remote"])
        if "call" in order:
            reply = interpreter.call(*order["call"])
        else:
            reply = interpreter.run(order["code"], order["cap"])
        try:
            rest = "".join([f', "{key}": {dumps(value)}' for key, value in reply.items()])
        except (TypeError, ValueError, RecursionError):
            rest = ', "ok": false, "out": "the answer cannot be told"'
        send(f'{{"id": "{order["id"]}"{rest}}}')


def _sow(seed: int) -> None:
    """The same seed, the same random numbers: `random`, and numpy where it is loaded."""
    random.seed(seed)
    if "numpy.random" in sys.modules:
        with contextlib.suppress(Exception):
            sys.modules["numpy.random"].seed(seed)
