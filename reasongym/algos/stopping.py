"""When a request is done: what an engine checks before its first token, and a stop string after each."""

from __future__ import annotations

from collections.abc import Sequence

from reasongym.core import Request, Tokenizer, UserError

_SLACK = 8  # ids kept beyond a stop string's bytes: a token may start before it


def check_request(request: Request) -> None:
    """Refuse what no engine can sample."""
    s = request.sampling
    if request.room < 1:
        raise UserError(f"request {request.key}: room={request.room} must be positive")
    if s.temperature < 0 or not 0 < s.top_p <= 1 or s.top_k < 0:
        raise UserError(f"request {request.key}: {s} needs temperature >= 0, 0 < top_p <= 1 and top_k >= 0")


def span(stops: Sequence[str]) -> int:
    """As many ids as one of ``stops`` can reach back over."""
    return max((len(s.encode()) for s in stops), default=0) + _SLACK


def stopped(tokenizer: Tokenizer, seen: Sequence[int], stops: Sequence[str]) -> bool:
    """Whether the newest of ``seen`` (the last ids, as many as `span` says) completes one of ``stops``."""
    text = tokenizer.decode(seen)
    ends = [text.rfind(stop) + len(stop) for stop in stops if stop in text]
    # What was complete before this token does not count; a character that was half there does
    return bool(ends) and max(ends) > len(tokenizer.decode(seen[:-1]).rstrip("\ufffd"))
