"""The files of a model's folder, and what its settings say of special tokens."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from continual_mt.errors import CorruptionError, IncompatibleError, StorageError


@dataclass(frozen=True)
class ModelFolder:
    """A local folder. Methods raise StorageError for a file that cannot be read."""

    path: Path

    def has(self, name: str) -> bool:
        return (self.path / name).is_file()

    def content(self, name: str) -> bytes:
        """Return the bytes of a file. Raises IncompatibleError if it is missing."""
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            raise IncompatibleError(f"{self.path}: missing {name}; expected the folder of a complete model") from None
        except OSError as error:
            raise StorageError(f"{self.path / name}: cannot be read: {error.strerror or error}") from error

    def mapping(self, name: str) -> dict[str, Any]:
        """Read a file of JSON. Raises IncompatibleError if it is missing, CorruptionError if it is not a mapping."""
        try:
            found = json.loads(self.content(name))
        except (ValueError, RecursionError) as error:
            raise CorruptionError(f"{self.path / name}: invalid JSON ({error}); expected a mapping") from error
        if not isinstance(found, dict):
            raise CorruptionError(f"{self.path / name}: a {type(found).__name__}; expected a mapping")
        return found

    def optional_mapping(self, name: str) -> dict[str, Any]:
        return self.mapping(name) if self.has(name) else {}

    def vocabulary(self, name: str) -> list[str]:
        """Read a file that maps each type to its id, such as ``vocab.json``, and return the types by id.

        Raises as ``mapping`` does, and IncompatibleError if the ids are not 0, 1, 2 and so on.
        """
        return types_by_id(self.mapping(name), str(self.path / name))


def types_by_id(ids: Mapping[str, object], origin: str) -> list[str]:
    """Return the types by id. Raises IncompatibleError if the ids are not 0, 1, 2 and so on."""
    types: dict[int, str] = {}
    for name, number in ids.items():
        if type(number) is not int:
            raise IncompatibleError(f"{origin}: the id of {name!r} is {number!r:.80}; expected a whole number")
        if number in types:
            raise IncompatibleError(f"{origin}: {types[number]!r} and {name!r} have the same id, {number}")
        types[number] = name
    missing = next((number for number in range(len(types)) if number not in types), None)
    if missing is not None:
        raise IncompatibleError(f"{origin}: no type has the id {missing}; expected ids from 0 to {len(types) - 1}")
    return [types[number] for number in range(len(types))]


@dataclass(frozen=True)
class SpecialTokens:
    """The texts of special tokens. ``start`` and another one may be the same."""

    pad: str
    unknown: str
    start: str
    end: str


@dataclass(frozen=True)
class Settings:
    """The settings of a model and its tokenizer; those of the tokenizer are empty if it has no file of them."""

    model: Mapping[str, Any]
    generation: Mapping[str, Any]
    tokenizer: Mapping[str, Any]
    added: Mapping[str, Any]

    @classmethod
    def read(cls, folder: ModelFolder) -> Settings:
        tokenizer = {
            **folder.optional_mapping("special_tokens_map.json"),
            **folder.optional_mapping("tokenizer_config.json"),
        }
        return cls(
            folder.mapping("config.json"),
            folder.optional_mapping("generation_config.json"),
            {key: value for key, value in tokenizer.items() if value is not None},
            folder.optional_mapping("added_tokens.json"),
        )

    def special(self, start: Literal["pad", "end"]) -> SpecialTokens:
        """The special tokens, if decoding starts as it usually does in a family."""
        pad, end = self._token("pad_token", "<pad>"), self._token("eos_token", "</s>")
        return SpecialTokens(pad, self._token("unk_token", "<unk>"), pad if start == "pad" else end, end)

    def checked(
        self,
        special: SpecialTokens,
        vocabulary: Sequence[str],
        control: Collection[str],
        origin: str,
        side: Literal["source", "target", "both"] = "both",
        *,
        needs_start: bool = True,
    ) -> SpecialTokens:
        """Return the special tokens, with the start that translation is configured with.

        Without ``needs_start``, the decoder starts with a language, and the start may be missing.

        The configuration has the source's padding token, and the target's start and end, where ``side`` is not both.

        Raises IncompatibleError if a special token is not in the vocabulary, if the ids of the model's configuration
        are those of other types or no whole numbers, if the start is missing, or if text could be encoded to it.
        """
        for kind, token in asdict(special).items():
            if token not in vocabulary:
                raise IncompatibleError(f"{origin}: the {kind} token {token!r} is not in the vocabulary")
        for key, token, other in (("pad_token_id", special.pad, "target"), ("eos_token_id", special.end, "source")):
            number = None if side == other else self.number(key)
            if number not in (None, vocabulary.index(token)):
                found = vocabulary.index(token)
                raise IncompatibleError(f"{origin}: {token!r} has the id {found}, but {key} is {number}")
        if side == "source":
            return special
        # As transformers does: of one file, and the token that begins texts if there is no other.
        settings, key = self.generation or self.model, "decoder_start_token_id"
        if (number := _number(settings, key)) is None and needs_start:
            key = "bos_token_id"
            number = _number(settings, key)
        if number is None:
            if needs_start:
                raise IncompatibleError(
                    f"{origin}: the first token of translations is unknown: neither decoder_start_token_id nor "
                    f"bos_token_id is set in {'generation_config.json' if self.generation else 'config.json'}; "
                    "expected one of them"
                )
            return special
        start = vocabulary[number] if 0 <= number < len(vocabulary) else None
        if start not in {special.pad, special.end, self._token("bos_token", "<s>"), *control}:
            raise IncompatibleError(
                f"{origin}: {key} is {number}, the id of {start!r}; expected that of a special token"
            )
        return replace(special, start=start)

    def check_processing(self, origin: str) -> None:
        """Raise IncompatibleError if SentencePiece is set to add tokens to each text, to reverse it or to sample."""
        given = self.tokenizer.get("sp_model_kwargs") or {}
        found = (
            [f"{key} {value!r:.80}" for key, value in given.items() if value] if isinstance(given, dict) else [given]
        )
        if found:
            raise IncompatibleError(
                f"{origin}: sp_model_kwargs has {', '.join(map(str, found)):.200}, which would be lost; expected none: "
                "the pieces of a text are those of SentencePiece without options here. If continual-mt exported this "
                "folder, SentencePiece adds the token of a language. Fix: import the parent that README.md names"
            )

    def check_added(self, vocabulary: Sequence[str], origin: str) -> None:
        """Raise IncompatibleError if tokens were added to the tokenizer that its vocabulary lacks."""
        listed = self.tokenizer.get("added_tokens_decoder")
        decoder = listed if isinstance(listed, dict) else {}
        added = {str(number): _text(token) for number, token in decoder.items()}
        added |= {str(number): token for token, number in self.added.items()}
        for number, token in added.items():
            if not number.isdecimal() or vocabulary[int(number) : int(number) + 1] != [token]:
                raise IncompatibleError(
                    f"{origin}: the token {token!r} was added with the id {number}, which the vocabulary lacks; "
                    "expected no added tokens"
                )

    def number(self, key: str) -> int | None:
        """The id of a special token, or None if it is not set. Raises IncompatibleError if it is no whole number."""
        found = _number(self.generation, key)
        return _number(self.model, key) if found is None else found

    def _token(self, kind: str, default: str) -> str:
        return _text(self.tokenizer.get(kind, default))

    @property
    def tokenizer_class(self) -> str | None:
        name = self.tokenizer.get("tokenizer_class") or self.model.get("tokenizer_class")
        return str(name).removesuffix("Fast") if name else None


def _number(settings: Mapping[str, Any], key: str) -> int | None:
    value = settings.get(key)
    if key == "eos_token_id" and isinstance(value, list) and len(value) == 1:
        value = value[0]  # the only id that may be a list
    if value is not None and type(value) is not int:
        raise IncompatibleError(f"{key} is {value!r:.80}; expected a whole number")
    return value


def _text(token: object) -> str:
    """The text of a token, which settings contain as it is or with its properties."""
    return str(token["content"] if isinstance(token, dict) and "content" in token else token)
