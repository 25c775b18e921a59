"""A policy on transformers: continuous batching over one key-value cache that grows in place.

Shapes: n active rows, V vocabulary, L cached columns, H key-value heads, d head size.
"""

from __future__ import annotations

import inspect
import math
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reasongym.core import Completion, Finish, HostError, Request, Sampling, Tokenizer, UserError
from reasongym.tokenizer import Chat, load, model_folder

try:
    import torch
    from torch import Tensor
    from transformers import AutoModelForCausalLM
    from transformers.cache_utils import Cache, DynamicCache, DynamicLayer
except ImportError as error:
    raise UserError(f"the hf policy needs torch and transformers: pip install 'reasongym[hf]' ({error})") from error

_PREFILL = 16384  # padded tokens of one prefill forward, which bounds its activations
_LOGITS = 1 << 26  # logits that `score` holds at a time
_SLACK = 8  # ids kept beyond a stop string's bytes: a token may start before it


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


class _Layer(DynamicLayer):  # type: ignore[no-untyped-call]
    """One layer's keys and values as views of buffers, which `update` writes in place."""

    def __init__(self, window: _Window, keys: Tensor, values: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.window = window
        self.is_initialized, self.dtype, self.device = True, keys.dtype, keys.device
        self.buffers = [t[:0, :, :0] for t in (keys, values)]

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        n, start, end = len(self.window.rows), self.window.start, self.window.end
        keys, values = self.buffers
        keys[:n, :, end : end + 1] = key_states
        values[:n, :, end : end + 1] = value_states
        return keys[:n, :, start : end + 1], values[:n, :, start : end + 1]

    def get_seq_length(self) -> int:
        return self.window.end - self.window.start

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.get_seq_length() + query_length, 0


class _Window:
    """The active rows and their keys and values, right-aligned in columns ``[start, end)``.

    Rows are kept dense: the last rows move into the places of those that leave. A row's cells
    before its ``begin`` hold finite values of no meaning, which the mask hides.
    """

    def __init__(self) -> None:
        self.rows: list[_Row] = []
        self.clear()

    def clear(self) -> None:
        self.rows, self.start, self.end = [], 0, 0
        self.layers: list[_Layer] = []
        self.cache: Any = None  # the layers, as the model takes them
        self.height = self.width = 0  # of the buffers

    def add(self, rows: Sequence[_Row], source: Sequence[int], filled: Any, total: int) -> None:
        """Let ``rows`` join; row i's keys and values are ``filled[source[i]]``, ending at its right end."""
        if not self.layers:
            self.layers = [_Layer(self, f.keys, f.values) for f in filled.layers]
            self.cache = Cache(layers=[*self.layers])
        n, length = len(self.rows), filled.layers[0].keys.shape[2]
        self.reserve(max(total, n + len(rows)), length, [*self.rows, *rows])
        for layer, new in zip(self.layers, filled.layers, strict=True):
            for buffer, tensor in zip(layer.buffers, (new.keys, new.values), strict=True):
                buffer[n : n + len(rows), :, self.end - length : self.end] = tensor[list(source)]
        for row in rows:
            row.begin = self.end - len(row.context) + 1  # its newest id is not in the cache yet
        self.rows += rows
        self._settle()

    def reserve(self, height: int, length: int, rows: Sequence[_Row]) -> None:
        """Make place for ``height`` rows, ``length`` columns to the left of the end and one to its right."""
        if height <= self.height and length <= self.end < self.width:
            return
        used = self.end - self.start
        end = max(used, length)
        self.height = max(height, self.height)
        self.width = end + max(16, min(max(r.left for r in rows), max(256, end // 2)))  # no more than they can use
        for layer in self.layers:
            layer.buffers = [self._moved(buffer, end) for buffer in layer.buffers]
        for row in self.rows:
            row.begin += end - self.end
        self.start, self.end = end - used, end
        self._settle()

    def _moved(self, old: Tensor, end: int) -> Tensor:
        new = old.new_zeros((self.height, old.shape[1], self.width, old.shape[3]))  # never NaN: 0 * NaN is NaN
        n, used = len(self.rows), self.end - self.start
        new[:n, :, end - used : end] = old[:n, :, self.start : self.end]
        return new

    def drop(self, gone: Collection[int]) -> None:
        """Let the rows at these places leave."""
        n = len(self.rows) - len(gone)
        if n == 0:
            return self.clear()
        gone = set(gone)
        holes = [i for i in gone if i < n]
        movers = [i for i in range(n, len(self.rows)) if i not in gone]
        for layer in self.layers if holes else ():
            for buffer in layer.buffers:
                buffer[holes, :, self.start : self.end] = buffer[movers, :, self.start : self.end]
        for hole, mover in zip(holes, movers, strict=True):
            self.rows[hole] = self.rows[mover]
        del self.rows[n:]
        self._settle()

    def _settle(self) -> None:
        """Trim the padding that all rows have in common, and say again what each row may see."""
        begins = [row.begin for row in self.rows]
        if not begins:
            return
        self.start = min(begins)
        self.padded = self.start != max(begins)
        device = self.layers[0].device
        self.mask = torch.arange(self.width, device=device) >= torch.tensor(begins, device=device)[:, None]


class _Sampler:
    """Draws one id a row by inverse CDF, so that a row's randomness never depends on its batch."""

    def __init__(self, settings: Sequence[Sampling], device: torch.device) -> None:
        heat = [s.temperature or 1.0 for s in settings]  # greedy rows report log-probs at temperature 1
        cold = [s.temperature == 0 for s in settings]
        cut = [i for i, s in enumerate(settings) if not cold[i] and (s.top_p < 1 or s.top_k > 0)]
        self.draws = not all(cold)
        self.heat = torch.tensor(heat, device=device)[:, None] if set(heat) != {1.0} else None
        self.cold = torch.tensor(cold, device=device)[:, None] if self.draws and any(cold) else None
        self.cut = torch.tensor(cut, device=device) if cut else None
        if cut:
            top_k = [settings[i].top_k or 1 << 40 for i in cut]
            top_p = [p if (p := settings[i].top_p) < 1 else 2.0 for i in cut]  # rounded sums may pass 1; off keeps all
            self.most = max(top_k)
            self.top_k = torch.tensor(top_k, device=device)[:, None]
            self.top_p = torch.tensor(top_p, device=device)[:, None]

    def __call__(self, logits: Tensor, uniforms: Sequence[float]) -> tuple[Tensor, Tensor]:
        """Ids [n] and their log-probabilities [n] under the full softmax of ``logits`` [n, V]."""
        x = logits.float()
        if self.heat is not None:
            x = x / self.heat
        top, best = x.max(-1, keepdim=True)
        mass = (x - top).exp_()  # [n, V], not normalised
        picked = best
        if self.draws:
            u = torch.tensor(uniforms, dtype=torch.float32, device=x.device)[:, None]
            picked = _inverse(mass.cumsum(-1), u, x.shape[-1] - 1)
            picked = torch.where(mass.gather(1, picked) > 0, picked, best)
            if self.cut is not None:
                picked[self.cut] = self._restricted(mass[self.cut], u[self.cut])
            if self.cold is not None:
                picked = torch.where(self.cold, best, picked)
        logprobs = x.gather(1, picked) - top - mass.sum(-1, keepdim=True).log()
        return picked[:, 0], logprobs[:, 0]

    def _restricted(self, mass: Tensor, u: Tensor) -> Tensor:
        """As above among the top_k likeliest ids, and of these the fewest whose mass reaches top_p."""
        size = mass.shape[-1]
        if self.most < size:
            mass, order = mass.topk(self.most, dim=-1)
        else:
            mass, order = mass.sort(dim=-1, descending=True, stable=True)
        mass = mass * (torch.arange(mass.shape[-1], device=mass.device) < self.top_k)
        cdf = mass.cumsum(-1)
        kept = ((cdf - mass < self.top_p * cdf[:, -1:]) & (mass > 0)).sum(-1, keepdim=True).clamp_(min=1)
        picked = torch.searchsorted(cdf, u * cdf.gather(1, kept - 1), right=True)
        return order.gather(1, torch.minimum(picked, kept - 1))


def _inverse(cdf: Tensor, u: Tensor, last: int) -> Tensor:
    """The first place where ``cdf`` [n, V] passes ``u`` [n, 1] of its total; rounding may not pass ``last``."""
    return torch.searchsorted(cdf, u * cdf[:, -1:], right=True).clamp_(max=last)


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
        move = {"device": _device(device), "dtype": _dtype(dtype)}
        self.tokenizer = _tokenizer(model, tokenizer)
        self.model = _model(model)
        if move := {key: value for key, value in move.items() if value is not None}:
            self.model = self.model.to(**move)
        self.slots, self.version = slots, 0
        self._chat = Chat(self.tokenizer, system)
        self._ready_mask, self._last = _abilities(self.model)
        self._ends = frozenset(self.tokenizer.eos_ids)
        self._tickets = 0
        self._waiting: deque[_Row] = deque()
        self._done: dict[int, Completion] = {}
        self._window = _Window()
        self._next: tuple[Tensor, Tensor, _Sampler] | None = None  # newest ids and positions [n, 1]

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
        _check(request)
        prompt = (*self._chat.prompt_ids(request.prompt, request.response), *request.response_ids)
        if not prompt:
            raise UserError(f"request {request.key}: an empty prompt leaves nothing to continue")
        span = max((len(s.encode()) for s in request.stop), default=0) + _SLACK
        random = np.random.Generator(np.random.Philox(request.seed)).random
        self._tickets += 1
        self._waiting.append(_Row(self._tickets, request, prompt, random, deque(request.response_ids, span)))
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
            _load_weights(self.model, weights)
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
            sampler = _Sampler([row.request.sampling for row, _ in members], logits.device)
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

    def _inputs(self, rows: Sequence[_Row]) -> tuple[Tensor, Tensor, _Sampler]:
        ids = [[row.ids[-1]] for row in rows]
        positions = [[len(row.prompt) + len(row.ids) - 1] for row in rows]
        device = self.model.device
        sampler = _Sampler([row.request.sampling for row in rows], device)
        return torch.tensor(ids, device=device), torch.tensor(positions, device=device), sampler

    def _forward(self, ids: Tensor, positions: Tensor, mask: Tensor | None, cache: Cache) -> Tensor:
        last = {"logits_to_keep": 1} if self._last else {}
        out = self.model(
            input_ids=ids, position_ids=positions, attention_mask=mask, past_key_values=cache, use_cache=True, **last
        )
        logits: Tensor = out.logits[:, -1]
        return logits

    def _sample(self, rows: Sequence[_Row], sampler: _Sampler, logits: Tensor) -> tuple[Tensor, list[int]]:
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
        text = self.tokenizer.decode(list(row.seen))
        ends = [text.rfind(stop) + len(stop) for stop in row.request.stop if stop in text]
        # What was complete before this token does not count; a character that was half there does
        return bool(ends) and max(ends) > len(self.tokenizer.decode(list(row.seen)[:-1]).rstrip("\ufffd"))

    def _completion(self, row: _Row, finish: Finish) -> Completion:
        text = self.tokenizer.decode(row.ids[:-1] if finish == "end" else row.ids)
        heat = row.request.sampling.temperature or 1.0
        return Completion(text, tuple(row.ids), tuple(row.logprobs), finish, row.prompt, heat, row.version)

    def _leave(self, gone: Sequence[int]) -> None:
        if gone:
            self._window.drop(gone)
            self._next = None


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


def _check(request: Request) -> None:
    s = request.sampling
    if request.room < 1:
        raise UserError(f"request {request.key}: room={request.room} must be positive")
    if s.temperature < 0 or not 0 < s.top_p <= 1 or s.top_k < 0:
        raise UserError(f"request {request.key}: {s} needs temperature >= 0, 0 < top_p <= 1 and top_k >= 0")


def _device(device: str | torch.device | None) -> torch.device | None:
    try:
        found = None if device is None else torch.device(device)
    except RuntimeError as error:
        raise UserError(f"device={device!r} is no device that torch knows: give 'cpu' or 'cuda'") from error
    if found is not None and found.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"device={str(device)!r}: this machine has no usable CUDA device; give device='cpu'")
    return found


def _dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if dtype is not None and not (isinstance(found, torch.dtype) and found.is_floating_point):
        raise UserError(f"dtype={dtype!r} must be such as 'float32' or 'bfloat16'")
    return found


def _tokenizer(model: Any, tokenizer: str | Tokenizer | None) -> Tokenizer:
    if tokenizer is not None:
        return load(tokenizer) if isinstance(tokenizer, str) else tokenizer
    name = model if isinstance(model, str) else model.config.name_or_path
    if not name:
        raise UserError(f"{type(model).__name__} does not say where its tokenizer is: give tokenizer=")
    return load(name)


def _model(model: Any) -> Any:
    if not isinstance(model, str):
        return model
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(model_folder(model))
        return loaded.eval()
    except (OSError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"no model at {model!r}: give a model, a folder or a hub id ({reason})") from error


def _abilities(model: Any) -> tuple[bool, bool]:
    """Whether the model takes a ready 4-D mask, and whether it can leave out all but the last logits."""
    config = model.config.get_text_config()
    windowed = getattr(config, "sliding_window", None) is not None
    kinds = set(getattr(config, "layer_types", None) or ["sliding_attention" if windowed else "full_attention"])
    bare = model.get_base_model() if hasattr(model, "get_base_model") else model  # of a PEFT model
    takes = inspect.signature(bare.forward).parameters
    if other := ", ".join(sorted(kinds - {"full_attention", "sliding_attention"})):
        raise UserError(f"{type(model).__name__} has layers of kind {other}: only full and sliding attention will do")
    if "position_ids" not in takes:
        raise UserError(f"{type(model).__name__} takes no position_ids, so its prompts cannot be padded")
    ready = kinds == {"full_attention"} and config._attn_implementation == "sdpa"
    return ready, "logits_to_keep" in takes


def _load_weights(model: Any, weights: Mapping[str, Any]) -> None:
    """Copy ``weights`` into ``model``, all or none; a tied weight may be left out, nothing else."""
    own = model.state_dict()
    there = {own[name].data_ptr() for name in weights if name in own}
    wrong = [name for name in own if name not in weights and own[name].data_ptr() not in there]
    wrong += [name for name in weights if name not in own or own[name].shape != weights[name].shape]
    if wrong:
        raise UserError(f"sync: weights that do not fit {type(model).__name__}: {', '.join(wrong[:3])}")
    model.load_state_dict(weights, strict=False)


def make(**kw: Any) -> HF:
    return HF(**kw)
