"""Command lines: arguments from a dataclass, one clear line and exit code 2 for a user's mistake."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

import gymnasium as gym

from reasongym.core import Tokenizer, UserError

A = TypeVar("A")


def run(main: Callable[[A], Any], arguments: type[A], argv: Sequence[str] | None = None) -> None:
    """Parse, then call ``main``; a `UserError` is printed as one line, exit code 2."""
    try:
        args = parse(arguments, sys.argv[1:] if argv is None else argv)
        if getattr(args, "dry_run", False):
            print(json.dumps(asdict(args), indent=2, default=str))  # type: ignore[call-overload]
            return
        main(args)
    except (UserError, gym.error.Error) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None


def parse(arguments: type[A], argv: Sequence[str]) -> A:
    """``argv`` as ``arguments`` (a dataclass, by tyro); ``--env.KEY VALUE`` goes to ``env_settings``."""
    import tyro

    own, settings = _split(argv)
    args = tyro.cli(arguments, args=own)
    if settings:
        args.env_settings.update(settings)  # type: ignore[attr-defined]
    return args


def _split(argv: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    own, settings, words = [], {}, iter(argv)
    for word in words:
        if not word.startswith("--env."):
            own.append(word)
            continue
        key, equals, value = word.removeprefix("--env.").partition("=")
        if not equals and (value := next(words, "")) == "":
            raise UserError(f"{word} needs a value")
        settings[key.replace("-", "_")] = _literal(value)
    return own, settings


def _literal(text: str) -> Any:
    """A number, bool, None or list as such; anything else is the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def make_envs(env: str, n: int, settings: dict[str, Any], tokenizer: Tokenizer | None = None) -> list[gym.Env[Any, Any]]:
    """``n`` environments of one id, speaking the policy's tokenizer unless ``settings`` say otherwise."""
    given = {"tokenizer": tokenizer, **settings} if tokenizer is not None else settings
    return [gym.make(env, disable_env_checker=True, **given) for _ in range(n)]
