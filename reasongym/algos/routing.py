"""Which of two models says the next token: the learned router of R2R, its baselines, and how they are measured.

Shapes: n rows (or labelled tokens), D the small model's hidden size, k top logits, V vocabulary.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from reasongym.core import UserError

_FILE = "router.safetensors"


@dataclass(frozen=True)
class Draft:
    """What the small model proposes for n rows, and all that a router may look at."""

    token: Tensor  # [n] the proposed ids
    hidden: Tensor  # [n, D] the small model's last hidden states, which predict them
    logits: Tensor  # [n, V] its raw logits there
    embedding: nn.Module  # the small model's input embedding
    contexts: Sequence[Sequence[int]]  # n rows of ids, up to the proposed one
    uniform: Sequence[float]  # [n] a fresh number of each row's own random stream


class Router(Protocol):
    """Says for each row how much the large model is wanted: it speaks where the score reaches a threshold."""

    def score(self, draft: Draft) -> Tensor: ...  # [n]


@dataclass(frozen=True)
class Entropy:
    """The entropy of the small model's softmax, in nats; thu-nics/R2R has 0.45 as its threshold."""

    def score(self, draft: Draft) -> Tensor:
        logp = draft.logits.float().log_softmax(-1)
        return -(logp.exp() * logp.clamp(min=-1e4)).sum(-1)


@dataclass(frozen=True)
class Random:
    """A uniform number: at threshold 1 - r the large model says a share r of the tokens."""

    def score(self, draft: Draft) -> Tensor:
        return torch.tensor(draft.uniform, dtype=torch.float64, device=draft.token.device)


@dataclass(frozen=True)
class Oracle:
    """1 where ``wrong`` says so of (the ids so far, the proposed id), else 0: what no router can beat."""

    wrong: Callable[[Sequence[int], int], bool]

    def score(self, draft: Draft) -> Tensor:
        told = [float(self.wrong(c, t)) for c, t in zip(draft.contexts, draft.token.tolist(), strict=True)]
        return torch.tensor(told, device=draft.token.device)


@dataclass(frozen=True)
class Learned:
    """The chance, by a trained `Network`, that the proposed token would lead elsewhere than the large model's."""

    network: Network

    def score(self, draft: Draft) -> Tensor:
        embedded = draft.embedding(draft.token)
        features = [x.float() for x in (draft.hidden, embedded, top_logits(draft.logits, self.network.shape.logits))]
        scores: Tensor = self.network(*features).sigmoid()
        return scores


# --- the learned one


@dataclass(frozen=True)
class Shape:
    """A router's dimensions; the defaults are the paper's, for a small model of hidden size 1536."""

    hidden: int = 1536  # D, the small model's
    logits: int = 100  # k
    width: int = 1024
    blocks: int = 6
    factor: int = 4  # of the width inside a block
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if min(self.hidden, self.logits, self.width, self.blocks, self.factor) < 1 or not 0 <= self.dropout < 1:
            raise UserError(f"{self}: sizes must be positive and 0 <= dropout < 1")

    @property
    def size(self) -> int:
        """Trainable parameters; the embedding that is looked up is the small model's own."""
        d, w = self.hidden, self.width
        block = 2 * w + (w + 1) * self.factor * w + (self.factor * w + 1) * w
        return (self.logits + 1) * d + (3 * d + 1) * w + (w + 1) * w + self.blocks * block + 2 * w + w + 1


class Network(nn.Module):
    """The router: u = W_in W_c [h; e; W_z z], residual MLP blocks, one logit [n].

    h [n, D] is the small model's last hidden state where it predicts a token, e [n, D] the token's input embedding, z
    [n, k] the raw top logits there, in descending order.

    Source: arXiv 2505.21600, section 3.3; thu-nics/R2R ``router.py``, ``default_training_config.json``.
    Differs: the embedding is looked up in the small model itself (there, a frozen copy of it); Kaiming-normal weights
    also outside the blocks.
    """

    def __init__(self, shape: Shape = Shape(), seed: int = 0) -> None:  # noqa: B008  (frozen)
        super().__init__()
        self.shape, w = shape, shape.width
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.logits = nn.Linear(shape.logits, shape.hidden)
            self.features = nn.Linear(3 * shape.hidden, w)
            self.inward = nn.Linear(w, w)
            self.blocks = nn.ModuleList(_block(w, shape) for _ in range(shape.blocks))
            self.out = nn.Sequential(nn.LayerNorm(w), nn.Linear(w, 1))
            for module in self.modules():
                if isinstance(module, nn.Linear):
                    nn.init.kaiming_normal_(module.weight)
                    nn.init.zeros_(module.bias)

    def forward(self, hidden: Tensor, embedded: Tensor, logits: Tensor) -> Tensor:
        u = self.inward(self.features(torch.cat([hidden, embedded, self.logits(logits)], dim=-1)))
        for block in self.blocks:
            u = u + block(u)
        out: Tensor = self.out(u)[..., 0]
        return out


def _block(w: int, shape: Shape) -> nn.Module:
    inner, drop = shape.factor * w, shape.dropout
    return nn.Sequential(
        nn.LayerNorm(w), nn.Linear(w, inner), nn.GELU(), nn.Dropout(drop), nn.Linear(inner, w), nn.Dropout(drop)
    )


def top_logits(logits: Tensor, k: int) -> Tensor:
    """The k highest of [..., V], highest first, as float32: raw, before any temperature."""
    if k > logits.shape[-1]:
        raise UserError(f"the router looks at {k} logits and the small model has {logits.shape[-1]}")
    return logits.float().topk(k, dim=-1).values


def save_router(folder: str | Path, network: Network, threshold: float) -> None:
    """Write ``router.safetensors``: weights, dimensions and the threshold that goes with them."""
    about = {"router": json.dumps({"shape": asdict(network.shape), "threshold": threshold})}
    draft = Path(folder, f".{_FILE}")
    save_file({name: weight.contiguous() for name, weight in network.state_dict().items()}, draft, about)
    draft.replace(Path(folder, _FILE))


def load_router(folder: str | Path) -> tuple[Network, float]:
    """The router of a folder, and its threshold."""
    try:
        with safe_open(Path(folder, _FILE), "pt") as file:
            about = json.loads(file.metadata()["router"])
            network = Network(Shape(**about["shape"])).eval()
            network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise UserError(f"no router at {folder!s}: give a folder that agents.router has written ({error})") from error
    return network, float(about["threshold"])


# --- training it, and counting


def positive_weight(labels: NDArray[np.bool_] | Sequence[bool], recall_factor: float = 1.0) -> float:
    """The weight of positive labels in the loss: n0 / n1 times ``recall_factor``.

    Source: arXiv 2505.21600; thu-nics/R2R ``router.py``. Differs: none; without positives it is refused.
    """
    given = np.asarray(labels, bool)
    if not given.any():
        raise UserError("no token is labelled divergent: the small model errs nowhere, or the judge never says so")
    return float((~given).sum() / given.sum()) * recall_factor


def choose_threshold(scores: Any, labels: Any, recall: float = 0.95) -> float:
    """Of 100 thresholds from 0.01 to 0.99, the one with the lowest positive rate whose recall reaches ``recall``.

    Where none does, the one with the highest recall. A token is positive where its score reaches the threshold; of
    equal rates, the highest threshold.

    Source: arXiv 2505.21600, section 3.3; thu-nics/R2R (threshold search on held-out data). Differs: none.
    """
    given, truth = np.asarray(scores, np.float64), np.asarray(labels, bool)
    if given.ndim != 1 or given.shape != truth.shape or not truth.any():
        raise UserError("choose_threshold: needs as many scores as labels, flat, and a positive label")
    grid = np.linspace(0.01, 0.99, 100)
    positive = given >= grid[:, None]  # [100, n]
    recalls, rates = positive[:, truth].mean(1), positive.mean(1)
    enough = recalls >= recall
    order = np.lexsort((grid, -rates, recalls if not enough.any() else enough))
    return float(grid[order[-1]])


def average_parameters(
    small: float, large: float, of_small: float, of_large: float, counted: Literal["said", "run"] = "said"
) -> float:
    """Activated parameters a token, where the models said ``small`` and ``large`` tokens.

    ``counted="said"``: each token counts for the model that said it. ``"run"``: the small model's step counts for every
    token, also where the large one then spoke.

    Source: arXiv 2505.21600, section 4.1; thu-nics/R2R ``hf_dataset_sglang.py``, ``recorder.py``. Differs: none
    (router and attention are counted nowhere).
    """
    if small < 0 or large < 0 or small + large <= 0:
        raise UserError(f"average_parameters: {small} and {large} tokens must be some")
    if counted == "run":
        return of_small + of_large * large / (small + large)
    return (small * of_small + large * of_large) / (small + large)
