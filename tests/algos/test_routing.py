"""R2R's router, threshold and counting, by the acceptance cases A6 to A9 and by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from reasongym.algos.routing import (
    Draft,
    Entropy,
    Learned,
    Network,
    Oracle,
    Random,
    Shape,
    average_parameters,
    choose_threshold,
    load_router,
    positive_weight,
    save_router,
    top_logits,
)
from reasongym.core import UserError

SMALL = Shape(hidden=6, logits=4, width=8, blocks=2, factor=2)


def draft(logits: list[list[float]], hidden: int = 6) -> Draft:
    n = len(logits)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Draft(
            token=torch.arange(n),
            hidden=torch.randn(n, hidden),
            logits=torch.tensor(logits),
            embedding=nn.Embedding(len(logits[0]), hidden),
            contexts=[[7, i] for i in range(n)],
            uniform=[i / n for i in range(n)],
        )


# --- acceptance cases


def test_a6_the_threshold_has_the_lowest_positive_rate_with_enough_recall() -> None:
    scores = [0.9, 0.8, 0.7, 0.6, 0.4, 0.3, 0.2, 0.1]
    labels = [1, 1, 0, 1, 0, 1, 0, 0]
    for recall, positives in ((1.0, 6), (0.75, 4), (0.5, 2), (0.25, 1)):
        found = choose_threshold(scores, labels, recall)
        chosen = np.array(scores) >= found
        assert chosen.sum() == positives and (chosen & np.array(labels, bool)).sum() / 4 >= recall


def test_a6_where_no_threshold_has_enough_recall_the_highest_recall_wins() -> None:
    scores, labels = [0.005, 0.5, 0.2, 0.995], [1, 1, 0, 0]
    found = choose_threshold(scores, labels, 0.95)  # the first is below every threshold
    assert 0.2 < found <= 0.5 and sum(s >= found for s in scores) == 2


def test_a7_activated_parameters_by_hand() -> None:
    assert average_parameters(90, 10, 1.5, 32) == pytest.approx(4.55)
    assert average_parameters(90, 10, 1.5, 32, "run") == pytest.approx(1.5 + 0.1 * 32)
    assert average_parameters(86.6, 13.4, 1.5, 32) == pytest.approx(5.6, abs=0.02)
    assert average_parameters(87.2, 12.8, 1.5, 32, "run") == pytest.approx(5.6, abs=0.02)
    with pytest.raises(UserError, match="average_parameters"):
        average_parameters(0, 0, 1.5, 32)


def test_a8_positive_weight() -> None:
    assert positive_weight([0, 0, 0, 1]) == 3.0 and positive_weight([0, 0, 0, 1], 0.5) == 1.5
    with pytest.raises(UserError, match="no token is labelled divergent"):
        positive_weight([0, 0])


def test_a9_the_papers_router_has_56_302_081_parameters() -> None:
    assert Shape().size == 56_302_081
    assert sum(p.numel() for p in Network(Shape(hidden=1536)).parameters()) == 56_302_081


@given(st.integers(1, 9), st.integers(1, 7), st.integers(1, 9), st.integers(1, 4), st.integers(1, 3))
def test_the_formula_counts_what_is_there(hidden: int, logits: int, width: int, blocks: int, factor: int) -> None:
    shape = Shape(hidden, logits, width, blocks, factor)
    assert sum(p.numel() for p in Network(shape).parameters()) == shape.size


# --- scores


def test_entropy_by_hand() -> None:
    scores = Entropy().score(
        draft([[0.0, 0.0, 0.0, 0.0], [np.log(3.0), 0.0, -np.inf, -np.inf], [500.0, 0.0, 0.0, 0.0]])
    )
    by_hand = [np.log(4), -(0.75 * np.log(0.75) + 0.25 * np.log(0.25)), 0.0]
    assert scores.tolist() == pytest.approx(by_hand, abs=1e-6)


def test_random_is_the_rows_own_number_and_the_oracle_what_it_is_told() -> None:
    given = draft([[0.0, 1.0]] * 2)
    assert Random().score(given).tolist() == [0.0, 0.5]
    assert Oracle(lambda ids, token: ids == [7, 1] and token == 1).score(given).tolist() == [0.0, 1.0]


def test_the_learned_score_is_of_hidden_state_token_and_sorted_raw_logits() -> None:
    given, network = draft([[3.0, 9.0, 5.0, 1.0, 7.0], [1.0, 2.0, 3.0, 4.0, 5.0]]), Network(SMALL).eval()
    with torch.no_grad():
        scores = Learned(network).score(given)
        features = given.hidden, given.embedding.weight[:2], torch.tensor([[9.0, 7, 5, 3], [5.0, 4, 3, 2]])
        assert torch.equal(scores, network(*features).sigmoid()) and scores[0] != scores[1]
    assert ((0 < scores) & (scores < 1)).all()
    with pytest.raises(UserError, match="looks at 9 logits and the small model has 5"):
        top_logits(given.logits, 9)


def test_the_same_seed_makes_the_same_network_and_leaves_the_global_stream_alone() -> None:
    before = torch.random.get_rng_state()
    weights = [next(Network(SMALL, seed).parameters()) for seed in (0, 0, 1)]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_every_part_of_the_network_is_used() -> None:
    given, network = draft([[3.0, 9.0, 5.0, 1.0]] * 2), Network(SMALL)
    network(given.hidden, given.embedding.weight[:2], given.logits).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


# --- files


def test_a_router_is_kept_with_its_dimensions_and_threshold(tmp_path: Path) -> None:
    network = Network(SMALL, seed=3)
    save_router(tmp_path, network, 0.40596)
    again, threshold = load_router(tmp_path)
    assert (again.shape, threshold, again.training) == (SMALL, 0.40596, False)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), network.parameters(), strict=True))
    assert [p.name for p in tmp_path.iterdir()] == ["router.safetensors"]


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no router at .*: give a folder that agents.router has written"):
        load_router(tmp_path)
    (tmp_path / "router.safetensors").write_bytes(b"no weights")
    with pytest.raises(UserError, match="no router at"):
        load_router(tmp_path)
    for wrong in ({"blocks": 0}, {"dropout": 1.0}):
        with pytest.raises(UserError, match="sizes must be positive"):
            Shape(**wrong)
    with pytest.raises(UserError, match="a positive label"):
        choose_threshold([0.5], [0])
