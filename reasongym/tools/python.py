"""A Python interpreter inside the thought: the model writes a block, and reads below it what the block printed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from textwrap import dedent
from typing import Any, Literal, NamedTuple

from reasongym import fences, sandbox
from reasongym.core import Problem, UserError

OPEN, CLOSE = "```python", fences.FENCE
NOTICE = "[SYSTEM] This was the last run: no further code is executed. Reason on to the answer without it."
COUNTS = ("code_runs", "code_errors", "code_empty", "code_given")
_NOTHING = ("", "[]", "Done")  # what CoRT's reward takes for no output
_FAILURE = re.compile("error|exception|traceback", re.IGNORECASE)
_PRINTS = ("print", "pprint", "sp.pprint", "sympy.pprint", "rprint")


class Cell(NamedTuple):
    """What ran, and what it said."""

    code: str
    output: str


@dataclass(frozen=True)
class Python:
    """Runs the block of code that the model has just closed, and shows its output in a block of the same kind.

    A line that is three back-ticks and ``python`` opens, a line of three back-ticks closes and pauses the model. What
    comes back is a block ``output``, which the environment puts in: the tokens have mask 0. A fence that closes no
    Python block, or one with nothing in it, pauses too, but costs no call and puts nothing in.

    Args:
        calls: Blocks that may run in a thought; the last one says so, and what is written after it does not run.
        seconds: A block may take so long.
        memory: MiB of addresses.
        output: Characters of output that are shown; of more, the first and the last half.
        mode: ``"notebook"`` keeps one interpreter, whose variables stay. ``"replay"`` starts one a block, and runs
            what is left of the earlier blocks before it, as the official code does: see `program`.
        backend: Of `reasongym.sandbox.open_session`.
        unsafe: The same.
        hint: What the prompt says of it; "" where the policy has learned of it from demonstrations.

    Source: arXiv 2506.09820, section 2.1 and appendix B; CoRT ``infer/inference_vllm_dp_mj.py``, ``infer/parser.py``.
    Differs: ``calls`` counts runs, so the official K (``max_func_call``, 15) is ``calls=K - 1``; it pauses at a closing
    fence alone, where the official stop (a back-tick and a new line) lets any such line use up a call and get an empty
    block; a real interpreter is kept; what is run and what has failed is known from what the tool did, not read in
    the text, so that a forged output is the model's own text; a fence inside an output is shown with apostrophes;
    what was printed before an error is shown too; the value of a last expression is echoed.
    """

    calls: int = 14
    seconds: float = 5.0
    memory: int = 1024
    output: int = 800
    mode: Literal["notebook", "replay"] = "notebook"
    backend: str = "auto"
    unsafe: bool = False
    hint: str = (
        f"You can run Python while you think: write a line {OPEN}, the code, and a line {CLOSE}; "
        "what it prints is shown below it. Variables stay for the next block."
    )

    def __post_init__(self) -> None:
        if self.calls < 1 or self.seconds <= 0 or self.memory < 1 or self.output < 2:
            raise UserError(f"python: calls, seconds, memory (from 1) and output (from 2) must be positive: {self!r}")
        if self.mode not in ("notebook", "replay"):
            raise UserError(f"python: mode={self.mode!r} must be 'notebook' or 'replay'")

    @property
    def stop(self) -> str:
        return fences.STOP

    def open(self, problem: Problem, seed: int) -> Interpreter:
        return Interpreter(self, seed)

    def sandbox(self, seed: int) -> sandbox.Session:
        """A new, isolated interpreter."""
        limits = sandbox.Limits(seconds=self.seconds, memory=self.memory, output=self.output)
        return sandbox.open_session(self.backend, limits, seed=seed, unsafe=self.unsafe)


@dataclass
class Interpreter:
    """The tool in one episode. It pickles as the cells that ran, which run again before the next one."""

    tool: Python
    seed: int
    cells: list[Cell] = field(default_factory=list)  # of which the interpreter's state is made
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    seen: int = 0  # characters of the thought up to the last run
    _live: sandbox.Session | None = None

    def __call__(self, text: str) -> str | None:
        block = fences.last_block(text[self.seen :], ("python",))
        code = block.text if block else ""
        if not code.strip() or self.counts["code_runs"] >= self.tool.calls:
            return None
        reply = self._notebook(code) if self.tool.mode == "notebook" else self._replay(code)
        self.seen = len(text)
        self.counts["code_runs"] += 1
        self.counts["code_errors"] += not reply.ok
        self.counts["code_empty"] += reply.ok and reply.output.strip() in _NOTHING
        last = self.counts["code_runs"] == self.tool.calls
        return fences.shown(reply.output, NOTICE if last else "")

    def report(self) -> dict[str, int | float]:
        """How many blocks ran, how many of them failed and how many others said nothing; how many were given."""
        return dict(self.counts)

    def resume(self, text: str) -> None:
        """Take over the blocks of a thought to go on from: they run before the next one, and use up no call."""
        self.cells = list(cells_of(text))
        self.counts["code_given"] = len(self.cells)

    def close(self) -> None:
        if self._live is not None:
            self._live.close()
            self._live = None

    def _notebook(self, code: str) -> sandbox.Reply:
        if self._live is None:
            self._live = self.tool.sandbox(self.seed)
            for cell in self.cells:
                self._live.run(cell.code)
        reply = self._live.run(code)
        self.cells.append(Cell(code, reply.output))
        if reply.lost:
            self.cells.clear()
        return reply

    def _replay(self, code: str) -> sandbox.Reply:
        live = self.tool.sandbox(self.seed)
        try:
            reply = live.run(program(self.cells, code))
        finally:
            live.close()
        self.cells.append(Cell(code, reply.output))
        return reply

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_live": None}


def make(**kw: Any) -> Python:
    """The tool, once it is known that this machine can isolate what it runs: UserError says what to install."""
    tool = Python(**kw)
    sandbox.nursery(tool.backend, unsafe=tool.unsafe)
    return tool


def cells_of(text: str) -> Iterator[Cell]:
    """The blocks of a thought that have an output below them, and those outputs: a given text is taken at its word."""
    code: list[str] = []
    output: list[str] = []
    place = ""  # what the line before belongs to
    for raw in text.split("\n"):
        line = raw.strip()
        if place == "output" and line != CLOSE:
            output.append(raw)
        elif place == "output":
            yield Cell(dedent("\n".join(code)), "\n".join(output))
            place = ""
        elif line == OPEN:
            place, code = "code", []
        elif place == "code" and line != CLOSE:
            code.append(raw)
        elif place == "code":
            place = "closed"
        elif place == "closed" and line == "```output":
            place, output = "output", []
        elif line:
            place = ""


def program(cells: Sequence[Cell], code: str) -> str:
    """What stands for a notebook in ``mode="replay"``: earlier blocks without their prints, then ``code`` as it is.

    A block is left out whole where its output speaks of an error, an exception or a traceback, or where a ``print`` is
    left in it once the lines that begin with one are gone.

    Source: CoRT ``infer/parser.py``. Differs: none in what is run.
    """
    kept = []
    for cell in cells:
        lines = [line for line in cell.code.split("\n") if line.strip() and not line.startswith(_PRINTS)]
        if not _FAILURE.search(cell.output) and "print" not in "\n".join(lines):
            kept += lines
    return "\n".join([*kept, code])
