"""Our policy loss against TRL's ``GRPOTrainer``: the same batch, the same tiny Llama, equal loss and gradient.

    python -m benchmarks.trl_parity [--save]

Both sides get the same tokens, advantages, old and reference log-probabilities. TRL pads prompts on the
left and completions on the right and takes the batch whole; we pad rows on the right and add up
micro-batches, so that equality also covers masks, shifts and normalisers. ``loss_diff`` and
``grad_diff`` are the largest absolute differences over all settings and all parameters; ``grad_max``
says how large the gradients are that agree, ``clip_fraction`` that the clip took part.

TRL pins its own dependencies, so give it an environment of its own that sees this one's packages:

    python -m venv trl-env
    python -c "import site; print(site.getsitepackages()[0])" > trl-env/lib/python3.11/site-packages/main.pth
    trl-env/bin/pip install --no-deps trl==1.16.0 accelerate psutil
    trl-env/bin/python -m benchmarks.trl_parity
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import tempfile
import time
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from benchmarks.report import finish
from reasongym.algos.losses import policy_loss, token_logprobs
from reasongym.algos.normalise import token_weights

BAR = 1e-5
VOCAB, PROMPT, COMPLETION, ROWS, MICRO = 64, 6, 12, 8, 3
TEMPERATURE = 0.8


@dataclass(frozen=True)
class Setting:
    """One loss, as TRL's configuration and as our arguments; ``gap`` is how far the old policy is."""

    trl: dict[str, Any]
    ours: dict[str, Any] = field(default_factory=dict)
    norm: str = "trajectory"
    gap: float | None = 0.3


SETTINGS = {
    "grpo": Setting({"loss_type": "grpo"}),
    "on_policy": Setting({"loss_type": "grpo"}, gap=None),
    "dapo": Setting({"loss_type": "dapo", "epsilon_high": 0.28}, {"clip_high": 0.28}, "token"),
    "dr_grpo": Setting({"loss_type": "dr_grpo"}, norm="constant"),
    "two_sided": Setting({"loss_type": "grpo", "delta": 1.5}, {"dual_clip": 1.5}, gap=1.0),
    "kl": Setting({"loss_type": "grpo", "use_bias_correction_kl": False}, {"kl": 0.1}),
    "kl_unbiased": Setting({"loss_type": "grpo"}, {"kl": 0.1, "kl_unbiased": True}),
    "entropy": Setting({"loss_type": "dapo", "entropy_coef": 0.05}, {"entropy_coef": 0.05}, "token"),
    "tis": Setting({"loss_type": "grpo"}, {"kl": 0.1, "kl_unbiased": True, "tis": 2.0}),
    "gspo": Setting(
        {"loss_type": "grpo", "importance_sampling_level": "sequence", "epsilon": 3e-4, "epsilon_high": 4e-4},
        {"ratio": "geometric", "clip_low": 3e-4, "clip_high": 4e-4},
        gap=1e-3,
    ),
    "gspo_wide": Setting(
        {"loss_type": "dapo", "importance_sampling_level": "sequence"}, {"ratio": "geometric"}, "token", gap=1.0
    ),
}


@dataclass(frozen=True)
class Fixed:
    """The fixed batch: ragged prompts and completions, with holes where a tool spoke. [ROWS, ...]"""

    prompts: list[Tensor]
    completions: list[Tensor]
    sampled: list[Tensor]  # 1 where the policy sampled the completion's token
    advantages: Tensor  # [ROWS]
    noise: dict[str, list[Tensor]]  # old, reference and behaviour policies, relative to the model

    @classmethod
    def make(cls, seed: int) -> Fixed:
        rng = torch.Generator().manual_seed(seed)
        lengths = torch.randint(3, COMPLETION + 1, (ROWS,), generator=rng).tolist()
        lengths[0] = COMPLETION
        asked = torch.randint(1, PROMPT + 1, (ROWS,), generator=rng).tolist()
        prompts, completions = ([torch.randint(3, VOCAB, (n,), generator=rng) for n in ns] for ns in (asked, lengths))
        sampled = [(torch.rand(n, generator=rng) > 0.2).long() for n in lengths]
        noise = {k: [torch.randn(n, generator=rng) for n in lengths] for k in ("old", "ref", "behaviour")}
        return cls(prompts, completions, sampled, torch.randn(ROWS, generator=rng), noise)


def tiny_llama(seed: int) -> Any:
    """Two layers with weights large enough for gradients of order one."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=VOCAB, initializer_range=0.15, **sizes, **special))


def pad(xs: list[Tensor], side: str = "right") -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(xs, batch_first=True, padding_side=side)


def rows(batch: Fixed) -> tuple[Tensor, Tensor, Tensor]:
    """Right-padded ids and attention [N, T], and the mask of sampled tokens [N, T - 1]."""
    whole = [torch.cat(pair) for pair in zip(batch.prompts, batch.completions, strict=True)]
    masks = [torch.cat([0 * p, s]) for p, s in zip(batch.prompts, batch.sampled, strict=True)]
    return pad(whole), pad([torch.ones_like(x) for x in whole]), pad(masks)[:, 1:]


def placed(batch: Fixed, values: list[Tensor], like: Tensor) -> Tensor:
    """Values of completion tokens, at their columns of [N, T - 1]."""
    out = torch.zeros_like(like)
    for i, (prompt, x) in enumerate(zip(batch.prompts, values, strict=True)):
        out[i, len(prompt) - 1 : len(prompt) - 1 + len(x)] = x
    return out


def taken(batch: Fixed, x: Tensor) -> Tensor:
    """The reverse: columns of [N, T - 1] as TRL's completions [N, COMPLETION], padded on the right."""
    out = torch.zeros(len(x), COMPLETION)
    for i, (prompt, done) in enumerate(zip(batch.prompts, batch.completions, strict=True)):
        out[i, : len(done)] = x[i, len(prompt) - 1 : len(prompt) - 1 + len(done)]
    return out


def policies(model: Any, batch: Fixed, gap: float | None) -> dict[str, Tensor | None]:
    """Log-probabilities [N, T - 1] of the old, reference and behaviour policies."""
    ids, attention, _ = rows(batch)
    with torch.no_grad():
        logp, _ = token_logprobs(model(ids, attention_mask=attention).logits, ids, TEMPERATURE)
    at = {k: placed(batch, v, logp) for k, v in batch.noise.items()}
    old = logp + (gap or 0.0) * at["old"]
    return {
        "old_logp": None if gap is None else old,
        "ref_logp": logp + 0.3 * at["ref"],
        "behaviour_logp": old + at["behaviour"],
    }


def ours(
    model: Any, batch: Fixed, setting: Setting, logps: dict[str, Tensor | None]
) -> tuple[Tensor, list[Tensor], float]:
    """Loss, gradients and clip fraction, summed over micro-batches of ``MICRO`` rows."""
    ids, attention, mask = rows(batch)
    weight = torch.from_numpy(token_weights(mask.sum(dim=1).numpy(), setting.norm, COMPLETION))  # type: ignore[arg-type]
    model.zero_grad()
    total, clipped = torch.zeros(()), 0.0
    for i in range(0, ROWS, MICRO):
        cut = slice(i, i + MICRO)
        logits = model(ids[cut], attention_mask=attention[cut]).logits
        logp, entropy = token_logprobs(logits, ids[cut], TEMPERATURE, chunk=4)
        given = {k: None if v is None else v[cut] for k, v in logps.items()}
        old = given.pop("old_logp")
        extra = {"entropy": entropy, "trajectory": torch.arange(ROWS)[cut], **given, **setting.ours}
        loss, stats = policy_loss(logp, old, batch.advantages[cut], mask[cut], weight[cut], **extra)
        loss.backward()
        total += loss.detach()
        clipped += stats["clip_fraction"] * stats["tokens"] / float(mask.sum())
    return total, [p.grad.clone() for p in model.parameters()], clipped


def theirs(
    model: Any, batch: Fixed, setting: Setting, logps: dict[str, Tensor | None], folder: str
) -> tuple[Tensor, list[Tensor]]:
    """TRL's loss and gradients for the batch as one micro-batch."""
    trainer = trl_trainer(model, setting, folder)
    old = logps["old_logp"]
    inputs: dict[str, Any] = {
        "prompt_ids": pad(batch.prompts, "left"),
        "prompt_mask": pad([torch.ones_like(p) for p in batch.prompts], "left"),
        "completion_ids": pad(batch.completions),
        "completion_mask": pad([torch.ones_like(c) for c in batch.completions]),
        "tool_mask": pad(batch.sampled),
        "advantages": batch.advantages,
        "num_items_in_batch": torch.stack([s.sum() for s in batch.sampled]).sum(),
        "ref_per_token_logps": taken(batch, logps["ref_logp"]),  # type: ignore[arg-type]
    }
    if old is not None:
        inputs["old_per_token_logps"] = taken(batch, old)
    if "tis" in setting.ours:  # TRL makes this weight while it generates, with vLLM; here it is given
        trainer.use_vllm = trainer.vllm_importance_sampling_correction = True
        ratio = torch.exp(inputs["old_per_token_logps"] - taken(batch, logps["behaviour_logp"]))  # type: ignore[arg-type]
        inputs["importance_sampling_ratio"] = ratio.clamp(max=setting.ours["tis"])
    model.zero_grad()
    loss = trainer._compute_loss(model, inputs)
    loss.backward()
    return loss.detach(), [p.grad.clone() for p in model.parameters()]


def trl_trainer(model: Any, setting: Setting, folder: str) -> Any:
    """A real GRPOTrainer around ``model``, which never generates."""
    from datasets import Dataset
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast
    from trl import GRPOConfig, GRPOTrainer

    words = WordLevel({"<pad>": 0, "<s>": 1, "</s>": 2, **{f"w{i}": i for i in range(3, VOCAB)}}, unk_token="<s>")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(words), pad_token="<pad>", eos_token="</s>")
    sizes = {"per_device_train_batch_size": ROWS, "num_generations": ROWS, "max_completion_length": COMPLETION}
    plain = {"use_cpu": True, "bf16": False, "gradient_checkpointing": False, "report_to": "none", "disable_tqdm": True}
    args = GRPOConfig(folder, temperature=TEMPERATURE, **sizes, **plain, **setting.trl)
    trainer = GRPOTrainer(
        model, lambda completions, **_: [0.0] * len(completions), args,
        train_dataset=Dataset.from_dict({"prompt": ["w3"] * ROWS}), processing_class=tokenizer,
    )  # fmt: skip
    trainer.current_gradient_accumulation_steps = 1  # its training loop sets this
    trainer.beta = setting.ours.get("kl", 0.0)  # as a configured value it would fetch a reference model by name
    return trainer


def compare(name: str, setting: Setting, seed: int, folder: str) -> dict[str, Any]:
    """One setting on both sides."""
    model, batch = tiny_llama(seed), Fixed.make(seed)
    twin = copy.deepcopy(model)
    logps = policies(model, batch, setting.gap)
    loss, grads, clipped = ours(model, batch, setting, logps)
    their_loss, their_grads = theirs(twin, batch, setting, logps, folder)
    return {
        "setting": name,
        "seed": seed,
        "loss": loss.item(),
        "loss_diff": (loss - their_loss).abs().item(),
        "grad_diff": max((a - b).abs().max().item() for a, b in zip(grads, their_grads, strict=True)),
        "grad_max": max(g.abs().max().item() for g in their_grads),
        "clip_fraction": clipped,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Our policy loss against TRL's GRPOTrainer.")
    parser.add_argument("--save", action="store_true", help="also write benchmarks/results/trl_parity.json")
    save, started, seeds = parser.parse_args().save, time.perf_counter(), (0, 1, 2)
    if importlib.util.find_spec("trl") is None:
        absent: dict[str, Any] = {"loss_diff": None, "grad_diff": None, "batch": None, "trl": "absent: not installed"}
        finish("trl_parity", False, absent, seeds=seeds, started=started)  # never saved over a result
        return
    import trl

    with tempfile.TemporaryDirectory() as folder:
        cells = [compare(name, s, seed, folder) for name, s in SETTINGS.items() for seed in seeds]
    loss_diff, grad_diff = (max(c[k] for c in cells) for k in ("loss_diff", "grad_diff"))
    size = {"rows": ROWS, "prompt": PROMPT, "completion": COMPLETION, "micro_batch": MICRO, "vocabulary": VOCAB}
    figures = {
        "loss_diff": loss_diff,
        "grad_diff": grad_diff,
        "batch": size,
        "cells": cells,
        "bar": BAR,
        "trl": trl.__version__,
    }
    ok = all(c["loss_diff"] <= BAR and c["grad_diff"] <= BAR for c in cells)  # False for NaN, which max may hide
    finish("trl_parity", ok, figures, seeds=seeds, started=started, save=save)


if __name__ == "__main__":
    main()
