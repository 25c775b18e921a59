from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    AutoModelForCausalLM,
    DynamicCache,
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    OPTConfig,
    PreTrainedConfig,
    Qwen2Config,
)

from reasongym import parts
from reasongym.algos.sampling import Sampler
from reasongym.core import Completion, Policy, Request, Sampling, StreamingPolicy, UserError
from reasongym.policies import hf
from reasongym.policies.hf import HF
from reasongym.tokenizer import ByteTokenizer, Chat

BYTES = ByteTokenizer()
PLAIN, GREEDY = Sampling(), Sampling(temperature=0)
SPECIALS = {"vocab_size": 258, "eos_token_id": 256, "pad_token_id": 257, "bos_token_id": None}
SHAPE = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
SHAPE |= {"num_key_value_heads": 2, "max_position_embeddings": 256, "initializer_range": 0.3}
FAMILIES: dict[str, PreTrainedConfig] = {
    "llama": LlamaConfig(**SPECIALS, **SHAPE),
    "llama-eager": LlamaConfig(**SPECIALS, **SHAPE, attn_implementation="eager"),
    "qwen2": Qwen2Config(**SPECIALS, **SHAPE),
    "mistral-window": MistralConfig(**SPECIALS, **SHAPE, sliding_window=6),
    "gemma2-hybrid": Gemma2Config(**SPECIALS, **SHAPE, head_dim=8, sliding_window=6, attn_implementation="eager"),
    "gpt2": GPT2Config(**SPECIALS, n_embd=32, n_layer=2, n_head=4, n_positions=256, initializer_range=0.3),
}


def build(family: str = "llama", seed: int = 0) -> Any:
    """A small model of random weights, far from uniform; the generator outside is left alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return AutoModelForCausalLM.from_config(FAMILIES[family]).eval()


@pytest.fixture(scope="module")
def model() -> Any:
    return build()


@pytest.fixture
def policy(model: Any) -> HF:
    return HF(model, BYTES)


def ask(prompt: str = "2+2=", *, room: int = 12, seed: int = 0, sampling: Sampling = PLAIN, **more: Any) -> Request:
    ids = tuple(more.pop("response_ids", BYTES.encode(more.get("response", ""))))
    return Request((0, 0, seed, 0), prompt, more.pop("response", ""), ids, room, seed=seed, sampling=sampling, **more)


def truth(model: Any, done: Completion) -> list[float]:
    """Log-probabilities by one plain forward over the whole sequence."""
    whole = torch.tensor([[*done.prompt_ids, *done.ids]])
    with torch.no_grad():
        logits = model(input_ids=whole).logits[0, len(done.prompt_ids) - 1 : -1].float() / done.temperature
    return logits.log_softmax(-1).gather(1, torch.tensor(done.ids)[:, None])[:, 0].tolist()


def check(model: Any, asked: Request, done: Completion) -> None:
    """Everything that holds for any completion."""
    assert done.prompt_ids == (*Chat(BYTES).prompt_ids(asked.prompt, asked.response), *asked.response_ids)
    assert 1 <= len(done.ids) <= asked.room and len(done.ids) == len(done.logprobs)
    assert not set(done.ids[:-1]) & set(BYTES.eos_ids)
    assert (done.finish == "end") == (done.ids[-1] in BYTES.eos_ids)
    assert done.finish != "length" or len(done.ids) == asked.room
    assert done.text == BYTES.decode(done.ids[:-1] if done.finish == "end" else done.ids)
    assert done.logprobs == pytest.approx(truth(model, done), abs=1e-4)


# --- against transformers itself


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_equals_generate_for_uneven_prompts(family: str) -> None:
    model = build(family)
    prompts = ["7", "what is 12 * 13?", "abc", "0123456789" * 4, "x+y="]
    width, room = max(map(len, prompts)), 40
    padded = torch.tensor([[257] * (width - len(p)) + BYTES.encode(p) for p in prompts])
    out = model.generate(padded, attention_mask=(padded != 257).long(), max_new_tokens=room, do_sample=False)
    asked = [ask(p, room=room, sampling=GREEDY) for p in prompts]
    for request, done, row in zip(asked, HF(model, BYTES).generate(asked), out[:, width:].tolist(), strict=True):
        end = row.index(256) + 1 if 256 in row else room
        assert list(done.ids) == row[:end]
        assert done.temperature == 1.0  # what its log-probs are of
        check(model, request, done)


@pytest.mark.parametrize("family", FAMILIES)
def test_logprobs_equal_a_teacher_forced_forward(family: str) -> None:
    model = build(family)
    kinds = [Sampling(), Sampling(0.6), Sampling(1.4, top_p=0.8), Sampling(1.0, top_k=3), GREEDY]
    asked = [ask("ab" * (1 + i), room=8 + 3 * i, seed=i, sampling=kinds[i % 5]) for i in range(10)]
    for request, done in zip(asked, HF(model, BYTES, slots=4).generate(asked), strict=True):
        assert done.temperature == (request.sampling.temperature or 1.0)
        check(model, request, done)


@settings(max_examples=25)
@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.integers(1, 60), st.integers(1, 90), st.integers(0, 2)), min_size=1, max_size=9),
)
def test_any_traffic_is_exact(slots: int, traffic: list[tuple[int, int, int]]) -> None:
    """Rows of any length join, grow the cache, leave and make room, whatever the others do."""
    model, done = build(), dict[int, Completion]()
    policy = HF(model, BYTES, slots=slots)
    asked = {}
    for i, (length, room, steps) in enumerate(traffic):
        request = ask("q" * length, room=room, seed=i)
        asked[policy.submit(request)] = request
        for _ in range(steps):
            done |= policy.poll(0)
    while len(done) < len(asked):
        done |= (found := policy.poll())
        assert found
    assert policy.poll() == [] and not policy._window.rows and policy._window.cache is None  # the memory is free
    for ticket, request in asked.items():
        check(model, request, done[ticket])


# --- streaming


def test_it_is_a_policy_that_streams(policy: HF, tmp_path: Any) -> None:
    plain: Policy = policy
    assert isinstance(plain, StreamingPolicy)
    policy.model.save_pretrained(tmp_path)
    BYTES.save(tmp_path)
    loaded = parts.make("policies", f"hf(model={str(tmp_path)!r}, slots=3)")
    assert loaded.slots == 3 and loaded.tokenizer == BYTES and "slots=3" in repr(loaded)
    assert loaded.generate([ask()])[0].ids == policy.generate([ask()])[0].ids


def test_more_requests_than_slots_come_back_in_order(model: Any) -> None:
    asked = [ask(f"{i}", room=1 + 7 * i % 11, seed=i) for i in range(20)]
    few, many = HF(model, BYTES, slots=3).generate(asked), HF(model, BYTES, slots=64).generate(asked)
    assert [c.ids for c in few] == [c.ids for c in many]
    assert [c.prompt_ids for c in few] == [tuple(f"{i}".encode()) for i in range(20)]
    assert HF(model, BYTES).generate([]) == []


class Widths:
    """Rows and columns of every forward of a model."""

    def __init__(self, model: Any) -> None:
        self.seen: list[tuple[int, ...]] = []
        self.hook = model.register_forward_pre_hook(self, with_kwargs=True)

    def __call__(self, module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        self.seen.append(tuple(kwargs["input_ids"].shape))


@pytest.fixture
def widths(model: Any) -> Iterator[Widths]:
    found = Widths(model)
    yield found
    found.hook.remove()


def endless(policy: HF) -> HF:
    """The same policy for which no id ends a turn, so that lengths are known."""
    policy._ends = frozenset()
    return policy


def test_a_row_leaves_at_once_and_the_next_enters_at_the_following_step(model: Any, widths: Widths) -> None:
    policy = endless(HF(model, BYTES, slots=2))
    tickets = [policy.submit(ask(p, room=room)) for p, room in (("a", 2), ("bb", 5), ("ccc", 3))]
    assert [t for t, _ in policy.poll()] == [tickets[0]]
    assert widths.seen == [(2, 2), (2, 1)]  # one prefill, which gives the first tokens, and one step
    assert [t for t, _ in policy.poll()] == [tickets[2]]
    assert widths.seen[2:] == [(1, 3), (2, 1), (2, 1)]
    assert [t for t, _ in policy.poll()] == [tickets[1]]
    assert widths.seen[5:] == [(1, 1)]


def test_poll_timeouts(model: Any) -> None:
    policy = endless(HF(model, BYTES))
    assert policy.poll() == [] and policy.poll(0) == []
    ticket = policy.submit(ask(room=4))
    assert [policy.poll(0), policy.poll(0)] == [[], []]  # two tokens at first, then one a step
    assert [t for t, _ in policy.poll(0)] == [ticket]
    policy.submit(ask(room=4))
    assert len(policy.poll(60.0)) == 1


def test_all_that_are_done_come_together_in_ticket_order(model: Any) -> None:
    policy = endless(HF(model, BYTES))
    tickets = [policy.submit(ask(p, room=r)) for p, r in (("long" * 9, 3), ("b", 9), ("c", 3), ("dd", 3))]
    assert [t for t, _ in policy.poll()] == [tickets[0], tickets[2], tickets[3]]


def test_generate_keeps_what_was_streamed(model: Any) -> None:
    policy = endless(HF(model, BYTES))
    ticket = policy.submit(ask("a", room=2))
    assert len(policy.generate([ask("b", room=9)])[0].ids) == 9
    assert [t for t, _ in policy.poll()] == [ticket]


def test_cancel(model: Any) -> None:
    policy = endless(HF(model, BYTES, slots=2))
    asked = [ask(p, room=r, seed=r) for p, r in (("a", 9), ("b", 8), ("c", 3), ("d", 1))]
    kept, active, waiting, done = map(policy.submit, asked)
    policy.poll(0)
    for ticket in (active, waiting, 999):
        policy.cancel(ticket)
    policy.generate([ask("e", room=2)])  # by now "d" is done
    policy.cancel(done)
    ((ticket, completion),) = policy.poll()
    assert ticket == kept
    assert completion.ids == endless(HF(model, BYTES)).generate(asked[:1])[0].ids


def test_a_result_does_not_depend_on_the_company(model: Any) -> None:
    kinds = [Sampling(top_p=1 - 0.04 * i) for i in range(9)]
    asked = [ask("p" * (1 + 5 * i % 17), room=30, seed=100 + i, sampling=kind) for i, kind in enumerate(kinds)]
    together = HF(model, BYTES).generate(asked)
    assert len({c.ids for c in together}) == 9
    for i, request in enumerate(asked):
        assert HF(model, BYTES).generate([request])[0].ids == together[i].ids
    late = HF(model, BYTES)
    done, tickets = dict[int, Completion](), []
    for request in asked:
        tickets.append(late.submit(request))
        done |= late.poll(0)
        done |= late.poll(0)
    while len(done) < 9:
        done |= late.poll()
    assert [done[t].ids for t in tickets] == [c.ids for c in together]


def test_equal_contexts_are_prefilled_once(model: Any, widths: Widths) -> None:
    done = HF(model, BYTES).generate([ask("same", room=6, seed=i % 5) for i in range(10)] + [ask("other", room=6)])
    assert widths.seen[0] == (2, 5)
    assert [c.ids for c in done[:5]] == [c.ids for c in done[5:10]]  # same seed, same text
    assert len({c.ids for c in done[:5]}) == 5


def test_prompts_of_very_different_lengths_are_not_padded_to_the_longest(model: Any, widths: Widths) -> None:
    endless(HF(model, BYTES)).generate([ask("x" * n, room=2) for n in (1, 200, 3, 190, 2)])
    assert widths.seen == [(2, 200), (2, 3), (1, 1), (5, 1)]


def test_a_prefill_is_bounded(model: Any, widths: Widths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hf, "_PREFILL", 30)
    HF(model, BYTES).generate([ask(p, room=1) for p in ("a" * 10, "b" * 10, "c" * 9, "d" * 10, "e" * 8, "f" * 40)])
    assert widths.seen == [(1, 40), (3, 10), (2, 9)]


# --- sampling


def frequencies(policy: HF, count: int, sampling: Sampling) -> torch.Tensor:
    done = policy.generate([ask(room=1, seed=i, sampling=sampling) for i in range(count)])
    return torch.bincount(torch.tensor([c.ids[0] for c in done]), minlength=258).double()


def chances(model: Any, temperature: float = 1.0) -> torch.Tensor:
    with torch.no_grad():
        return (model(input_ids=torch.tensor([BYTES.encode("2+2=")])).logits[0, -1].double() / temperature).softmax(-1)


def restricted(chance: torch.Tensor, top_p: float, top_k: int) -> torch.Tensor:
    """What is left of a distribution, by the plain definition."""
    order = chance.argsort(descending=True).tolist()[: top_k or None]
    total, mass, kept = sum(chance[order].tolist()), 0.0, []
    for i in order:
        if top_p < 1 and mass >= top_p * total:
            break
        kept.append(i)
        mass += float(chance[i])
    left = torch.zeros_like(chance)
    left[kept] = chance[kept] / mass
    return left


@pytest.mark.parametrize(
    "sampling",
    [Sampling(), Sampling(0.5), Sampling(2.0), Sampling(top_k=4), Sampling(top_p=0.7), Sampling(1.5, 0.6, 20)],
    ids=repr,
)
def test_frequencies_follow_the_softmax(model: Any, sampling: Sampling) -> None:
    count = 4000
    found = frequencies(HF(model, BYTES, slots=4000), count, sampling)
    expected = count * restricted(chances(model, sampling.temperature), sampling.top_p, sampling.top_k)
    assert not found[expected == 0].any()  # only ever an id that is allowed
    rare = expected < 5
    cells = torch.cat((expected[~rare], expected[rare].sum()[None])), torch.cat((found[~rare], found[rare].sum()[None]))
    chi2 = float(((cells[1] - cells[0]) ** 2 / cells[0].clamp(min=1e-9)).sum())
    freedom = len(cells[0]) - 1
    assert freedom >= 2 and chi2 < freedom + 4 * (2 * freedom) ** 0.5


def test_top_k_of_one_is_greedy(policy: HF) -> None:
    greedy = policy.generate([ask(sampling=GREEDY)])[0]
    assert policy.generate([ask(sampling=Sampling(top_k=1), seed=9)])[0].ids == greedy.ids
    assert policy.generate([ask(sampling=Sampling(top_p=1e-9), seed=9)])[0].ids == greedy.ids
    assert policy.generate([ask(sampling=Sampling(1e-4), seed=9)])[0].ids == greedy.ids


@given(st.lists(st.sampled_from([0.0, -1e30, float("-inf"), -3.0, 5.0]), min_size=2, max_size=9), st.floats(0, 1))
def test_an_id_of_probability_0_is_never_picked(logits: list[float], u: float) -> None:
    chance = torch.tensor([logits]).softmax(-1)[0]
    if not all(map(torch.isfinite, chance)):
        return  # all -inf
    for sampling in (Sampling(), Sampling(0.3), Sampling(top_k=3), Sampling(top_p=0.9), GREEDY):
        picked, logprob = Sampler([sampling], torch.device("cpu"))(torch.tensor([logits]), [u])
        assert chance[int(picked)] > 0 and torch.isfinite(logprob).all()


def test_the_ends_of_the_unit_interval() -> None:
    sampler = Sampler([Sampling()] * 2, torch.device("cpu"))
    logits = torch.tensor([[float("-inf"), 0.0, 1.0, float("-inf")]] * 2)
    assert sampler(logits, [0.0, 1.0 - 1e-12])[0].tolist() == [1, 2]  # in float32 the second is 1


def test_rows_of_different_settings_in_one_draw() -> None:
    """Each row keeps to its own ids and its own temperature; log-probabilities are float32's."""
    kinds = [Sampling(), Sampling(top_k=2), GREEDY, Sampling(0.5, top_k=5), Sampling(2.0, top_p=0.5), Sampling(0.7)]
    logits = torch.randn(6, 40, generator=torch.Generator().manual_seed(0)).bfloat16()
    heats = [s.temperature or 1.0 for s in kinds]
    chance = [(row.double() / heat).softmax(-1) for row, heat in zip(logits, heats, strict=True)]
    left = [restricted(c, s.top_p, s.top_k or (s == GREEDY)) for c, s in zip(chance, kinds, strict=True)]
    sampler, alone = (Sampler(kinds[:n], torch.device("cpu")) for n in (6, 1))
    seen = torch.zeros(6, 40, dtype=torch.bool)
    for u in torch.linspace(0, 1, 2001).tolist():
        picked, logprobs = sampler(logits, [u] * 6)
        seen[range(6), picked] = True
        exact = [float(c[i].log()) for c, i in zip(chance, picked.tolist(), strict=True)]
        assert logprobs.tolist() == pytest.approx(exact, abs=1e-5)
        assert alone(logits[:1], [u])[1].tolist() == pytest.approx(exact[:1], abs=1e-5)
    wanted = torch.stack([row > 0 for row in left])
    assert not (seen & ~wanted).any()
    assert seen[torch.stack(left) > 2e-3].all()


def test_a_seed_is_a_stream_of_its_own(policy: HF) -> None:
    one, two, three = policy.generate([ask(room=30, seed=s) for s in (1, 2, 1)])
    assert one.ids == three.ids != two.ids


# --- where a call ends


def forced(model: Any, text: Sequence[int], ends: Sequence[int] = (256,)) -> HF:
    """A policy that must write ``text``: a real decode whose logits are pushed, by position."""
    policy = HF(model, BYTES)
    policy._ends = frozenset(ends)
    plain = policy._forward

    def push(ids: Any, positions: torch.Tensor, mask: Any, cache: Any) -> torch.Tensor:
        logits = plain(ids, positions, mask, cache)
        for row, position in enumerate(positions[:, -1].tolist()):
            logits[row, text[position - start]] += 1e4
        return logits

    start = len("2+2=") - 1
    policy._forward = push  # type: ignore[method-assign]
    return policy


@pytest.mark.parametrize(
    ("text", "stop", "written"),
    [
        ("let me see <py>1</py> and", ("</py>",), "let me see <py>1</py>"),
        ("a</sql>b</py>", ("</py>", "</sql>"), "a</sql>"),
        ("so ∎∎ done", ("∎",), "so ∎"),  # three bytes
        ("né é", ("é",), "né"),
        ("aab", ("ab",), "aab"),
        ("abababac", ("abac",), "abababac"),
        ("nothing", ("</py>",), "nothing"),
    ],
)
def test_a_stop_string_pauses_right_after_it(model: Any, text: str, stop: tuple[str, ...], written: str) -> None:
    (done,) = forced(model, [*text.encode(), 256]).generate([ask(room=99, stop=stop)])
    assert done.text == written
    if written == text and not text.endswith(stop):
        assert done.finish == "end" and done.ids == (*text.encode(), 256)
    else:
        assert done.finish == "pause" and done.ids == tuple(written.encode())


def test_a_stop_string_may_begin_in_the_response_but_not_lie_in_it(model: Any) -> None:
    for response, text, written in (
        ("1</", "py> on", "py>"),
        ("1</py>", "more</py>", "more</py>"),
        ("</py></p", "y> more", "y>"),
    ):
        pushed = [0] * len(response) + [*text.encode(), 256]
        (done,) = forced(model, pushed).generate([ask(room=99, response=response, stop=("</py>",))])
        assert (done.text, done.finish) == (written, "pause")


def test_a_half_character_of_the_response_counts_when_it_is_whole(model: Any) -> None:
    half = "∎".encode()[:2]
    request = ask(room=9, response="\ufffd", response_ids=half, stop=("∎",))
    (done,) = forced(model, [0, 0, *"∎".encode()[2:], *b"xyz"]).generate([request])
    assert (done.ids, done.finish) == ("∎".encode()[2:] and (0x8E,), "pause")
    assert done.prompt_ids == (*b"2+2=", *half)  # never decoded and encoded again


def test_no_token_is_cut_at_a_stop_string(model: Any) -> None:
    """A token may go on past the stop string that it completes."""

    class Pairs(ByteTokenizer):
        """As bytes, but id 0 is ``>!``."""

        def decode(self, ids: Sequence[int]) -> str:
            return ByteTokenizer().decode([b for i in ids for b in (b">!" if i == 0 else [i])])

    policy = forced(model, [*b"</py", 0, *b"more"])
    policy.tokenizer = Pairs()
    (done,) = policy.generate([ask(room=99, stop=("</py>",))])
    assert (done.text, done.ids, done.finish) == ("</py>!", (*b"</py", 0), "pause")


@pytest.mark.parametrize("end", [256, 10])
def test_any_end_id_ends_and_is_counted_but_is_no_text(model: Any, end: int) -> None:
    (done,) = forced(model, [*b"ab", end, *b"cd"], ends=(256, 10)).generate([ask(room=3)])
    assert (done.text, done.ids, done.finish, len(done.logprobs)) == ("ab", (*b"ab", end), "end", 3)


def test_room(model: Any) -> None:
    for room, finish in ((1, "length"), (2, "length"), (3, "end")):
        (done,) = forced(model, [*b"ab", 256]).generate([ask(room=room)])
        assert (len(done.ids), done.finish) == (room, finish)
    (done,) = forced(model, b"ab>").generate([ask(room=3, stop=("b>",))])
    assert done.finish == "pause"  # the stop string is whole, and so is the room


# --- weights


def test_sync_changes_outputs_and_version() -> None:
    live, other = build(), build(seed=1)
    policy, request = HF(live, BYTES), ask(room=20)
    (before,) = policy.generate([request])
    assert (policy.version, before.version) == (0, 0)
    policy.sync(live)
    (same,) = policy.generate([request])
    assert same.ids == before.ids and same.version == policy.version == 1
    policy.sync(other)
    assert policy.model is live
    (after,) = policy.generate([request])
    assert after.ids != before.ids and after.version == 2
    check(other, request, after)
    policy.sync(build().state_dict())
    assert policy.generate([request])[0].ids == before.ids and policy.version == 3
    policy.sync()
    assert policy.version == 4


def test_weights_that_change_between_calls_are_seen_at_once() -> None:
    live = build()
    policy = HF(live, BYTES)
    policy.generate([ask()])
    optimiser = torch.optim.SGD(live.parameters(), lr=0.5)
    live(input_ids=torch.tensor([[1, 2, 3]])).logits.square().mean().backward()
    optimiser.step()
    check(live, ask(), policy.generate([ask()])[0])


def test_sync_in_the_middle_goes_on_under_the_new_weights() -> None:
    live, new = build(), build(seed=1)
    policy = endless(HF(live, BYTES, slots=2))
    asked = [ask("abc" * (1 + i), room=10, seed=i) for i in range(3)]
    tickets = [policy.submit(request) for request in asked]
    policy.poll(0)
    policy.poll(0)  # three tokens each
    policy.sync(new)
    done = dict(policy.poll())
    while len(done) < 3:
        done |= policy.poll()
    for i, ticket in enumerate(tickets):
        found, kept = done[ticket], 3 if i < 2 else 0
        assert len(found.ids) == 10 and found.version == (0 if kept else 1)
        assert found.logprobs[:kept] == pytest.approx(truth(build(), found)[:kept], abs=1e-4)
        assert found.logprobs[kept:] == pytest.approx(truth(new, found)[kept:], abs=1e-4)


def test_sync_takes_tied_weights_and_refuses_others() -> None:
    config = LlamaConfig(**SPECIALS, **SHAPE, tie_word_embeddings=True)
    live = AutoModelForCausalLM.from_config(config)
    weights = {k: v.clone() + 0.1 for k, v in live.state_dict().items() if k != "lm_head.weight"}
    policy = HF(live, BYTES)
    policy.sync(weights)
    assert torch.equal(live.lm_head.weight, weights["model.embed_tokens.weight"])
    with pytest.raises(UserError, match="model.norm.weight"):
        policy.sync({k: v for k, v in weights.items() if k != "model.norm.weight"})
    with pytest.raises(UserError, match="head.bias"):
        policy.sync(weights | {"head.bias": torch.zeros(1)})
    with pytest.raises(UserError, match="norm.weight"):
        policy.sync({k: v + 1 for k, v in weights.items()} | {"model.norm.weight": torch.zeros(3)})
    assert torch.equal(live.lm_head.weight, weights["model.embed_tokens.weight"])  # all or none
    assert policy.version == 1


def test_the_trainers_modes_and_gradients_are_left_alone() -> None:
    live = AutoModelForCausalLM.from_config(LlamaConfig(**SPECIALS, **SHAPE, attention_dropout=0.5))
    live.train()
    live.model.layers[0].eval()
    modes = [m.training for m in live.modules()]
    (done,) = HF(live, BYTES).generate([ask(room=20)])
    assert [m.training for m in live.modules()] == modes
    live(input_ids=torch.tensor([[1, 2, 3]]), labels=torch.tensor([[1, 2, 3]])).loss.backward()
    assert all(p.grad is not None for p in live.parameters())
    check(live.eval(), ask(room=20), done)


# --- score


def test_score_is_what_sampling_reported(policy: HF, model: Any) -> None:
    (done,) = policy.generate([ask(room=30)])
    assert policy.score(done.prompt_ids, done.ids) == pytest.approx(done.logprobs, abs=1e-4)
    (hot,) = policy.generate([ask(room=30, sampling=Sampling(1.7))])
    assert policy.score(hot.prompt_ids, hot.ids, 1.7) == pytest.approx(hot.logprobs, abs=1e-4)
    assert policy.score(done.prompt_ids, ()) == []


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("rows", [1, 4, 7])
def test_score_by_blocks_is_the_same(monkeypatch: pytest.MonkeyPatch, family: str, rows: int) -> None:
    policy = HF(build(family), BYTES)
    ids = BYTES.encode("a sentence of some length")
    whole = policy.score((1, 2, 3), ids)
    assert len(whole) == len(ids)
    monkeypatch.setattr(hf, "_LOGITS", 258 * rows)
    assert policy.score((1, 2, 3), ids) == pytest.approx(whole, abs=1e-4)


# --- the rest


def test_bfloat16_runs() -> None:
    policy = HF(build(), BYTES, dtype="bfloat16")
    assert policy.model.dtype is torch.bfloat16
    asked = [ask("a" * (1 + i), room=9, seed=i) for i in range(5)]
    for done in policy.generate(asked):
        assert done.logprobs == pytest.approx(policy.score(done.prompt_ids, done.ids), abs=0.15)


def test_completions_are_plain_values(policy: HF) -> None:
    (done,) = policy.generate([ask()])
    assert {type(v) for v in (*done.ids, *done.prompt_ids)} == {int} and {type(v) for v in done.logprobs} == {float}
    back = json.loads(json.dumps(asdict(done)))
    assert Completion(**{k: tuple(v) if isinstance(v, list) else v for k, v in back.items()}) == done


def test_the_system_prompt_is_in_the_template(model: Any) -> None:
    (done,) = HF(model, BYTES, system="Be brief.").generate([ask("2+2=")])
    assert done.prompt_ids == tuple(b"Be brief.\n2+2=")


def test_broken_weights_are_the_hosts_failure() -> None:
    from reasongym.core import HostError

    live = build()
    policy = HF(live, BYTES)
    good = policy.submit(ask(room=50))
    policy.poll(0)
    live.model.norm.weight.data[0] = float("nan")
    with pytest.raises(HostError, match="not finite"):
        policy.generate([ask()])
    live.model.norm.weight.data[0] = 1.0
    assert policy.poll() == [] and good  # all that was on its way is gone, and the policy works again
    check(live, ask(), policy.generate([ask()])[0])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda m: HF("/no/such/folder"), "/no/such/folder"),
        (lambda m: HF("/no/such/folder", BYTES), "no model at '/no/such/folder'"),
        (lambda m: HF(m), "give tokenizer="),
        (lambda m: HF(m, BYTES, slots=0), "slots=0"),
        (lambda m: HF(m, BYTES, dtype="int8"), "dtype='int8'"),
        (lambda m: HF(m, BYTES, dtype="nonsense"), "bfloat16"),
        (lambda m: HF(m, BYTES, device="nonsense"), "'cpu' or 'cuda'"),
        (lambda m: HF(m, BYTES).submit(ask(room=0)), "room=0"),
        (lambda m: HF(m, BYTES).submit(ask("")), "empty prompt"),
        (lambda m: HF(m, BYTES).submit(ask(sampling=Sampling(-1.0))), "temperature"),
        (lambda m: HF(m, BYTES).submit(ask(sampling=Sampling(top_p=0.0))), "top_p"),
        (lambda m: HF(m, BYTES).score((), (1,)), "prompt_ids"),
        (lambda m: HF(m, BYTES).score((1,), (1,), 0.0), "temperature"),
    ],
)
def test_what_the_user_can_mend_is_said_in_one_line(model: Any, make: Any, says: str) -> None:
    with pytest.raises(UserError) as error:
        make(model)
    assert says in str(error.value) and "\n" not in str(error.value)


OPT = {"ffn_dim": 32, "word_embed_proj_dim": 32, "max_position_embeddings": 256}  # its table has 2 rows more


@pytest.mark.parametrize("config", [FAMILIES["gpt2"], OPTConfig(**SPECIALS, **SHAPE | OPT)], ids=["gpt2", "opt"])
def test_a_request_past_the_last_learned_position_is_refused(config: PreTrainedConfig) -> None:
    policy = endless(HF(AutoModelForCausalLM.from_config(config), BYTES))
    assert len(policy.generate([ask("2+2=", room=253)])[0].ids) == 253  # 256 positions: the last id is never read
    says = r"^HF\('(GPT2LMHeadModel|OPTForCausalLM)', .* has 256 positions, .* takes 257: give a smaller budget$"
    with pytest.raises(UserError, match=says):
        policy.submit(ask("2+2=", room=254))
    assert not policy._waiting


def test_computed_positions_have_no_end(policy: HF) -> None:
    assert policy.model.config.max_position_embeddings == 256
    policy.cancel(policy.submit(ask(room=1000)))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_that_is_not_there_is_said(model: Any) -> None:
    with pytest.raises(UserError, match="no usable CUDA device"):
        HF(model, BYTES, device="cuda")


def test_models_without_a_cache_of_keys_are_refused() -> None:
    from transformers import BloomConfig, MambaConfig

    mamba = AutoModelForCausalLM.from_config(MambaConfig(vocab_size=258, hidden_size=16, num_hidden_layers=1))
    bloom = AutoModelForCausalLM.from_config(BloomConfig(vocab_size=258, hidden_size=16, n_layer=1, n_head=2))
    for model in (mamba, bloom):
        with pytest.raises(UserError, match="position_ids|layers of kind"):
            HF(model, BYTES)


def test_the_cache_is_a_view_and_gives_its_sizes(model: Any) -> None:
    """What transformers asks of a cache: a plain one and ours must agree at every step."""
    policy, plain = endless(HF(model, BYTES)), DynamicCache()
    policy.submit(ask("abcd", room=20))
    policy.poll(0)
    model(input_ids=torch.tensor([BYTES.encode("abcd")]), past_key_values=plain, use_cache=True)
    row, cache = policy._window.rows[0], policy._window.cache
    assert cache.get_seq_length() == plain.get_seq_length() + 1 == len(row.context) - 1
    keys = policy._window.layers[1].buffers[0][:1, :, policy._window.start : policy._window.end - 1]
    assert torch.allclose(keys, plain.layers[1].keys, atol=1e-5)


def test_bfloat16_leaves_the_rotary_frequencies_alone() -> None:
    exact, rounded = HF("tiny"), HF("tiny", dtype="bfloat16")
    assert {p.dtype for p in rounded.model.parameters()} == {torch.bfloat16}
    for (name, mine), (_, theirs) in zip(rounded.model.named_buffers(), exact.model.named_buffers(), strict=True):
        assert mine.dtype == theirs.dtype == torch.float32, name
        assert torch.equal(mine, theirs), name
