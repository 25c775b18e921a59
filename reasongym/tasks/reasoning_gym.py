"""The datasets of the reasoning-gym package as tasks: ``"reasoning_gym/countdown"``.

Their code runs in one child process of this process (`_Child`), never in ours. There it may seed and
use the global random state (five datasets depend on PYTHONHASHSEED, others on global ``random``, and
both are fixed), print to stdout, load for two seconds, and hang: a scorer that eats `SCORE_CPU`
seconds is killed and the answer is wrong. The child gets (dataset, config, level, seed) and makes the
item anew, so problems stay small and JSON is all that passes.
"""

from __future__ import annotations

import atexit
import contextlib
import copy
import dataclasses
import decimal
import functools
import importlib.util
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from reasongym.core import HostError, Problem, UserError, Verdict

INSTRUCTION = "\n\nThink step by step, then give only the final answer between <answer> and </answer>."
LONGEST = 1_000_000  # characters of an answer that is looked at
SCORE_CPU, ITEM_CPU, WALL, START_WALL = 5.0, 30.0, 200.0, 300.0  # seconds; wall times only matter on a dead host
DRAWS = 10  # seeds tried for one problem
SIZE = 10  # items a dataset object is made with; some prepare all of them at once
MEMORY = 8 << 30  # bytes of address space for the child

# Datasets of 0.1.25 whose own scorer is not the truth, or shows no way to tell.
REFUSED: dict[str, str] = {
    "boxnet": "it has no gold answer, so nothing shows that a right answer scores 1",
    "codeio": "it runs unsandboxed snippets, of which some fail with the answer '{}', and '{}' scores 1.0 for '[]'",
    "coin_flip": "its scorer pays for a common prefix: '0' scores 1.0 where the answer is 0.89",
    "complex_arithmetic": "its scorer gives 1.0 to 'nan'",
    "composite": "it mixes other datasets; use reasongym's own task 'mixture'",
    "figlet_font": "its scorer pays 0.1 a letter up to 1.0: of a long word, ten right letters are enough",
    "game_of_life_halting": "its scorer gives 1.0 to any text, as bool('False') is True",
    "number_sorting": "its scorer gives 1.0 to a list of NaN, and lets every number be off by 1",
    "polynomial_equations": "its scorer gives 1.0 to any text where there is no real root",
    "propositional_logic": "its scorer gives 1.0 to a premise copied from the question",
    "puzzle24": "its scorer does not look at the question's numbers: 6*4*1*1 solves every one",
}

# Scorers that eval() the answer, or pick what they like out of any text ('NaN' is AA to quantum_lock).
# Only a text all of which matches gets to them: the plain form that the question asks for, and so no
# names that could be called, no attributes, no strings. Each takes time linear in the text.
_FUNCTIONS = r"(?:a?(?:sin|cos|tan)h?|exp|log|ln|sqrt|pi|[xXCE])"
PLAIN: dict[str, str] = {
    "binary_matrix": r"[\d\s]*",
    "countdown": r"(?:[-+()\d\s]|(?<!\*)\*(?!\s*\*)|(?<!/)/(?!\s*/))*",
    "gsm_symbolic": r"\D*\d+(?:[.,]\d+)*\D*",
    "intermediate_integration": rf"(?:[-+*/^()\d\s]|(?<=\d)\.(?=\d)|(?<![A-Za-z]){_FUNCTIONS}(?![A-Za-z]))*",
    "n_queens": r"[Q_\s]*",
    "polynomial_multiplication": r"(?:[-+*/^()\d\s]|(?<![A-Za-z])[a-z](?![A-Za-z]))*",
    "quantum_lock": r"[A-Ca-c\s,>→-]*",
    "simple_integration": rf"(?:[-+*/^()\d\s]|(?<=\d)\.(?=\d)|(?<![A-Za-z]){_FUNCTIONS}(?![A-Za-z]))*",
    "sokoban": r"[ULDR\s]*",
    "spiral_matrix": r"[-\d\s]*",
    "string_insertion": r"[A-Z]*",
}

# Where the item's "answer" is None, the metadata may still hold one.
GOLD = {"graph_color": "possible_answer", "rubiks_cube": "example_correct_answer"}


@dataclasses.dataclass(frozen=True)
class ReasoningGym:
    """One dataset of reasoning-gym. ``config`` goes to the dataset's own config class.

    The answer is what stands between the last ``<answer>`` and ``</answer>``, stripped, and the prompt
    says so; without the tags the score is 0. The dataset's own ``score_answer`` judges it. Only its
    1.0 counts, as 1.0: what it gives below (0.01 for any text, closeness, a common prefix, a matching
    substring) is shaping, and is told in ``detail["raw"]``. An item whose generator fails, or whose own
    answer does not score 1.0 (jugs that cannot be filled), is drawn again.

    ``level`` 0 is the dataset's default config. Level k > 0 is level k - 1 of the dataset's curriculum,
    in all attributes, each stopping at its last; ``config`` overrides it. Where that makes a config that
    the dataset refuses (caesar_cipher at 3), the next lower level that it accepts stands in for it, or
    the default. Datasets without a curriculum (acre, gsm_symbolic, list_functions) ignore the level.

    Source: reasoning-gym 0.1.25, arXiv 2505.24760.
    Differs: scores below 1.0 are 0; see `REFUSED` for the datasets that are left out, and why.
    """

    dataset: str
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.dataset in REFUSED:
            raise UserError(f"reasoning_gym/{self.dataset} is refused: {REFUSED[self.dataset]}")
        if {"seed", "size"} & set(self.config):
            raise UserError(f"reasoning_gym/{self.dataset}: seed and size are the task's own; leave them out")
        if importlib.util.find_spec("reasoning_gym") is None:
            raise UserError("the tasks reasoning_gym/* need the package: pip install 'reasongym[reasoning-gym]'")

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        for _ in range(DRAWS):
            seed = int(rng.integers(2**31))
            reply = self._ask("item", level, seed)
            if "question" in reply:
                prompt = reply["question"] + INSTRUCTION
                return Problem.of(prompt, reply["answer"], level, dataset=self.dataset, seed=seed)
        raise HostError(f"reasoning_gym/{self.dataset}, level {level}: no sound item of {DRAWS}: {reply['error']}")

    def verify(self, problem: Problem, text: str) -> Verdict:
        answer = _extract(text)
        if answer is None:
            return Verdict(0.0)
        if not _plain(self.dataset, answer):
            return Verdict(0.0, answer)
        try:
            reply = self._ask("score", problem.level, int(problem.data["seed"]), answer)
        except HostError as error:
            return Verdict(0.0, answer, valid=False, detail={"error": str(error)})
        return Verdict(float(reply.get("score") == 1.0), answer, detail={"raw": reply.get("score", 0.0)})

    def _ask(self, what: str, level: int, seed: int, answer: str | None = None) -> dict[str, Any]:
        request = (what, self.dataset, json.dumps(dict(self.config), sort_keys=True), level, seed, answer)
        return _child(os.getpid()).ask(request)


def make(dataset: str = "", **config: Any) -> ReasoningGym:
    """The task of this dataset; a name or setting that reasoning-gym does not know is a `UserError` here."""
    task = ReasoningGym(dataset, config)
    try:
        error = task._ask("check", 0, 0).get("error")
    except TypeError as wrong:
        raise UserError(f"reasoning_gym/{dataset}: settings must be plain values: {wrong}") from wrong
    if error:
        raise UserError(f"reasoning_gym/{dataset}: {error}")
    return task


def datasets() -> list[str]:
    """The names of the datasets that can be had."""
    return [name for name in _child(os.getpid()).ask(("names",))["names"] if name not in REFUSED]


def _extract(text: str) -> str | None:
    """Between the last </answer> and the <answer> before it; rfind, as a regex may be quadratic here."""
    end = text.rfind("</answer>")
    start = text.rfind("<answer>", 0, max(end, 0))
    return text[start + len("<answer>") : end].strip() if start >= 0 else None


def _plain(dataset: str, answer: str) -> bool:
    """Whether the scorer may see this answer."""
    return len(answer) <= LONGEST and re.fullmatch(PLAIN.get(dataset, r"(?s:.*)"), answer) is not None


@functools.cache
def _child(pid: int) -> _Child:
    """This process's child. Keyed by the process id: after a fork the pipe is the parent's, not ours."""
    child = _Child(pid)
    atexit.register(child.close)
    return child


class _Child:
    """Their code, in a process that answers one JSON line with one JSON line, and ends when we do."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def ask(self, request: tuple[Any, ...]) -> dict[str, Any]:
        """The reply. Where the child dies, a second one is asked, since the host may have killed the first."""
        line = json.dumps(request) + "\n"
        with self._lock:
            for _ in range(2):
                process = self._process = self._process or _start()
                reply = self._exchange(process, line)
                if reply is not None:
                    return reply
                if process.returncode == -getattr(signal, "SIGPROF", 0):
                    break  # the processor time was used up, which is nobody else's doing
        return {"error": "it took too long, or too much memory"}

    def close(self) -> None:
        """End it, unless this is a fork and it belongs to the parent."""
        if self._pid == os.getpid():
            self._drop()

    def _drop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            _reap(process)

    def _exchange(self, process: subprocess.Popen[str], line: str) -> dict[str, Any] | None:
        timer = _killer(process, WALL)
        try:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(line)
            process.stdin.flush()
            reply: dict[str, Any] = json.loads(process.stdout.readline())
            return reply
        except (OSError, ValueError):  # the pipe is broken, or the line is empty or cut: it is dead
            self._drop()
            return None
        except BaseException:  # an interrupt: its reply would be read as the next one's
            self._drop()
            raise
        finally:
            timer.cancel()


def _start() -> subprocess.Popen[str]:
    """A child that has loaded reasoning-gym. HostError if it cannot be had."""
    path = os.pathsep.join(p or os.getcwd() for p in sys.path)
    env = os.environ | {"PYTHONHASHSEED": "0", "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-P", "-c", f"from {__name__} import _serve; _serve()"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    try:
        process = subprocess.Popen(command, text=True, env=env, start_new_session=True, **pipes)
    except OSError as error:
        raise HostError(f"reasoning_gym: cannot start its process: {error}") from error
    timer = _killer(process, START_WALL)
    hello = process.stdout.readline().strip() if process.stdout else ""
    timer.cancel()
    if hello != "ready":
        _reap(process)
        raise HostError(f"reasoning_gym: its process did not start: {hello or 'it ended at once'}")
    return process


def _killer(process: subprocess.Popen[str], seconds: float) -> threading.Timer:
    timer = threading.Timer(seconds, process.kill)
    timer.daemon = True
    timer.start()
    return timer


def _reap(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        try:
            pipe.close() if pipe else None
        except OSError:
            pass  # what was still to be written to a dead process


# From here on: the child.


def _serve() -> None:
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # their code prints
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    except (ImportError, ValueError, OSError):
        pass  # not here, or already lower
    try:
        import reasoning_gym  # noqa: F401
    except ImportError as error:
        print(error, file=replies, flush=True)
        return
    print("ready", file=replies, flush=True)
    for line in sys.stdin:
        print(json.dumps(_reply(*json.loads(line))), file=replies, flush=True)


def _reply(what: str, *request: Any) -> dict[str, Any]:
    try:
        reply: dict[str, Any] = _HANDLERS[what](*request)
        return reply
    except Exception as error:  # theirs, of any kind: a scorer's means a wrong answer, a generator's is told
        return {"error": f"{type(error).__name__}: {error}".splitlines()[0]}


def _names() -> dict[str, Any]:
    from reasoning_gym.factory import DATASETS

    return {"names": sorted(DATASETS)}


def _check(name: str, config: str, level: int, seed: int, answer: None) -> dict[str, Any]:
    known = _names()["names"]
    if name not in known:
        return {"error": f"no such dataset; there is {', '.join(n for n in known if n not in REFUSED)}"}
    _item(name, config, level, seed)
    return {}


def _question(name: str, config: str, level: int, seed: int, answer: None) -> dict[str, Any]:
    item = _item(name, config, level, seed)[1]
    gold = item["answer"] if item["answer"] is not None else item["metadata"].get(GOLD.get(name))
    text = gold if isinstance(gold, str) else json.dumps(gold) if gold else ""
    right = text.strip()
    if text and not (_plain(name, right) and _score(name, config, level, seed, right)["score"] == 1.0):
        return {"error": f"the answer of seed {seed}, {text[:40]!r}, does not score 1.0"}
    return {"question": item["question"], "answer": text or None}


def _score(name: str, config: str, level: int, seed: int, answer: str) -> dict[str, Any]:
    dataset, item = _item(name, config, level, seed)
    item = copy.deepcopy(item)  # some scorers write into it
    with _processor_time(SCORE_CPU), decimal.localcontext(decimal.Context()):
        score = float(dataset.score_answer(answer, item))
    return {"score": score if math.isfinite(score) else 0.0}


@functools.lru_cache(maxsize=1024)
def _item(name: str, config: str, level: int, seed: int) -> tuple[Any, dict[str, Any]]:
    """The dataset object and its item: pure in the arguments, as nothing else is left to depend on."""
    from reasoning_gym.factory import DATASETS

    made = _configured(name, {**json.loads(config), "seed": seed, "size": SIZE}, level)
    random.seed(seed)
    np.random.seed(seed)
    with _processor_time(ITEM_CPU), decimal.localcontext(decimal.Context()):  # some set its precision for all
        source = DATASETS[name][0](config=made)
        return source, source[seed % SIZE]


@contextlib.contextmanager
def _processor_time(seconds: float) -> Iterator[None]:
    """A block that may use so much processor time: the signal has no handler, so it kills whatever runs."""
    timer = getattr(signal, "setitimer", lambda *_: None)
    which = getattr(signal, "ITIMER_PROF", 0)
    timer(which, seconds)
    try:
        yield
    finally:
        timer(which, 0)


def _configured(name: str, settings: dict[str, Any], level: int) -> Any:
    from reasoning_gym.factory import CURRICULA, DATASETS

    make_curriculum = CURRICULA.get(name)
    if make_curriculum is None or level < 1:
        return DATASETS[name][1](**settings)
    curriculum = make_curriculum()
    top = max(len(attribute.levels) for attribute in curriculum.attributes.values())
    for lower in range(min(level, top) - 1, -1, -1):
        curriculum.set_global_level(lower)
        try:
            made = dataclasses.replace(curriculum.generate_configuration(), **settings)
            getattr(made, "validate", bool)()
            return made
        except (AssertionError, ValueError):
            continue  # some curricula go where their dataset does not
    return DATASETS[name][1](**settings)


_HANDLERS: dict[str, Any] = {"names": _names, "check": _check, "item": _question, "score": _score}
