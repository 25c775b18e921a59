"""R2R's policy: both models read each position once, in any pattern of switches, and say what each would say alone."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config

from reasongym import cli, parts
from reasongym.algos.routing import Draft, Entropy, Network, Oracle, Random, Shape, save_router
from reasongym.core import Completion, HostError, Request, Sampling, UserError
from reasongym.evaluate import evaluate
from reasongym.policies.hf import HF
from reasongym.policies.routed import Routed, RoutedCompletion, share
from reasongym.rollout import pack, rollout, think
from reasongym.tokenizer import ByteTokenizer

BYTES = ByteTokenizer()
GREEDY = Sampling(temperature=0)
SPECIALS = {"vocab_size": 258, "eos_token_id": 256, "pad_token_id": 257, "bos_token_id": None}
SHAPE = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256, "initializer_range": 0.3}


def build(config: Any, seed: int) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return AutoModelForCausalLM.from_config(config).eval()


SMALL = build(LlamaConfig(**SPECIALS, **SHAPE, hidden_size=16, intermediate_size=24, num_hidden_layers=1), 0)
LARGE = build(Qwen2Config(**SPECIALS, **SHAPE, hidden_size=32, intermediate_size=48, num_hidden_layers=2), 1)


@dataclass(frozen=True)
class Pattern:
    """Asks the large model at these tokens of a thought, counted from its prompt's end."""

    prompt: int
    at: frozenset[int]

    def score(self, draft: Draft) -> Tensor:
        return torch.tensor([float(len(context) - self.prompt in self.at) for context in draft.contexts])


def routed(router: Any = Random(), threshold: float | None = 0.5, **more: Any) -> Routed:  # noqa: B008
    return Routed(SMALL, LARGE, router, threshold, BYTES, **more)


def ask(prompt: str = "2+2=", room: int = 12, seed: int = 0, sampling: Sampling = GREEDY, **more: Any) -> Request:
    ids = tuple(BYTES.encode(more.get("response", "")))
    return Request((0, 0, seed, 0), prompt, more.pop("response", ""), ids, room, seed=seed, sampling=sampling, **more)


def traffic(
    n: int = 9, sampling: Sequence[Sampling] = (GREEDY, Sampling(0.8), Sampling(1.3, top_k=5))
) -> list[Request]:
    return [ask("ab" * (1 + 3 * i % 14), 5 + 7 * i % 30, i, sampling[i % len(sampling)]) for i in range(n)]


def full(model: Any, done: Completion) -> Tensor:
    """The raw logits [t, V] that predict each sampled token, by one plain forward over the whole sequence."""
    with torch.no_grad():
        out = model(input_ids=torch.tensor([[*done.prompt_ids, *done.ids]])).logits
    return out[0, len(done.prompt_ids) - 1 : -1]


def check(asked: Request, done: Completion, tolerance: float = 1e-4) -> None:
    """Everything that holds for any routed completion."""
    assert isinstance(done, RoutedCompletion) and done.logprobs == ()
    assert 1 <= len(done.ids) <= asked.room and len(done.ids) == len(done.by_large) == len(done.model_logprobs)
    assert (done.finish == "end") == (done.ids[-1] in BYTES.eos_ids)
    assert done.finish != "length" or len(done.ids) == asked.room
    assert done.text == BYTES.decode(done.ids[:-1] if done.finish == "end" else done.ids)
    heat, ids = asked.sampling.temperature or 1.0, torch.tensor(done.ids)[:, None]
    of = [(full(m, done) / heat).log_softmax(-1).gather(1, ids)[:, 0].tolist() for m in (SMALL, LARGE)]
    expected = [of[by_large][i] for i, by_large in enumerate(done.by_large)]
    assert done.model_logprobs == pytest.approx(expected, abs=tolerance)
    last = max((i for i, by_large in enumerate(done.by_large) if by_large), default=None)
    assert done.read_by_large == (0 if last is None else len(done.prompt_ids) + last)


@contextmanager
def watched(model: Any) -> Iterator[list[tuple[Any, Any]]]:
    """The positions [n, C] and last logits of every forward."""
    seen: list[tuple[Any, Any]] = []
    hook = model.register_forward_hook(
        lambda _, args, given, out: seen.append((given["position_ids"][0].tolist(), out.logits[0, -1])),
        with_kwargs=True,
    )
    try:
        yield seen
    finally:
        hook.remove()


# --- acceptance cases


def test_a1_always_the_large_model_is_the_large_model_alone() -> None:
    asked = traffic(sampling=(GREEDY,))
    alone = HF(LARGE, BYTES).generate(asked)
    done = routed(threshold=0.0, slots=4).generate(asked)
    assert [d.ids for d in done] == [a.ids for a in alone] and [d.text for d in done] == [a.text for a in alone]
    assert all(all(d.by_large) for d in done if isinstance(d, RoutedCompletion))


def test_a2_never_the_large_model_is_the_small_model_alone_also_when_sampling() -> None:
    asked = traffic()
    alone = HF(SMALL, BYTES).generate(asked)
    with watched(LARGE) as seen:
        done = routed(threshold=1.01, slots=4).generate(asked)
    assert [d.ids for d in done] == [a.ids for a in alone] and not seen
    for d, a in zip(done, alone, strict=True):
        assert isinstance(d, RoutedCompletion) and d.read_by_large == 0
        assert d.model_logprobs == pytest.approx(a.logprobs, abs=1e-5)


@settings(max_examples=30)
@given(st.integers(1, 25), st.frozensets(st.integers(0, 30)), st.integers(0, 999), st.booleans())
def test_a3_a4_any_pattern_of_switches_is_exact_and_each_position_is_read_once(
    prompt: int, at: frozenset[int], seed: int, greedy: bool
) -> None:
    asked = ask("x" * prompt, 30, seed, GREEDY if greedy else Sampling())
    with watched(SMALL) as by_small, watched(LARGE) as by_large:
        (done,) = routed(Pattern(prompt, at)).generate([asked])
    check(asked, done)
    assert isinstance(done, RoutedCompletion)
    assert [i for i, yes in enumerate(done.by_large) if yes] == sorted(i for i in at if i < len(done.ids))
    for seen, model in ((by_small, SMALL), (by_large, LARGE)):
        entered = Counter(p for positions, _ in seen for p in positions)
        assert set(entered.values()) <= {1} and sorted(entered) == list(range(len(entered)))
        truth = full(model, done)
        for positions, logits in seen:
            assert (logits - truth[positions[-1] - prompt + 1]).abs().max() < 1e-5 * truth.abs().max()
    assert sum(len(positions) for positions, _ in by_large) == done.read_by_large


def test_a10_random_routing_is_worse_than_the_oracles_at_the_same_rate() -> None:
    """The small model is the large one with noise in its weights; one wrong digit of a dozen is decisive."""
    large = HF("tiny").model
    small = noisy(large, 0.7)
    envs = cli.make_envs("LongCoT-v0", 32, {"task": "register(low=8, high=16)", "budget": 40}, BYTES)
    rng = np.random.default_rng(0)
    problems = [envs[0].unwrapped.task.sample(rng) for _ in range(64)]  # type: ignore[attr-defined]
    alone = evaluate(HF(large), envs, problems, sampling=GREEDY).attempts
    gold = {t.problem.prompt: t.segments[0].ids for t in alone if t.verdict.score == 1}
    answered = [t.problem for t in alone if t.problem.prompt in gold]

    def wrong(context: Sequence[int], token: int) -> bool:
        return gold[BYTES.decode(context[:7])][len(context)] != token

    def measured(router: Any, threshold: float) -> tuple[float, float]:
        done = evaluate(Routed(small, large, router, threshold, BYTES, slots=32), envs, answered, sampling=GREEDY)
        said = share(c for t in done.attempts for c in t.info["completions"])
        return done.accuracy, said[1] / sum(said)

    by_oracle, rate = measured(Oracle(wrong), 1.0)
    by_chance, as_often = measured(Random(), 1 - rate)
    assert by_oracle == 1.0 and by_chance < 0.6 and len(answered) > 30
    assert rate < 0.15 and as_often == pytest.approx(rate, abs=0.03)


def noisy(model: Any, scale: float) -> Any:
    found, stream = copy.deepcopy(model), torch.Generator().manual_seed(0)
    for weight in found.parameters():
        weight.data += scale * weight.data.std() * torch.randn(weight.shape, generator=stream)
    return found


# --- rows in batches


@pytest.mark.parametrize("slots", [1, 3, 16])
def test_a_batch_says_what_each_row_says_alone(slots: int) -> None:
    asked = traffic(12)
    done = routed(slots=slots).generate(asked)
    for request, found in zip(asked, done, strict=True):
        check(request, found)
        (alone,) = routed().generate([request])
        assert isinstance(alone, RoutedCompletion) and isinstance(found, RoutedCompletion)
        assert (found.ids, found.by_large, found.read_by_large) == (alone.ids, alone.by_large, alone.read_by_large)
    assert 0.3 < share(done)[1] / sum(share(done)) < 0.7


def test_the_large_models_draws_do_not_depend_on_the_proposals() -> None:
    """A router that looks at what was proposed would bias the large model's draws if both used one number."""

    @dataclass(frozen=True)
    class Low:
        def score(self, draft: Draft) -> Tensor:
            return (draft.token < 100).float()  # the small model's low random numbers

    asked = [ask("q", 1, seed, Sampling()) for seed in range(600)]
    done = routed(Low(), slots=600).generate(asked)
    drawn = [d.ids[0] for d in done if isinstance(d, RoutedCompletion) and d.by_large[0]]
    low = full(LARGE, replace(done[0], ids=(0,)))[0].softmax(-1)[:100].sum().item()
    assert 150 < len(drawn) < 450
    assert np.mean([i < 100 for i in drawn]) == pytest.approx(low, abs=4 * (0.25 / len(drawn)) ** 0.5)


def test_temperature_top_k_and_stops_are_the_requests() -> None:
    hot = [ask("ab", 20, seed, Sampling(2.0, top_k=1)) for seed in range(4)]
    cold = [ask("ab", 20, seed) for seed in range(4)]
    pair = routed()
    assert [d.ids for d in pair.generate(hot)] == [d.ids for d in pair.generate(cold)]
    whole = pair.generate([ask("stop", 30)])[0]
    cut = pair.generate([ask("stop", 30, stop=(whole.text[3:5],))])[0]
    assert cut.finish == "pause" and whole.ids[: len(cut.ids)] == cut.ids and cut.text.endswith(whole.text[3:5])


def test_models_with_more_logits_than_the_other_never_say_what_only_one_knows() -> None:
    config = Qwen2Config(
        **{**SPECIALS, "vocab_size": 300}, **SHAPE, hidden_size=32, intermediate_size=48, num_hidden_layers=2
    )
    wide = build(config, 2)
    pair = Routed(SMALL, wide, Random(), 0.0, BYTES)
    done = pair.generate([ask("a", 30, seed, Sampling(5.0)) for seed in range(8)])
    assert max(i for d in done for i in d.ids) < 258


# --- with the rest of the package


def test_it_is_a_policy_for_environments_and_thinkings() -> None:
    pair = routed(Entropy(), 3.0)
    envs = cli.make_envs("Delethink-v0", 3, {"chunk": 16, "carry": 6, "head": 2, "max_chunks": 3}, pair.tokenizer)
    done = rollout(pair, envs, [{"seed": i} for i in range(5)], group=1)
    assert any(t.info["resets"] for t in done)
    for t in done:
        for call in t.info["completions"]:
            assert len(call.by_large) == len(call.ids)
    (thought,) = think(pair, "why?", "longcot", budget=9)
    assert thought.length <= 9


def test_nobody_trains_on_its_rows() -> None:
    """No one model drew them: there are ids and no log-probs, which `pack` refuses."""
    envs = cli.make_envs("LongCoT-v0", 2, {"budget": 12}, BYTES)
    done = rollout(routed(), envs, [{"seed": 0}, {"seed": 1}], group=2)
    assert all(t.length and t.segments for t in done)
    with pytest.raises(UserError, match="log-probs for each sampled token"):
        pack([done], np.ones((1, 2)))


def test_what_is_clipped_still_says_who_said_it() -> None:
    done = routed().generate([ask("abc", 9)])[0]
    cut = done.clip(4)
    assert isinstance(cut, RoutedCompletion) and isinstance(done, RoutedCompletion)
    assert (cut.ids, cut.by_large, cut.model_logprobs) == (done.ids[:4], done.by_large[:4], done.model_logprobs[:4])
    assert cut.finish == "length" and done.clip(9) is done


def test_it_is_made_from_strings(tmp_path: Path) -> None:
    save_router(tmp_path, Network(Shape(hidden=96, logits=5, width=8, blocks=1)), 0.3)
    pair = parts.make("policies", f"routed(small='tiny', large='tiny-sat', router='{tmp_path}')")
    assert pair.threshold == 0.3 and len(pair.generate([ask("^123456", 8)])[0].ids) <= 8
    assert parts.make("policies", "routed(small='tiny', large='tiny')").threshold == 0.45
    assert "tiny" in repr(pair) and "0.3" in repr(pair)


# --- what goes wrong


def test_tokenizers_must_agree(tmp_path: Path) -> None:
    models = []
    for name, end in (("bytes", "<|end|>"), ("other", "<|pad|>")):
        folder = tmp_path / name
        folder.mkdir()
        BYTES.save(folder)
        about = folder / "tokenizer_config.json"
        about.write_text(json.dumps(json.loads(about.read_text()) | {"eos_token": end}))
        models.append(copy.deepcopy(SMALL))
        models[-1].config.name_or_path = str(folder)
    with pytest.raises(UserError, match="small='.*bytes' and large='.*other' have different tokenizers: choose two"):
        Routed(*models, Random(), 0.5)
    assert Routed(models[0], models[0], Random(), 0.5).tokenizer == BYTES


@pytest.mark.parametrize("kind", [{"sliding_window": 6}, {"attn_implementation": "eager"}], ids=str)
def test_layers_must_be_full_attention_that_takes_a_mask_a_row(kind: dict[str, Any]) -> None:
    config = MistralConfig(**SPECIALS, **SHAPE, hidden_size=16, intermediate_size=24, num_hidden_layers=1, **kind)
    with pytest.raises(UserError, match="'MistralForCausalLM' must have full attention by sdpa"):
        Routed(SMALL, build(config, 0), Random(), 0.5, BYTES)


def test_refusals() -> None:
    with pytest.raises(UserError, match="router='random' comes without a threshold"):
        routed("random", None)
    with pytest.raises(UserError, match="slots=0"):
        routed(slots=0)
    with pytest.raises(UserError, match="no router at"):
        routed("nowhere")
    for request, message in (
        (ask(room=0), "room=0"),
        (ask(""), "an empty prompt"),
        (ask(sampling=Sampling(-1)), "temp"),
    ):
        with pytest.raises(UserError, match=message):
            routed().generate([request])


@pytest.mark.parametrize(("hidden", "logits"), [(32, 10), (16, 259)])
def test_a_router_for_another_small_model_is_refused_at_once(hidden: int, logits: int, tmp_path: Path) -> None:
    save_router(tmp_path, Network(Shape(hidden, logits, 8, 1, 1), 0), 0.5)
    with pytest.raises(UserError, match=f"hidden size {hidden} and at least {logits} logits, and .* has 16 and 258"):
        routed(str(tmp_path))


def test_broken_weights_are_the_hosts_failure() -> None:
    broken = build(LARGE.config, 3)
    broken.lm_head.weight.data.fill_(float("nan"))
    with pytest.raises(HostError, match="not finite"):
        Routed(SMALL, broken, Random(), 0.0, BYTES).generate([ask()])
