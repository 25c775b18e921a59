"""A policy on transformers: continuous batching over one key-value cache that grows in place.

Shapes: n active rows, V vocabulary, L cached columns.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reasongym.core import Completion, Finish, HostError, Request, Tokenizer, UserError
from reasongym.tokenizer import Chat

try:
    import torch
    from torch import Tensor
    from transformers.cache_utils import Cache, DynamicCache

    from reasongym.algos.kvcache import Window
    from reasongym.algos.models import abilities, as_device, as_dtype, load_model, load_weights, tokenizer_of
    from reasongym.algos.sampling import Sampler
    from reasongym.algos.stopping import check_request, span, stopped
except ImportError as error:
    raise UserError(f"the hf policy needs torch and transformers: pip install 'reasongym[hf]' ({error})") from error

_PREFILL = 16384  # padded tokens of one prefill forward, which bounds its activations
_LOGITS = 1 << 26  # logits that `score` holds at a time
_TABLES = ("wpe", "embed_positions", "position_embeddings")  # what transformers calls a table of learned positions


@dataclass(eq=False)
class _Row:
    """One request on its way, and what it has sampled so far."""

    ticket: int
    request: Request
    prompt: tuple[int, ...]  # all that the call is conditioned on, the response's ids included
    random: Callable[[], float]  # the request's own stream, one number a token
    seen: deque[int]  # the last ids, response included: as many as a stop string may span
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    version: int = 0
    begin: int = 0  # its first column in the window

    @property
    def context(self) -> tuple[int, ...]:
        return (*self.prompt, *self.ids)

    @property
    def left(self) -> int:
        return self.request.room - len(self.ids)


class HF:
    """Any causal language model of transformers whose layers are attention (full or sliding).

    ``logprobs`` are of the temperature-scaled full softmax in float32; at temperature 0 (greedy)
    they are those at temperature 1, and so is the completion's ``temperature``. ``version`` of a
    completion is that of the weights that sampled its first token.

    Args:
        model: A model (shared as it is with whoever trains it), a folder, a hub id, or ``"tiny"``.
        tokenizer: A `Tokenizer`, a folder or a hub id. None: the model's own.
        slots: So many requests decode at a time; others wait for a free slot.
        device: Where to put the model. None: leave it where it is.
        dtype: Such as ``"bfloat16"``. None: leave it as it is.
        system: A system prompt for the chat template.
    """

    def __init__(
        self,
        model: Any = "tiny",
        tokenizer: str | Tokenizer | None = None,
        *,
        slots: int = 64,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        system: str | None = None,
    ) -> None:
        if slots < 1:
            raise UserError(f"slots={slots} must be positive")
        place, kind = as_device(device), as_dtype(dtype)
        self.tokenizer = tokenizer_of(model, tokenizer)
        self.model = load_model(model, place, kind)
        self.slots, self.version = slots, 0
        self._chat = Chat(self.tokenizer, system)
        self._ready_mask, self._last = abilities(self.model)
        self._positions = _positions(self.model)
        self._ends = frozenset(self.tokenizer.eos_ids)
        self._tickets = 0
        self._waiting: deque[_Row] = deque()
        self._done: dict[int, Completion] = {}
        self._window: Window[_Row] = Window()
        self._next: tuple[Tensor, Tensor, Sampler] | None = None  # newest ids and positions [n, 1]

    def __repr__(self) -> str:
        return f"HF({self.model.config.name_or_path or type(self.model).__name__!r}, slots={self.slots})"

    # --- the policy

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        tickets: list[int] = []
        try:
            tickets += map(self.submit, requests)
            with self._inference():
                while not all(ticket in self._done for ticket in tickets):
                    self._advance()
        except BaseException:
            for ticket in tickets:
                self.cancel(ticket)
            raise
        return [self._done.pop(ticket) for ticket in tickets]

    def submit(self, request: Request) -> int:
        check_request(request)
        prompt = (*self._chat.prompt_ids(request.prompt, request.response), *request.response_ids)
        if not prompt:
            raise UserError(f"request {request.key}: an empty prompt leaves nothing to continue")
        if (needed := len(prompt) + request.room - 1) > self._positions:  # the last id is never read
            asked = f"a prompt of {len(prompt)} ids with room={request.room} takes {needed}"
            raise UserError(f"{self!r} has {self._positions} positions, and {asked}: give a smaller budget")
        random = np.random.Generator(np.random.Philox(request.seed)).random
        self._tickets += 1
        seen = deque(request.response_ids, span(request.stop))
        self._waiting.append(_Row(self._tickets, request, prompt, random, seen))
        return self._tickets

    def poll(self, timeout: float | None = None) -> list[tuple[int, Completion]]:
        """Decode until a request is done or ``timeout`` seconds passed; 0 is one step, None no limit."""
        until = math.inf if timeout is None else time.monotonic() + timeout
        with self._inference():
            while not self._done and (self._waiting or self._window.rows):
                self._advance()
                if time.monotonic() >= until:
                    break
        done, self._done = sorted(self._done.items()), {}
        return done

    def cancel(self, ticket: int) -> None:
        self._done.pop(ticket, None)
        self._waiting = deque(row for row in self._waiting if row.ticket != ticket)
        with torch.inference_mode():
            self._leave([i for i, row in enumerate(self._window.rows) if row.ticket == ticket])

    def score(self, prompt_ids: Sequence[int], ids: Sequence[int], temperature: float = 1.0) -> list[float]:
        """Log-probabilities [t] of ``ids`` [t] after ``prompt_ids``, from the full softmax in float32."""
        if not prompt_ids or temperature <= 0:
            raise UserError(f"score needs prompt_ids and a positive temperature, not {temperature}")
        whole, first, found = [*prompt_ids, *ids], len(prompt_ids) - 1, list[float]()
        step = max(1, _LOGITS // self.model.config.get_text_config().vocab_size)
        with self._inference():
            cache = DynamicCache()
            for at in range(0, len(ids), step):
                fed, stop = (first + at if at else 0), min(first + at + step, len(whole) - 1)
                count = stop - first - at
                inputs = torch.tensor([whole[fed:stop]], device=self.model.device)
                last = {"logits_to_keep": count} if self._last else {}
                out = self.model(input_ids=inputs, past_key_values=cache, use_cache=True, **last)
                scaled = out.logits[0, -count:].float() / temperature
                target = torch.tensor(whole[stop - count + 1 : stop + 1], device=scaled.device)
                found += scaled.log_softmax(-1).gather(1, target[:, None])[:, 0].tolist()
        return found

    def sync(self, model: Any = None) -> None:
        """Take new weights: a state dict, or another model's; None or the live model itself: it has changed.

        Requests on their way go on from what they have, under the new weights and a fresh cache.
        """
        weights = model if isinstance(model, Mapping) else None if model in (None, self.model) else model.state_dict()
        if weights is not None:
            load_weights(self.model, weights)
        self._waiting.extendleft(sorted(self._window.rows, key=lambda row: -row.ticket))
        self._window.clear()
        self._next = None
        self.version += 1

    # --- one step

    @contextmanager
    def _inference(self) -> Iterator[None]:
        """No gradients, and no dropout: the modules that were training are so again afterwards."""
        training = [m for m in self.model.modules() if m.training]
        for module in training:
            module.training = False
        try:
            with torch.inference_mode():
                yield
        except torch.OutOfMemoryError as error:
            rows = self._abandon()
            raise HostError(f"out of device memory with {rows} rows: lower slots={self.slots}") from error
        finally:
            for module in training:
                module.training = True

    def _abandon(self) -> int:
        """Forget all requests, after a failure; how many were decoding."""
        rows = len(self._window.rows)
        self._window.clear()
        self._waiting.clear()
        self._next = None
        return rows

    def _advance(self) -> None:
        """Admit what waits, then sample one token for every row."""
        if self._waiting and (free := self.slots - len(self._window.rows)) > 0:
            self._admit([self._waiting.popleft() for _ in range(min(free, len(self._waiting)))])
        if self._window.rows:
            self._decode()

    def _admit(self, rows: list[_Row]) -> None:
        """Prefill each distinct context once, sample the first tokens, and let the rows join."""
        contexts: dict[tuple[int, ...], list[_Row]] = {}
        for row in rows:
            row.version = row.version if row.ids else self.version
            contexts.setdefault(row.context, []).append(row)
        total = len(self._window.rows) + len(rows)
        for group in _groups(sorted(contexts, key=len, reverse=True)):
            members = [(row, i) for i, context in enumerate(group) for row in contexts[context]]
            cache = DynamicCache()
            logits = self._prefill(group, cache)[[i for _, i in members]]
            sampler = Sampler([row.request.sampling for row, _ in members], logits.device)
            _, gone = self._sample([row for row, _ in members], sampler, logits)
            stay = [member for place, member in enumerate(members) if place not in set(gone)]
            if stay:
                self._window.add([row for row, _ in stay], [i for _, i in stay], cache, total)
                self._next = None

    def _prefill(self, contexts: Sequence[Sequence[int]], cache: Cache) -> Tensor:
        """The last logits [n, V] of the contexts, left-padded, as `cache` fills."""
        width, device = len(contexts[0]), self.model.device
        ids = torch.full((len(contexts), width), self.tokenizer.pad_id)
        for i, context in enumerate(contexts):
            ids[i, width - len(context) :] = torch.tensor(context)
        pads = width - torch.tensor([[len(context)] for context in contexts])
        mask = (torch.arange(width) >= pads).long().to(device) if len(contexts[-1]) < width else None
        positions = (torch.arange(width) - pads).clamp_(min=0)
        return self._forward(ids.to(device), positions.to(device), mask, cache)

    def _decode(self) -> None:
        window = self._window
        window.reserve(0, 0, window.rows)
        ids, positions, sampler = self._next or self._inputs(window.rows)
        mask = window.mask[:, window.start : window.end + 1] if window.padded else None
        if mask is not None and self._ready_mask:
            mask = mask[:, None, None]
        logits = self._forward(ids, positions, mask, window.cache)
        window.end += 1
        picked, gone = self._sample(window.rows, sampler, logits)
        self._next = picked[:, None], positions + 1, sampler
        self._leave(gone)

    def _inputs(self, rows: Sequence[_Row]) -> tuple[Tensor, Tensor, Sampler]:
        ids = [[row.ids[-1]] for row in rows]
        positions = [[len(row.prompt) + len(row.ids) - 1] for row in rows]
        device = self.model.device
        sampler = Sampler([row.request.sampling for row in rows], device)
        return torch.tensor(ids, device=device), torch.tensor(positions, device=device), sampler

    def _forward(self, ids: Tensor, positions: Tensor, mask: Tensor | None, cache: Cache) -> Tensor:
        last = {"logits_to_keep": 1} if self._last else {}
        out = self.model(
            input_ids=ids, position_ids=positions, attention_mask=mask, past_key_values=cache, use_cache=True, **last
        )
        logits: Tensor = out.logits[:, -1]
        return logits

    def _sample(self, rows: Sequence[_Row], sampler: Sampler, logits: Tensor) -> tuple[Tensor, list[int]]:
        """The next ids [n], and the places of the rows that are done with them."""
        picked, logprobs = sampler(logits, [row.random() for row in rows])
        gone = []
        for place, (row, token, logprob) in enumerate(zip(rows, picked.tolist(), logprobs.tolist(), strict=True)):
            if logprob != logprob:
                self._abandon()
                raise HostError("the model's logits are not finite: its weights are broken")
            row.ids.append(token)
            row.logprobs.append(logprob)
            if finish := self._finish(row, token):
                self._done[row.ticket] = self._completion(row, finish)
                gone.append(place)
        return picked, gone

    def _finish(self, row: _Row, token: int) -> Finish | None:
        if token in self._ends:
            return "end"
        if row.request.stop and self._stopped(row, token):
            return "pause"
        return "length" if len(row.ids) >= row.request.room else None

    def _stopped(self, row: _Row, token: int) -> bool:
        """Whether the newest token completes a stop string, which may begin in the response."""
        row.seen.append(token)
        return stopped(self.tokenizer, list(row.seen), row.request.stop)

    def _completion(self, row: _Row, finish: Finish) -> Completion:
        text = self.tokenizer.decode(row.ids[:-1] if finish == "end" else row.ids)
        heat = row.request.sampling.temperature or 1.0
        return Completion(text, tuple(row.ids), tuple(row.logprobs), finish, row.prompt, heat, row.version)

    def _leave(self, gone: Sequence[int]) -> None:
        if gone:
            self._window.drop(gone)
            self._next = None


def _positions(model: Any) -> float:
    """So many positions the model has learned; infinity where it computes them (rotary, ALiBi)."""
    tables = [m for name, m in model.named_modules() if name.rpartition(".")[2] in _TABLES]
    learned = [m for m in tables if isinstance(m, torch.nn.Embedding)]
    return min((m.num_embeddings - getattr(m, "offset", 0) for m in learned), default=math.inf)  # OPT's begin at 2


def _groups(contexts: Sequence[tuple[int, ...]]) -> Iterator[list[tuple[int, ...]]]:
    """Contexts, longest first, cut into forwards that waste less than half on padding."""
    group: list[tuple[int, ...]] = []
    for context in contexts:
        if group and (2 * len(context) < len(group[0]) or (len(group) + 1) * len(group[0]) > _PREFILL):
            yield group
            group = []
        group.append(context)
    if group:
        yield group


def make(**kw: Any) -> HF:
    return HF(**kw)
