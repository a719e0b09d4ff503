from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from continual_mt.errors import CorruptionError, IncompatibleError, StorageError
from continual_mt.interchange.huggingface.tokenizers.language_codes import MBART, NLLB
from continual_mt.interchange.huggingface.tokenizers.reading import read_vocabulary
from tests.continual_mt.interchange.huggingface.published import (
    numbered,
    write_m2m100,
    write_marian,
    write_mbart,
    write_nllb,
)


@pytest.fixture
def marian(unigram: bytes, tmp_path: Path) -> Path:
    return write_marian(tmp_path / "model", (unigram, unigram), numbered("</s>", "<unk>", "▁a", "<pad>"))


def test_nothing_but_a_folder(tmp_path: Path) -> None:
    with pytest.raises(IncompatibleError, match="Helsinki: not a folder; expected a local folder"):
        read_vocabulary(tmp_path / "Helsinki")


@pytest.mark.parametrize("name", ["config.json", "vocab.json", "source.spm", "target.spm"])
def test_a_missing_file(marian: Path, name: str) -> None:
    (marian / name).unlink()
    with pytest.raises(IncompatibleError, match=f"model: missing {name}; expected the folder of a complete model"):
        read_vocabulary(marian)


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 100_000])
@pytest.mark.parametrize("name", ["config.json", "vocab.json", "tokenizer_config.json"])
def test_malformed_json(marian: Path, name: str, content: bytes) -> None:
    (marian / name).write_bytes(content)
    with pytest.raises(CorruptionError, match=rf"model/{name}: invalid JSON \(.*\); expected a mapping"):
        read_vocabulary(marian)


def test_json_that_is_no_mapping(marian: Path) -> None:
    (marian / "vocab.json").write_text("[1]")
    with pytest.raises(CorruptionError, match=r"vocab\.json: a list; expected a mapping"):
        read_vocabulary(marian)


@pytest.mark.parametrize("content", [b"", b"no model", b"\x00" * 100])
def test_a_broken_sentencepiece_model(marian: Path, content: bytes) -> None:
    (marian / "source.spm").write_bytes(content)
    with pytest.raises(CorruptionError, match=rf"source\.spm: invalid SentencePiece model of {len(content)} bytes"):
        read_vocabulary(marian)


def test_a_truncated_sentencepiece_model(marian: Path) -> None:
    content = (marian / "target.spm").read_bytes()
    (marian / "target.spm").write_bytes(content[:-100])
    with pytest.raises(CorruptionError, match=r"invalid SentencePiece model of"):
        read_vocabulary(marian)


def test_a_file_that_cannot_be_read(marian: Path) -> None:
    (marian / "vocab.json").unlink()
    (marian / "vocab.json").mkdir()
    with pytest.raises(StorageError, match=r"vocab\.json: cannot be read: Is a directory"):
        read_vocabulary(marian)


def test_a_model_of_another_type(marian: Path) -> None:
    for kind in ("t5", None, ["marian"]):
        (marian / "config.json").write_text(json.dumps({"model_type": kind}))
        with pytest.raises(IncompatibleError, match="is not supported; expected marian, mbart, m2m_100"):
            read_vocabulary(marian)


@pytest.mark.parametrize("name", ["XLMRobertaTokenizer", "NllbTokenizer"])
def test_a_tokenizer_of_another_class(marian: Path, name: str) -> None:
    (marian / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": name}))
    with pytest.raises(
        IncompatibleError, match=f"the tokenizer {name} is not supported for marian; expected MarianTokenizer"
    ):
        read_vocabulary(marian)


def test_the_family(bpe: bytes, unigram: bytes, tmp_path: Path) -> None:
    """The tokenizer's class decides, in its older spelling, too; without one, the files do."""
    nllb = write_nllb(tmp_path / "nllb", bpe, NLLB)
    m2m100 = write_m2m100(tmp_path / "m2m100", bpe, ["a"], 100)
    mbart = write_mbart(tmp_path / "mbart", unigram, "MBartTokenizerFast", MBART)
    assert [read_vocabulary(folder).family for folder in (nllb, m2m100, mbart)] == ["nllb", "m2m100", "mbart"]
    for folder in (nllb, m2m100):
        (folder / "tokenizer_config.json").unlink()
    assert [read_vocabulary(folder).family for folder in (nllb, m2m100)] == ["nllb", "m2m100"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("added_tokens.json", {"<new>": 4}),
        ("tokenizer_config.json", {"added_tokens_decoder": {"4": {"content": "<new>", "special": True}}}),
    ],
)
def test_added_tokens(marian: Path, name: str, content: dict[str, object]) -> None:
    (marian / name).write_text(json.dumps(content))
    with pytest.raises(
        IncompatibleError, match="the token '<new>' was added with the id 4, which the vocabulary lacks"
    ):
        read_vocabulary(marian)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"add_bos": True}, "add_bos True"),
        ({"add_eos": True, "reverse": False, "alpha": 0.1}, "add_eos True, alpha 0.1"),
        ({"enable_sampling": True}, "enable_sampling True"),
        (["add_bos"], r"\['add_bos'\]"),
    ],
)
def test_options_of_sentencepiece(marian: Path, options: object, named: str) -> None:
    (marian / "tokenizer_config.json").write_text(json.dumps({"sp_model_kwargs": options}))
    expected = f"model: sp_model_kwargs has {named}, which would be lost; expected none: .* Fix: import the parent that"
    with pytest.raises(IncompatibleError, match=expected):
        read_vocabulary(marian)


def test_options_of_sentencepiece_without_effect(marian: Path) -> None:
    expected = read_vocabulary(marian).source.encode("a")
    (marian / "tokenizer_config.json").write_text(json.dumps({"sp_model_kwargs": {"add_bos": False}}))
    assert read_vocabulary(marian).source.encode("a") == expected


def test_other_names_of_special_tokens(marian: Path) -> None:
    (marian / "vocab.json").write_text(json.dumps(numbered("[end]", "[?]", "▁a", "[pad]")))
    names = {"eos_token": "[end]", "unk_token": {"content": "[?]", "special": True}}
    (marian / "special_tokens_map.json").write_text(json.dumps(names))
    (marian / "tokenizer_config.json").write_text(json.dumps({"pad_token": "[pad]", "source_lang": None}))
    found = read_vocabulary(marian).source
    assert (found.end, found.unknown, found.pad) == (0, 1, 3)


def test_transformers_is_not_imported(marian: Path) -> None:
    program = (
        "import sys; from pathlib import Path; "
        "from continual_mt.interchange.huggingface.tokenizers.reading import read_vocabulary; "
        f"read_vocabulary(Path({str(marian)!r})); "
        "assert not {'transformers', 'tokenizers', 'torch'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
