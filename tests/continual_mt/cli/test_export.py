from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.config.import_spec import ImportSpec
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.languages import Pair
from registry import CorpusRecord, Lineage, Registry
from registry.records.lineage import Input
from tests.registry.test_parents_of_many_languages import added, made

Run = Callable[..., Any]


@pytest.mark.parametrize("kind", ["hf", "ctranslate2", "mlflow"])
def test_a_zero_shot_pair_is_written_with_its_card(kind: str, run: Run, home: Path, tmp_path: Path) -> None:
    result = run("export", "pt-de", "out", "--format", kind, "--home", home, "--json")
    assert result.code == 0
    printed = json.loads(result.out)
    assert (printed["format"], printed["recipe"]["kind"], printed["precision"]) == (kind, "zero-shot", "float32")
    written = {str(path.relative_to("out")): path.stat().st_size for path in Path("out").rglob("*") if path.is_file()}
    assert printed["files"] == written
    assert printed["bytes"] == sum(written.values())
    assert "wrote zero-shot pt-de" in result.err
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "# Translation from pt to de" in card
    assert "| es-en/pt-en:1 | source side pt, scope xattn |" in card
    assert "| es-en/es-de:1 | target side de, scope xattn |" in card
    assert "| django | es-en | train | es-en/pt-en:1 | 400 | BSD-3-Clause |" in card
    assert "| test | bleu | 7.00 | 5 | 1,012 |" in card
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "out"]


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [(["es-en"], "original"), (["es-de"], "supervised"), (["es-en", "--recipe", "retention:pt-en"], "retention")],
)
def test_every_kind_of_recipe_is_exported(arguments: list[str], kind: str, run: Run, home: Path) -> None:
    pair, *others = arguments
    result = run("export", pair, "out", "--format", "ctranslate2", *others, "--home", home, "--json")
    assert json.loads(result.out)["recipe"]["kind"] == kind
    assert Path("out", "model.bin").is_file()


def test_a_digest_names_the_model(run: Run, home: Path) -> None:
    with Registry.open(home) as registry:
        digest = registry.scores(Pair("pt", "de"))[0].recipe
    assert run("export", digest[:8], "out", "--format", "hf", "--home", home).code == 0
    assert json.loads(Path("out", "continual-mt.json").read_text("utf-8"))["recipe"]["digest"] == digest


def test_the_card_names_where_an_imported_parent_comes_from(run: Run, parent: Parent) -> None:
    spec = ImportSpec(
        origin="org/opus", revision="f00", licence="cc-by-nc-4.0", family="marian", pair="es-en", name="opus"
    )
    lineage = Lineage((), spec.recorded(), "0.1.0")
    with Registry.open("continual-mt-home", create=True) as registry:
        registry.register_parent("opus", parent, lineage=lineage)
    assert run("export", "es-en", "out", "--format", "hf").code == 0
    card = Path("out", "README.md").read_text("utf-8")
    assert "| opus | org/opus | f00 | cc-by-nc-4.0 |" in card
    assert "**The licence of opus allows no commercial use.** The model contains weights of these models" in card
    (imported,) = json.loads(Path("out", "continual-mt.json").read_text("utf-8"))["imports"]
    assert imported == {"part": "opus", "origin": "org/opus", "revision": "f00", "licence": "cc-by-nc-4.0"}
    assert "imported from: org/opus, revision f00, licence cc-by-nc-4.0\n" in run("registry", "show", "opus").out
    assert "parent es-en, imported from org/opus at f00, cc-by-nc-4.0" in run("registry", "list").out
    relations = json.loads(run("registry", "lineage", "opus", "--json").out)["made_from"]
    assert relations[0] == {
        "role": "imported from",
        "name": "org/opus",
        "detail": "revision f00, licence cc-by-nc-4.0",
        "holds": False,
    }
    reproduced = run("registry", "reproduce", "opus", "--in-process")
    assert reproduced.code == 2
    assert (
        "opus was imported from org/opus, revision f00, licence cc-by-nc-4.0, and not trained here. Fix: import it"
        in (reproduced.err)
    )
    assert "continual-mt parent import org/opus --revision f00 --pair es-en --name opus" in reproduced.err


def test_the_card_names_what_the_parts_were_made_from(run: Run, home: Path, make_module: Callable[..., Module]) -> None:
    corpus = CorpusRecord("e" * 64, Pair("pt", "en"), "news", sentences=7, skipped=0, licence="CC-BY-NC-4.0")
    with Registry.open(home) as registry:
        first = registry.register_module(
            "es-en", make_module("pt-en", seed=8), lineage=Lineage((("train", corpus),), {"seed": 1}, "0.1.0")
        )
        inputs = (Input("start", first.full_name, first.digest),)
        lineage = Lineage((), {"seed": 1}, "0.1.0", inputs=inputs)
        registry.register_module("es-en", make_module("es-de", seed=9), lineage=lineage)
    arguments = ["--module", "es-de:2", "--format", "ctranslate2", "--home", home]
    assert run("export", "es-de", "out", *arguments).code == 0
    card = Path("out", "README.md").read_text("utf-8")
    assert "went on from it: es-en/pt-en:2 |" in card
    assert "| news | pt-en | train | es-en/pt-en:2 | 7 | CC-BY-NC-4.0 |" in card


def test_a_language_that_was_added_to_a_parent_of_many(
    run: Run, django_tokenizers: dict[str, Tokenizer], tmp_path: Path
) -> None:
    """Spanish was added as a source of English, and goes into French; Portuguese as a target of German."""
    many = made(django_tokenizers["en"])
    lineage = Lineage((), {}, "0.1.0")
    with Registry.open(tmp_path / "many", create=True) as registry:
        registry.register_parent("many", many, lineage=lineage)
        registry.register_module("many", added(many, "es-en", django_tokenizers["es"]), lineage=lineage)
        registry.register_module("many", added(many, "de-pt", django_tokenizers["pt"], seed=2), lineage=lineage)

    def exported(pair: str, kind: str) -> Callable[[str], dict[str, Any]]:
        assert run("export", pair, f"{pair}-{kind}", "--format", kind, "--home", tmp_path / "many").code == 0
        return lambda name: json.loads(Path(f"{pair}-{kind}", name).read_text("utf-8"))

    read = exported("es-fr", "hf")
    assert read("generation_config.json")["forced_bos_token_id"] == read("target_vocab.json")["fra_Latn"]
    assert "sp_model_kwargs" not in read("tokenizer_config.json")
    read = exported("fra_Latn-pt", "hf")
    assert "forced_bos_token_id" not in read("generation_config.json")
    assert read("tokenizer_config.json")["sp_model_kwargs"] == {"add_bos": True}
    tokens = exported("de-fr", "ctranslate2")("continual-mt.json")["tokens"]
    assert (tokens["source_before"], tokens["target_prefix"]) == (["deu_Latn"], ["fra_Latn"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["es-en", "out", "--format", "hf", "--precision", "int8"],
            "error: --precision int8: format hf has float32 weights. Fix: choose ctranslate2 or mlflow\n",
        ),
        (["es-en", "out"], "error: Missing option '--format'. Choose from: hf, ctranslate2, mlflow; see "),
        (["es-en", "home", "--format", "hf"], "home: has files that no export wrote; expected a new or an empty"),
        (["en-fr", "out", "--format", "hf"], "fr"),
        (["es-en", "s3://bucket/out", "--format", "hf"], "bucket/out: is a URL; expected a local path."),
    ],
)
def test_misuse_exits_2_and_writes_nothing(
    arguments: list[str], message: str, run: Run, home: Path, tmp_path: Path
) -> None:
    result = run("export", *arguments, "--home", home)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert result.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_an_earlier_export_is_replaced_by_force(run: Run, home: Path) -> None:
    arguments = ["export", "es-en", "out", "--home", home, "--format"]
    assert run(*arguments, "hf").code == 0
    again = run(*arguments, "ctranslate2")
    assert again.code == 2
    assert "out: has an earlier export; expected a new or an empty folder. Fix: --force" in again.err
    assert run(*arguments, "ctranslate2", "--force").code == 0
    assert not Path("out", "model.safetensors").exists()


@pytest.mark.parametrize("kind", ["hf", "ctranslate2", "mlflow"])
def test_a_full_disk_leaves_nothing(kind: str, home: Path, tmp_path: Path) -> None:
    """The limit of a process on the size of its files stands in for the disk: the weights do not fit."""
    command = [sys.executable, "-m", "continual_mt.cli.main", "export", "es-en", "out"]
    done = subprocess.run(
        [*command, "--format", kind, "--home", str(home)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000)),
    )
    assert done.returncode == 1, done.stderr
    assert "out: cannot be written (" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_a_pivot_is_exported_to_mlflow_alone(run: Run, pivots: Path) -> None:
    words = ("export", "es-en", "out", "--recipe", "pivot:es-de+de-en", "--home", pivots)
    for kind in ("hf", "ctranslate2"):
        refused = run(*words, "--format", kind)
        assert refused.code == 2
        printed = " ".join(refused.err.split())
        assert f"--format {kind}: pivot es-en has two models; expected one. Fix: --format mlflow, or export" in printed
        assert not Path("out").exists()
    written = json.loads(run(*words, "--format", "mlflow", "--json").out)
    assert (written["recipe"]["kind"], written["recipe"]["models"]) == ("pivot", 2)
    assert {"artifacts/first/model.bin", "artifacts/second/model.bin"} <= written["files"].keys()
    card = Path("out", "README.md").read_text("utf-8")
    assert "| es-en/es-de:1 | target side de, scope xattn |" in card
    assert "| es-en/de-en:1 | source side de, scope xattn |" in card
    second = json.loads(Path("out", "artifacts", "second", "continual-mt.json").read_text("utf-8"))
    assert [part["name"] for part in second["parts"]] == ["es-en", "es-en/de-en:1"]
