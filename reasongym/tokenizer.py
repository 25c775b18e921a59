"""Text to token ids and back, and the chat template, said once and used by all.

Two rules hold everywhere: problem text and tool output can never inject a special token, and
ids that a policy sampled are never decoded and encoded again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from reasongym.core import Tokenizer, UserError

_TURN = "THE-USERS-TURN"  # stands for the user's text while a chat template is taken apart
TINY = Path(__file__).parent / "policies" / "tiny"
TINIES = {"tiny": TINY, "tiny-sat": TINY.with_name("tiny_sat"), "tiny-python": TINY.with_name("tiny_python")}


def model_folder(name: str) -> str:
    """The models inside this package are `TINIES`; any other name is a path or a hub id."""
    return str(TINIES.get(name, name))


def _byte_names() -> list[str]:
    """The printable character that stands for each byte in byte-level BPE vocabularies."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    spare = iter(range(256, 512))
    return [chr(b if b in printable else next(spare)) for b in range(256)]


def _fingerprint(vocabulary: dict[str, int], eos_ids: tuple[int, ...]) -> str:
    content = json.dumps([sorted(vocabulary.items()), eos_ids])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def replace_surrogates(text: str) -> str:
    """``text`` with lone surrogates (which no encoding can hold) as U+FFFD."""
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@dataclass(frozen=True)
class ByteTokenizer:
    """UTF-8 bytes as ids 0..255, then ``<|end|>`` and ``<|pad|>``: the offline default."""

    eos_id: ClassVar[int] = 256
    pad_id: ClassVar[int] = 257

    @property
    def eos_ids(self) -> tuple[int, ...]:
        return (self.eos_id,)

    @cached_property
    def fingerprint(self) -> str:
        return _fingerprint(self._vocabulary, self.eos_ids)

    @property
    def _vocabulary(self) -> dict[str, int]:
        return {name: i for i, name in enumerate([*_byte_names(), "<|end|>", "<|pad|>"])}

    def __len__(self) -> int:
        return 258

    def encode(self, text: str) -> list[int]:
        return list(replace_surrogates(text).encode())

    encode_markup = encode

    def decode(self, ids: Sequence[int]) -> str:
        try:
            return bytes(ids).decode("utf-8", "replace")
        except ValueError:  # a special token among them, or ids of a model with more logits than tokens: no text
            names = {self.eos_id: b"<|end|>", self.pad_id: b"<|pad|>"}
            return b"".join(bytes((i,)) if 0 <= i < 256 else names.get(i, b"") for i in ids).decode("utf-8", "replace")

    def frame(self, system: str | None = None) -> tuple[str, str]:
        return (f"{system}\n" if system else "", "")

    def save(self, folder: str | Path) -> None:
        """Write files that transformers and vLLM load as the same tokenizer."""
        specials = [{"id": i, "content": t, "special": True} for t, i in list(self._vocabulary.items())[256:]]
        flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
        byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
        model = {"type": "BPE", "vocab": dict(list(self._vocabulary.items())[:256]), "merges": []}
        added = [s | flags for s in specials]
        whole: dict[str, Any] = {"version": "1.0", "added_tokens": added, "pre_tokenizer": byte_level}
        whole |= {"normalizer": None, "post_processor": None, "decoder": byte_level, "model": model}
        config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
        config |= {"eos_token": "<|end|>", "pad_token": "<|pad|>"}
        Path(folder, "tokenizer.json").write_text(json.dumps(whole))
        Path(folder, "tokenizer_config.json").write_text(json.dumps(config))


class HFTokenizer:
    """A transformers fast tokenizer, behind the two rules above."""

    def __init__(self, backend: Any, eos_ids: Sequence[int] = ()) -> None:
        """``eos_ids``: all ids that end a turn (a generation config may name more than one)."""
        from tokenizers import Tokenizer as Rust

        if not hasattr(backend, "backend_tokenizer"):
            raise UserError(f"tokenizer {backend.name_or_path!r} has no tokenizer.json: only fast tokenizers will do")
        self.backend = backend
        own = () if backend.eos_token_id is None else (int(backend.eos_token_id),)
        self.eos_ids = tuple(dict.fromkeys((*own, *eos_ids)))
        if not self.eos_ids:
            raise UserError(f"tokenizer {backend.name_or_path!r} names no end-of-sequence token")
        self._plain = Rust.from_str(backend.backend_tokenizer.to_str())
        self._plain.no_truncation()
        self._plain.no_padding()
        self._plain.add_special_tokens([t for i in self.eos_ids if (t := self._plain.id_to_token(i))])
        self._plain.encode_special_tokens = True  # special tokens in text are split like any text
        self.pad_id = int(backend.pad_token_id if backend.pad_token_id is not None else self.eos_ids[0])

    @cached_property
    def fingerprint(self) -> str:
        return _fingerprint(self.backend.get_vocab(), self.eos_ids)

    def __reduce__(self) -> tuple[Any, ...]:
        return HFTokenizer, (self.backend, self.eos_ids)  # a pickled Rust tokenizer forgets to split special tokens

    def __len__(self) -> int:
        return len(self.backend)

    def __repr__(self) -> str:
        return f"HFTokenizer({self.backend.name_or_path!r})"

    def encode(self, text: str) -> list[int]:
        return list(self._plain.encode(replace_surrogates(text), add_special_tokens=False).ids)

    def encode_markup(self, text: str) -> list[int]:
        """As `encode`, but special tokens are recognised: for templates only, never for content."""
        return list(self.backend(text, add_special_tokens=False)["input_ids"])

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._plain.decode(ids, skip_special_tokens=False))

    def frame(self, system: str | None = None) -> tuple[str, str]:
        """What the chat template writes before and after the user's turn."""
        if self.backend.chat_template is None:
            bos = self.backend("")["input_ids"][:1] == [self.backend.bos_token_id]
            return ((self.backend.bos_token if bos else "") + (f"{system}\n" if system else ""), "")
        messages = [{"role": "system", "content": system}] if system else []
        messages.append({"role": "user", "content": _TURN})
        try:
            whole = self.backend.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except Exception as error:  # jinja raises what the template's author chose
            raise UserError(f"chat template of {self.backend.name_or_path!r}: {error}") from error
        before, found, after = str(whole).partition(_TURN)
        if not found or _TURN in after:
            raise UserError(f"chat template of {self.backend.name_or_path!r} must show the user's text once")
        return before, after

    def save(self, folder: str | Path) -> None:
        self.backend.save_pretrained(folder)


class Chat:
    """How a policy renders a request: template, system prompt and thinking prefix, in one place.

    ``system=None`` leaves the template's own default. Where both the template and the response
    open the thought (R1-style templates end in ``<think>``), the template's opener is dropped, so
    that it occurs once.
    """

    def __init__(self, tokenizer: Tokenizer, system: str | None = None, opener: str = "<think>") -> None:
        self.tokenizer, self.system, self.opener = tokenizer, system, opener
        before, after = tokenizer.frame(system)
        body, found, rest = after.rpartition(opener)
        self._before = tokenizer.encode_markup(before)
        self._after = tokenizer.encode_markup(after)
        self._after_unopened = tokenizer.encode_markup(body) if found and not rest.strip() else self._after

    def prompt_ids(self, prompt: str, response: str = "") -> tuple[int, ...]:
        """``template(prompt)`` as ids; the response's own ids follow it."""
        after = self._after_unopened if response.lstrip().startswith(self.opener) else self._after
        return (*self._before, *self.tokenizer.encode(prompt), *after)


def load(name: str) -> Tokenizer:
    """The tokenizer of a folder or a hub id; ``"bytes"`` and those of `TINIES` are the byte tokenizer."""
    if name == "bytes":
        return ByteTokenizer()
    try:
        from transformers import AutoTokenizer, GenerationConfig
    except ImportError as error:
        raise UserError(f"tokenizer {name!r} needs transformers: pip install 'reasongym[hf]'") from error
    try:
        backend = AutoTokenizer.from_pretrained(model_folder(name))
    except (OSError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"no tokenizer at {name!r}: give a folder or a hub id ({reason})") from error
    try:
        ends = GenerationConfig.from_pretrained(model_folder(name)).eos_token_id
    except OSError:
        ends = None
    found = HFTokenizer(backend, [ends] if isinstance(ends, int) else ends or ())
    return ByteTokenizer() if found.fingerprint == ByteTokenizer().fingerprint else found
