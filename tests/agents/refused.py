"""Settings that every agent refuses, and what it names then."""

from __future__ import annotations

from typing import Any

OPTIMIZER: list[tuple[dict[str, Any], str]] = [
    ({"max_grad_norm": 0.0}, "--max-grad-norm 0.0 must be above 0; inf"),
    ({"max_grad_norm": -1.0}, "--max-grad-norm"),
    ({"floor": -1.0}, "--floor"),
    ({"weight_decay": -1.0}, "--weight-decay"),
    ({"betas": (2.0, 3.0)}, "--betas 2.0 3.0"),
]
