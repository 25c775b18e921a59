"""A small model that writes and a large one that is asked for single tokens: R2R's token-level routing.

Shapes: n rows, t sampled tokens, V vocabulary.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from reasongym.core import Completion, Finish, HostError, Request, Tokenizer, UserError
from reasongym.tokenizer import Chat

try:
    import torch
    from torch import Tensor

    from reasongym.algos.models import abilities, as_device, as_dtype, load_model, tokenizer_of
    from reasongym.algos.reading import Reader
    from reasongym.algos.routing import Draft, Entropy, Learned, Random, Router, load_router
    from reasongym.algos.sampling import Sampler
    from reasongym.algos.stopping import check_request, span, stopped
except ImportError as error:
    raise UserError(f"the routed policy needs torch and transformers: pip install 'reasongym[hf]' ({error})") from error

_NAMED: dict[str, tuple[Router, float | None]] = {"entropy": (Entropy(), 0.45), "random": (Random(), None)}


@dataclass(frozen=True)
class RoutedCompletion(Completion):
    """A completion that says which model said which token.

    ``logprobs`` is empty, since no one model drew the thought: a token's chance is that of the small model's draw, of
    what the router makes of all its other draws, and of the large model's. `pack` refuses such rows.
    """

    by_large: tuple[bool, ...] = ()  # [t]
    model_logprobs: tuple[float, ...] = ()  # [t] under the model that said the token
    read_by_large: int = 0  # positions that entered the large model, each once

    def clip(self, room: int) -> Completion:
        if len(self.ids) <= room:
            return self
        by_large, logprobs = self.by_large[:room], self.model_logprobs[:room]
        return replace(self, ids=self.ids[:room], finish="length", by_large=by_large, model_logprobs=logprobs)


@dataclass(eq=False)
class _Row:
    """One request on its way."""

    request: Request
    context: list[int]  # the prompt, the response's ids and what was sampled
    given: int  # so much of it was not sampled
    random: np.random.Generator  # the small model's draws, the same numbers as if it were alone
    other: np.random.Generator  # the router's and the large model's, whose draws must not depend on the first ones
    seen: deque[int]
    by_large: list[bool] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    slot: int = -1
    read_by_large: int = 0
    finish: Finish | None = None


class Routed:
    """Two models that write one thought: the small one says each token, unless a router wants the large one there.

    The small model reads every token, whoever said it. The large one reads lazily: where it is asked, it reads what it
    has not read yet in one piece and says one token, so that each position enters it once at most. Nothing is verified
    or taken back. Rows come and go slot by slot, and both models work on all rows that they are asked about at once.

    Its completions (`RoutedCompletion`) carry ids but no log-probs of a behaviour policy, so `pack` refuses to train on
    them; `model_logprobs` are those of the model that said each token (at temperature 0: at temperature 1, as in `HF`).

    Args:
        small: A model (put into eval mode), a folder, a hub id, or ``"tiny"``.
        large: The same, with the same tokenizer.
        router: A `Router`, the folder of one that agents.router trained, ``"entropy"`` or ``"random"``.
        threshold: The large model speaks where the router's score is at least this. None: what the router came with
            (a trained one's own; 0.45 nats for ``"entropy"``).
        tokenizer: A `Tokenizer`, a folder or a hub id. None: the models' own.
        slots: So many requests decode at a time.
        device: Where to put both models. None: leave them where they are.
        dtype: Such as ``"bfloat16"``. None: leave them as they are.
        system: A system prompt for the chat template.

    Source: arXiv 2505.21600, section 3; thu-nics/R2R ``dynamic_sglang_selector.py``.
    Differs: a row's random numbers are its own, and the large model's draws are independent of the proposals, so that
    routing by what was proposed leaves them unbiased; top-p keeps the token that crosses the threshold, where the
    official code drops it; temperatures other than 0 are no special case.
    """

    def __init__(
        self,
        small: Any,
        large: Any,
        router: str | Path | Router = "entropy",
        threshold: float | None = None,
        tokenizer: str | Tokenizer | None = None,
        *,
        slots: int = 64,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        system: str | None = None,
    ) -> None:
        if slots < 1:
            raise UserError(f"slots={slots} must be positive")
        self.tokenizer = tokenizer_of(small, tokenizer)
        other = tokenizer_of(large, tokenizer)
        if self.tokenizer.fingerprint != other.fingerprint:
            pair = f"small={_name(small)} and large={_name(large)}"
            raise UserError(f"{pair} have different tokenizers: choose two of one family")
        place, kind = as_device(device), as_dtype(dtype)
        self.small, self.large = (_reader(load_model(m, place, kind).eval(), slots) for m in (small, large))
        self.router, known = _router(router, self.small.model.device)
        _check_size(self.router, self.small.model)
        found = known if threshold is None else threshold
        if found is None:
            raise UserError(f"router={router!r} comes without a threshold: give threshold=")
        self.threshold = found
        self._chat = Chat(self.tokenizer, system)
        self._ends = frozenset(self.tokenizer.eos_ids)
        sizes = [m.config.get_text_config().vocab_size for m in (self.small.model, self.large.model)]
        self._shared = min(sizes)  # beyond their tokenizer's vocabulary, logits may differ in number

    def __repr__(self) -> str:
        return f"Routed({_name(self.small.model)}, {_name(self.large.model)}, {self.router!r}, {self.threshold})"

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Completions in the order of the requests, `RoutedCompletion` each; as many at once as there are slots."""
        rows = [self._begin(request) for request in requests]
        waiting, free, active = deque(rows), list(range(self.small.slots))[::-1], list[_Row]()
        try:
            with torch.inference_mode():
                while waiting or active:
                    while waiting and free:
                        active.append(self._admit(waiting.popleft(), free.pop()))
                    self._step(active)
                    free += [row.slot for row in active if row.finish]
                    active = [row for row in active if not row.finish]
        except torch.OutOfMemoryError as error:
            raise HostError(f"out of device memory with {len(active)} rows: lower slots={self.small.slots}") from error
        return [self._completion(row) for row in rows]

    # --- one row

    def _begin(self, request: Request) -> _Row:
        check_request(request)
        prompt = [*self._chat.prompt_ids(request.prompt, request.response), *request.response_ids]
        if not prompt:
            raise UserError(f"request {request.key}: an empty prompt leaves nothing to continue")
        streams = (np.random.Philox(request.seed), np.random.Philox(np.random.SeedSequence((request.seed, 1))))
        random, other = map(np.random.Generator, streams)
        return _Row(request, prompt, len(prompt), random, other, deque(request.response_ids, span(request.stop)))

    def _admit(self, row: _Row, slot: int) -> _Row:
        row.slot = slot
        self.small.forget(slot)
        self.large.forget(slot)
        return row

    def _take(self, row: _Row, token: int, logprob: float, by_large: bool) -> None:
        if logprob != logprob:
            raise HostError("the model's logits are not finite: its weights are broken")
        row.context.append(token)
        row.logprobs.append(logprob)
        row.by_large.append(by_large)
        row.finish = self._finish(row, token)

    def _finish(self, row: _Row, token: int) -> Finish | None:
        if token in self._ends:
            return "end"
        row.seen.append(token)
        if row.request.stop and stopped(self.tokenizer, list(row.seen), row.request.stop):
            return "pause"
        return "length" if len(row.by_large) >= row.request.room else None

    def _completion(self, row: _Row) -> RoutedCompletion:
        assert row.finish is not None
        ids = tuple(row.context[row.given :])
        return RoutedCompletion(
            self.tokenizer.decode(ids[:-1] if row.finish == "end" else ids),
            ids,
            finish=row.finish,
            prompt_ids=tuple(row.context[: row.given]),
            temperature=row.request.sampling.temperature or 1.0,
            by_large=tuple(row.by_large),
            model_logprobs=tuple(row.logprobs),
            read_by_large=row.read_by_large,
        )

    # --- one token for every row

    def _step(self, rows: Sequence[_Row]) -> None:
        logits, hidden = self.small.read([row.slot for row in rows], [row.context for row in rows])
        tokens, logprobs = self._sample(rows, logits, [row.random.random() for row in rows])
        draft = Draft(
            token=tokens,
            hidden=hidden,
            logits=logits,
            embedding=self.small.model.get_input_embeddings(),
            contexts=[row.context for row in rows],
            uniform=[row.other.random() for row in rows],
        )
        wanted = (self.router.score(draft) >= self.threshold).tolist()
        said = [*zip(tokens.tolist(), logprobs.tolist(), strict=True)]
        asked = [i for i, wants in enumerate(wanted) if wants]
        for i, pair in zip(asked, self._ask([rows[i] for i in asked]) if asked else (), strict=True):
            said[i] = pair
        for row, (token, logprob), by_large in zip(rows, said, wanted, strict=True):
            self._take(row, token, logprob, by_large)

    def _ask(self, rows: Sequence[_Row]) -> list[tuple[int, float]]:
        """The large model's tokens for these rows, and their log-probs."""
        logits, _ = self.large.read([row.slot for row in rows], [row.context for row in rows])
        tokens, logprobs = self._sample(rows, logits, [row.other.random() for row in rows])
        for row in rows:
            row.read_by_large = self.large.lengths[row.slot]
        return [*zip(tokens.tolist(), logprobs.tolist(), strict=True)]

    def _sample(self, rows: Sequence[_Row], logits: Tensor, uniforms: Sequence[float]) -> tuple[Tensor, Tensor]:
        sampler = Sampler([row.request.sampling for row in rows], logits.device)
        return sampler(logits[:, : self._shared], uniforms)


def share(completions: Iterable[Completion]) -> tuple[int, int]:
    """Tokens that the small and the large model said."""
    said = [by_large for c in completions if isinstance(c, RoutedCompletion) for by_large in c.by_large]
    return said.count(False), said.count(True)


def _router(router: str | Path | Router, device: torch.device) -> tuple[Router, float | None]:
    if not isinstance(router, (str, Path)):
        return router, None
    if str(router) in _NAMED:
        return _NAMED[str(router)]
    network, threshold = load_router(router)
    return Learned(network.to(device)), threshold


def _check_size(router: Router, small: Any) -> None:
    if not isinstance(router, Learned):
        return
    shape, own = router.network.shape, small.config.get_text_config()
    if shape.hidden != own.hidden_size or shape.logits > own.vocab_size:
        raise UserError(
            f"the router is for a small model with hidden size {shape.hidden} and at least {shape.logits} logits, and "
            f"{_name(small)} has {own.hidden_size} and {own.vocab_size}: give the one that it was trained with"
        )


def _reader(model: Any, slots: int) -> Reader:
    ready, last = abilities(model)
    if not ready:
        raise UserError(f"{_name(model)} must have full attention by sdpa: its rows are masked one by one")
    return Reader(model, slots, last)


def _name(model: Any) -> str:
    return repr(model if isinstance(model, str) else model.config.name_or_path or type(model).__name__)


def make(**kw: Any) -> Routed:
    return Routed(**kw)
