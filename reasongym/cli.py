"""Command lines: arguments from a dataclass, one clear line and exit code 2 for a user's mistake.

``reasongym list | play | check | eval | export | merge | pairs | rank | sandbox`` (or ``python -m reasongym``) is at
the end.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
import shlex
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import gymnasium as gym
import numpy as np

from reasongym import parts
from reasongym.core import Tokenizer, UserError
from reasongym.export import Export, export_command
from reasongym.pairs import Pairs, pairs_command
from reasongym.report.ranking import Rank, rank_command
from reasongym.sandbox.command import Sandbox, sandbox_command

A = TypeVar("A")

_FAMILIES = ("tasks", "thinking", "tools", "rewards", "curriculum", "schedules", "policies")


def run(
    main: Callable[[A], Any], arguments: type[A], argv: Sequence[str] | None = None, prog: str | None = None
) -> None:
    """Parse, then call ``main``; a `UserError` is printed as one line, exit code 2."""
    try:
        args = parse(arguments, sys.argv[1:] if argv is None else argv, prog)
        if getattr(args, "dry_run", False):
            print(json.dumps(asdict(args), indent=2, default=str))  # type: ignore[call-overload]
            return
        if "transformers" in sys.modules:
            _hide_progress_bars()
        main(args)
    except (UserError, gym.error.Error) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None


def recipe(commands: Mapping[str, tuple[Any, str]], argv: Sequence[str] | None = None) -> None:
    """`run` one of several commands, each an agent and its arguments: the first, or the one that the first word names.

    More flags may follow.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    name = words.pop(0) if words and not words[0].startswith("-") else next(iter(commands))
    if name not in commands:
        print(f"error: there is no {name!r}; there is {', '.join(commands)}", file=sys.stderr)
        raise SystemExit(2)
    agent, text = commands[name]
    run(agent.main, agent.Args, [*shlex.split(text), *words])


def parse(arguments: type[A], argv: Sequence[str], prog: str | None = None) -> A:
    """``argv`` as ``arguments`` (a dataclass, by tyro); ``--env.KEY VALUE`` goes to ``env_settings``."""
    try:
        import tyro
    except ImportError as error:
        raise UserError("command lines need tyro: pip install 'reasongym[agents]'") from error
    own, settings = _split(argv)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            args: Any = tyro.cli(arguments, args=own, prog=prog, config=(tyro.conf.PositionalRequiredArgs,))
    except SystemExit as end:
        if end.code:
            raise UserError(_message(said.getvalue())) from None
        raise
    if settings and not hasattr(args, "env_settings"):
        raise UserError(f"--env.{next(iter(settings))}: there is no environment to set it on")
    if settings:
        args.env_settings.update(settings)
    chosen: A = args
    return chosen


def at_least(args: Any, least: float, *names: str) -> None:
    """Refuse arguments below ``least``; one that is None is not set."""
    for name in names:
        if (value := getattr(args, name)) is not None and not value >= least:
            raise UserError(f"--{name.replace('_', '-')} {value} must be at least {least}")


def check_optimizer(args: Any) -> None:
    """Refuse settings with which an agent's optimizer learns nothing, or the opposite."""
    at_least(args, 0, "lr", "floor", "weight_decay")
    if not args.max_grad_norm > 0:
        raise UserError(f"--max-grad-norm {args.max_grad_norm} must be above 0; inf clips nothing")
    if not all(0 <= beta < 1 for beta in args.betas):
        raise UserError(f"--betas {' '.join(map(str, args.betas))} must be at least 0 and below 1")


def make_envs(
    env: str, n: int, settings: dict[str, Any], tokenizer: Tokenizer | None = None
) -> list[gym.Env[Any, Any]]:
    """``n`` environments of one id, speaking the policy's tokenizer; another in ``settings`` is refused."""
    given = {"tokenizer": tokenizer, **settings} if tokenizer is not None else settings
    try:
        envs = [gym.make(env, disable_env_checker=True, **given) for _ in range(n)]
    except (ImportError, TypeError) as error:
        raise UserError(f"--env {env}: {error}") from error
    if not all(hasattr(envs[0].unwrapped, name) for name in ("task", "thinking", "tokenizer")):
        raise UserError(f"--env {env} is no environment of reasongym's kind: it has no task, thinking and tokenizer")
    own: Tokenizer = envs[0].unwrapped.tokenizer  # type: ignore[attr-defined]
    if tokenizer is not None and own.fingerprint != tokenizer.fingerprint:
        raise UserError(f"--env.tokenizer {own!r} is not the model's {tokenizer!r}: leave it out")
    return envs


def _split(argv: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    own, settings, words = [], {}, iter(argv)
    for word in words:
        if not word.startswith("--env."):
            own.append(word)
            continue
        key, equals, value = word.removeprefix("--env.").partition("=")
        if not equals and ((value := next(words, "")) == "" or value.startswith("--")):
            raise UserError(f"{word} needs a value")
        settings[key.replace("-", "_")] = _literal(value)
    return own, settings


def _literal(text: str) -> Any:
    """A number, bool, None or list as such; anything else is the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _message(box: str) -> str:
    """What tyro says in a box, on one line: what stands after its title and before its help."""
    paragraphs = [""]
    for line in (re.sub("[│╭╮╰╯]", "", line).strip() for line in box.splitlines()):
        title = re.fullmatch("─ .* ─+", line)
        if title or (line and not line.strip("─-")):
            paragraphs.append("")
        else:
            paragraphs[-1] += f" {line}"
    message = " ".join(paragraphs[1].split()) if len(paragraphs) > 1 else " ".join(box.split())
    return f"{message} (--help lists the arguments)"


def _hide_progress_bars() -> None:
    """Those of transformers, for loading and saving: a program has one bar, its own."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


# --- the command `reasongym`


@dataclass
class List:
    """The environments' ids, and the parts that there are of each family."""


@dataclass
class Play:
    """Be the policy: type thoughts in a terminal, and read the verdict."""

    id: str
    seed: int = 0
    env_settings: dict[str, Any] = field(default_factory=dict)


@dataclass
class Check:
    """Run gymnasium's check_env on an environment."""

    id: str
    env_settings: dict[str, Any] = field(default_factory=dict)


@dataclass
class Eval:
    """Evaluate a model on an environment, at one budget or several (by right-trimming)."""

    env: str = "LongCoT-v0"
    env_settings: dict[str, Any] = field(default_factory=dict)
    model: str = "tiny"
    problems: int = 64
    k: int = 1
    budgets: str = ""
    """Such as 512,1024: samples are made at the largest, and cut for the others. Empty: the env's own."""
    level: int = 0
    temperature: float = 1.0
    top_p: float = 1.0
    out: str = ""
    """A folder for summary.json and trajectories.jsonl."""
    system: str | None = None
    slots: int = 128
    device: str = "cpu"
    dtype: str = "float32"
    seed: int = 0


@dataclass
class Merge:
    """Write the weighted mean of the weights of models with one architecture and a common start (VibeThinker)."""

    models: tuple[str, ...]
    """Folders with safetensors. What is not weights is copied from the first."""
    out: str = "runs/merged"
    """A new folder."""
    weights: tuple[float, ...] = ()
    """One for each model, with sum 1; by default all alike."""


def main(argv: Sequence[str] | None = None) -> None:
    """The script ``reasongym``."""
    commands: Any = List | Play | Check | Eval | Export | Merge | Pairs | Rank | Sandbox
    run(lambda command: _COMMANDS[type(command)](command), commands, argv, prog="reasongym")


def _list(_: List) -> None:
    for id, spec in gym.registry.items():
        if str(spec.entry_point).startswith("reasongym."):
            print(id)
    for family in _FAMILIES:
        print(f"{family}: {', '.join(parts.names(family))}")


def _play(command: Play) -> None:
    env = make_envs(command.id, 1, command.env_settings)[0]
    obs, info = env.reset(seed=command.seed)
    over = False
    while not over:
        print(f"{obs['prompt']}\n{obs['response']}")
        try:
            thought = input(f"[{info['room']} tokens] ")
        except EOFError:
            print()
            return
        obs, reward, terminated, truncated, info = env.step(thought)
        over = terminated or truncated
    verdict = info["verdict"]
    print(f"score {reward:g}, answer {verdict.answer!r}, gold {info['problem'].answer!r}{', truncated' * truncated}")


def _check(command: Check) -> None:
    from gymnasium.utils.env_checker import check_env

    env = make_envs(command.id, 1, command.env_settings)[0].unwrapped
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            check_env(env, skip_render_check=True)
        except Exception as error:  # whatever an environment of the user's own may raise
            raise UserError(f"{command.id} fails check_env: {error}") from error
    for warning in said:
        print(f"warning: {warning.message}")
    print(f"{command.id}: check_env passes: spaces, reset (seed, options), step, determinism of reset")


def _eval(command: Eval) -> None:
    from reasongym.core import Sampling
    from reasongym.evaluate import evaluate, right_trim
    from reasongym.policies.hf import HF
    from reasongym.report.traces import save_traces

    _hide_progress_bars()
    at_least(command, 1, "problems", "k", "slots")
    at_least(command, 0, "level", "temperature", "seed")
    budgets = _budgets(command.budgets)
    policy = HF(command.model, device=command.device, dtype=command.dtype, system=command.system, slots=command.slots)
    count = min(command.slots, command.problems * command.k)
    envs = make_envs(command.env, count, command.env_settings, policy.tokenizer)
    rng = np.random.default_rng(command.seed)
    task = envs[0].unwrapped.task  # type: ignore[attr-defined]
    problems = [task.sample(rng, command.level) for _ in range(command.problems)]
    sampling = Sampling(command.temperature, command.top_p)
    done = evaluate(policy, envs, problems, k=command.k, budget=budgets[-1], sampling=sampling, seed=command.seed)
    cells = []
    for budget in budgets:
        cut = done if budget == budgets[-1] else right_trim(envs[0], done, budget or 0)
        figures = {**cut.summary(), **{f"pass@{k}": cut.pass_at(k) for k in _powers(command.k)}}
        cells.append({"budget": budget, **{key: None if x != x else x for key, x in figures.items()}})  # no NaN in JSON
        print(json.dumps(cells[-1]))
    if command.out:
        save_traces(Path(command.out, "trajectories.jsonl"), (t for group in done.batch for t in group))
        whole = {"settings": asdict(command), "cells": cells}
        Path(command.out, "summary.json").write_text(json.dumps(whole, indent=2, default=repr) + "\n")


def _merge(command: Merge) -> None:
    from reasongym.algos.merge import merge_folders

    merge_folders(command.models, command.out, command.weights or None)
    print(f"model: {command.out}")


def _budgets(text: str) -> list[int | None]:
    try:
        found = sorted({int(word) for word in text.split(",")}) if text else [None]
    except ValueError:
        raise UserError(f"--budgets {text}: give whole numbers such as 512,1024") from None
    if found[0] is not None and found[0] < 1:
        raise UserError(f"--budgets {text}: a budget is a positive number of tokens")
    return [*found]


def _powers(k: int) -> list[int]:
    """1, 2, 4 ... up to k, and k itself."""
    return sorted({1 << i for i in range(k.bit_length())} | {k})


_COMMANDS: dict[type, Callable[[Any], None]] = {
    List: _list,
    Play: _play,
    Check: _check,
    Eval: _eval,
    Export: export_command,
    Merge: _merge,
    Pairs: pairs_command,
    Rank: rank_command,
    Sandbox: sandbox_command,
}
