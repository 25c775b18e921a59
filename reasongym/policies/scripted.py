"""A policy that writes what it is told to: for tests, and for rollouts timed without a model."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from reasongym.core import Completion, Finish, Request, Tokenizer, UserError
from reasongym.tokenizer import Chat, load

Texts = str | Sequence[str]
Script = Callable[[Request], "str | int | Completion"] | Mapping[str, Texts] | Texts


class Scripted:
    """A policy that plays a script, under the room and the stop strings of each request.

    The log-probabilities are 0: what it writes, it writes with probability 1. Without a tokenizer
    it gives text alone, as an API would, and cannot be held to its room.

    Args:
        script: What to write: a text for every request; a list of texts, one a request in their
            order; texts by problem prompt, where a list has one text a call; or a function of the
            request that gives a text, a number of tokens, or a `Completion`, which is passed on as
            it is.
        tokenizer: A `Tokenizer`, a folder or a hub id. None: no ids.
        system: A system prompt for the chat template.
        delay: Seconds a token takes (a character, without a tokenizer). All requests are worked on
            at the same time, as by an engine with slots for all.
        clock: Tells the time, in seconds.
        sleep: Waits so many seconds by that clock.
    """

    version = 0

    def __init__(
        self,
        script: Script,
        tokenizer: str | Tokenizer | None = None,
        *,
        system: str | None = None,
        delay: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.script, self.delay, self.clock, self.sleep = script, delay, clock, sleep
        self.tokenizer = load(tokenizer) if isinstance(tokenizer, str) else tokenizer
        self._chat = Chat(self.tokenizer, system) if self.tokenizer else None
        self._tickets = 0
        self._pending: dict[int, tuple[float, Completion]] = {}  # when it is done, and what it gave

    def __repr__(self) -> str:
        return f"Scripted({self.script!r})"

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        tickets = [self.submit(request) for request in requests]
        self._wait(max((self._pending[ticket][0] for ticket in tickets), default=self.clock()))
        return [self._pending.pop(ticket)[1] for ticket in tickets]

    def submit(self, request: Request) -> int:
        written = self._written(request)
        completion = written if isinstance(written, Completion) else self._completion(request, written)
        self._tickets += 1
        due = self.clock() + self.delay * (len(completion.ids) or len(completion.text))
        self._pending[self._tickets] = due, completion
        return self._tickets

    def poll(self, timeout: float | None = None) -> list[tuple[int, Completion]]:
        """Wait until a request is done or ``timeout`` seconds passed (None: no limit)."""
        if not self._pending:
            return []
        first = min(due for due, _ in self._pending.values())
        self._wait(first if timeout is None else min(first, self.clock() + timeout))
        now = self.clock()
        done = [ticket for ticket, (due, _) in self._pending.items() if due <= now]
        return [(ticket, self._pending.pop(ticket)[1]) for ticket in done]  # tickets only grow

    def cancel(self, ticket: int) -> None:
        self._pending.pop(ticket, None)

    def _wait(self, until: float) -> None:
        while (left := until - self.clock()) > 0:
            self.sleep(left)

    def _written(self, request: Request) -> str | int | Completion:
        """What the script says to this request."""
        script = self.script
        if callable(script):
            return script(request)
        if isinstance(script, Mapping):
            texts, at = _by_prompt(script, request.prompt), request.key[-1] if request.key else 0
        else:
            texts, at = script, self._tickets
        if isinstance(texts, str):
            return texts
        if at >= len(texts):
            raise UserError(f"Scripted: request {request.key} is past the end of a script of {len(texts)} texts")
        return texts[at]

    def _completion(self, request: Request, written: str | int) -> Completion:
        heat = request.sampling.temperature or 1.0
        if self._chat is None or self.tokenizer is None:
            if isinstance(written, int):
                raise UserError("Scripted: a number of tokens needs a tokenizer")
            stopped = _until_stop(request, written)
            return Completion(stopped or written, finish="pause" if stopped else "end", temperature=heat)
        ids, paused = self._ids(request, self.tokenizer, written)
        prompt = (*self._chat.prompt_ids(request.prompt, request.response), *request.response_ids)
        finish: Finish = "pause" if paused else "end"
        whole = Completion("", tuple(ids), (0.0,) * len(ids), finish, prompt, heat).clip(request.room)
        return replace(whole, text=self.tokenizer.decode(whole.ids[:-1] if whole.finish == "end" else whole.ids))

    def _ids(self, request: Request, tokenizer: Tokenizer, written: str | int) -> tuple[list[int], bool]:
        """The ids up to the token that completes a stop string, or with the end-of-sequence id after them."""
        if isinstance(written, int):
            if written < 1:
                raise UserError(f"Scripted: {written} tokens: give at least 1, which is the end of sequence")
            return [*tokenizer.encode("x")[:1] * (written - 1), tokenizer.eos_ids[0]], False
        ids = tokenizer.encode(written)
        if _until_stop(request, written) is None:
            return [*ids, tokenizer.eos_ids[0]], False

        def paused(last: int) -> bool:
            return _until_stop(request, tokenizer.decode(ids[: last + 1])) is not None

        return ids[: bisect_left(range(len(ids)), True, key=paused) + 1], True


def _until_stop(request: Request, text: str) -> str | None:
    """``text`` up to the first stop string it completes (one may begin in the response); None without one."""
    whole, start = request.response + text, len(request.response)
    ends = [at + len(s) for s in request.stop if (at := whole.find(s, max(0, start + 1 - len(s)))) >= 0]
    return whole[start : min(ends)] if ends else None


def _by_prompt(script: Mapping[str, Texts], prompt: str) -> Texts:
    """The texts for a problem's prompt, after which the env may have written tool hints."""
    for key in (prompt, *script):
        if key in script and (prompt == key or prompt.startswith(f"{key}\n")):
            return script[key]
    raise UserError(f"Scripted: the script says nothing to the prompt {prompt!r}")


def make(**kw: Any) -> Scripted:
    return Scripted(**kw)
