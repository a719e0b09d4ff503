"""Models of each family through the command line: their translations are those of transformers."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from continual_mt.artifacts.parent import Parent
from continual_mt.cli.main import main
from continual_mt.errors import UnknownNameError
from continual_mt.inference.translator import Search
from registry import Lineage, Registry
from tests.continual_mt.interchange.huggingface.complete import FAMILIES, Complete, Text, mbart
from tests.continual_mt.interchange.huggingface.hub import Hub

pytestmark = [
    pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses"),
    pytest.mark.usefixtures("home"),
]

MakeComplete = Callable[[str], Complete]
Run = Callable[..., tuple[int, str, str]]
HOME = "continual-mt-home"


@pytest.fixture(scope="module")
def complete(django_catalogs: Text, tmp_path_factory: pytest.TempPathFactory) -> MakeComplete:
    made: dict[str, Complete] = {}

    def make(family: str) -> Complete:
        if family not in made:
            folder = tmp_path_factory.mktemp("published") / "model"
            made[family] = FAMILIES[family](folder, django_catalogs)
        return made[family]

    return make


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CONTINUAL_MT_HOME", raising=False)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Run the program in this process: exit code, output, messages."""

    def call(*arguments: object, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfdbinary.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capfdbinary.readouterr()
        return code, out.decode(), err.decode()

    return call


@pytest.mark.parametrize("family", list(FAMILIES))
def test_translations_are_those_of_the_original(
    complete: MakeComplete, django_catalogs: Text, run: Run, family: str
) -> None:
    theirs = complete(family)
    code, _, err = run("parent", "import", theirs.folder, "--pair", theirs.pair, "--name", "it")
    assert (code, "imported it: fr-de, " in err) == (0, True)
    with Registry.open() as registry:
        model = registry.assemble("fr", "de")
    sentences = [sentence for sentence in django_catalogs["fr"] if 3 < len(sentence.split()) < 12][:4]
    sources = [model.source.tokenizer.encode(sentence) for sentence in sentences]
    settings: dict[str, Any] = {}
    if "marian" in family:
        settings = {"bad_words_ids": [[theirs.first[0]]], "renormalize_logits": True}
    found = set()
    for beam in (1, 5):
        ours = [best[0].tokens for best in model.search(sources, Search(beam=beam))]
        assert ours == [theirs.generate(sentence, beam, **settings) for sentence in sentences]
        found |= {tuple(tokens) for tokens in ours}
    assert len(found) > len(sentences)  # they are not trivially equal


def test_text_through_the_command_line(complete: MakeComplete, django_catalogs: Text, run: Run) -> None:
    theirs = complete("m2m100")
    assert run("parent", "import", theirs.folder, "--languages", "fr,en,de", "--name", "several")[0] == 0
    sentences = django_catalogs["fr"][:2]
    code, out, _ = run("translate", "fr-de", "--backend", "torch", stdin="\n".join(sentences).encode())
    assert code == 0
    original = [theirs.tokenizer.decode(theirs.generate(sentence, 5)) for sentence in sentences]
    assert [line.split() for line in out.splitlines()] == [text.split() for text in original]
    for pair in ("en-fr", "de-en"):
        assert run("translate", pair, "--backend", "torch", stdin=b"Nom")[0] == 0


def test_a_model_of_the_hub(complete: MakeComplete, hub: Hub, run: Run, tmp_path: Path) -> None:
    theirs = complete("nllb, half precision")
    commit = hub.add("org/nllb-small", theirs.folder)
    arguments = ("parent", "import", "org/nllb-small", "--languages", "all", "--revision", "main")
    code, out, err = run(*arguments, "--json")
    assert code == 0
    printed = json.loads(out)
    assert printed["lineage"]["spec"] == {
        "import": {
            "origin": "org/nllb-small",
            "revision": commit,
            "licence": "cc-by-nc-4.0",
            "family": "nllb",
            "pair": None,
            "languages": [],
            "name": "nllb-small",
            "denoising": None,
            "converted": False,
        }
    }
    assert f"from org/nllb-small, revision {commit}, licence cc-by-nc-4.0\n" in err
    assert "note: the licence cc-by-nc-4.0 allows no commercial use, also of what is made from this parent\n" in err
    assert "note: max_length is 200: " in err
    with Registry.open() as registry:
        assert registry.parent("nllb-small").languages.count == 202 * 201
        model = registry.assemble("fra_Latn", "de")
        sentence = "Veuillez saisir une date valide."
        (found,) = model.search([model.source.tokenizer.encode(sentence)], Search(beam=1))
        assert found[0].tokens == theirs.generate(sentence, 1)
    hub.requests.clear()
    assert run(*arguments)[0] == 0  # it is registered already, and nothing is downloaded
    assert hub.requests == ["/api/models/org/nllb-small/revision/main"]
    shown = run("registry", "show", "nllb-small")[1]
    assert f"imported from: org/nllb-small, revision {commit}, licence cc-by-nc-4.0\n" in shown


def test_a_checkpoint_in_half_precision_is_kept_exactly(complete: MakeComplete, run: Run) -> None:
    theirs = complete("nllb, half precision")
    arguments = ("parent", "import", theirs.folder, "--pair", theirs.pair)
    code, _, err = run(*arguments, "--name", "full")
    note = "note: its weights are float16; --precision float16 would store them exactly, in half the bytes\n"
    assert (code, note in err) == (0, True)
    code, _, err = run(*arguments, "--name", "half", "--precision", "float16")
    assert (code, "its weights are" in err) == (0, False)
    with Registry.open() as registry:
        full, half = registry.parent("full"), registry.parent("half")
        assert (full.precision, half.precision) == ("float32", "float16")
        assert full.bytes - half.bytes == pytest.approx(2 * full.parameters, abs=300)
        tensors = registry.load_parent("half").tensors
        for name, tensor in registry.load_parent("full").tensors.items():
            assert torch.equal(tensor, tensors[name])
        model = registry.assemble("fra_Latn", "de", parent="half")
        (found,) = model.search([model.source.tokenizer.encode("Veuillez saisir une date valide.")], Search(beam=1))
        assert found[0].tokens == theirs.generate("Veuillez saisir une date valide.", 1)
    assert half.lineage.imported is not None
    assert half.lineage.imported.precision == "float16"
    assert half.lineage.imported.command.endswith(" --name half --precision float16")
    # Weights that bfloat16 rounds are still the same parent to be imported, as another one.
    assert run(*arguments, "--name", "other", "--precision", "bfloat16")[0] == 0
    listed = run("registry", "list")[1].splitlines()
    assert listed[0].split("  ")[-1].strip() == "created"
    assert [line.split()[0] for line in listed if " bfloat16 " in line] == ["other"]


def test_weights_that_float16_cannot_hold_are_refused(complete: MakeComplete, run: Run) -> None:
    shutil.copytree(complete("marian").folder, "large")
    weights = load_file("large/model.safetensors")
    weights["model.encoder.layers.0.fc1.weight"][0, 0] = -1e5
    save_file(weights, "large/model.safetensors", {"format": "pt"})
    arguments = ("parent", "import", "large", "--pair", "fr-en")
    code, out, err = run(*arguments, "--precision", "float16")
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == (
        "error: encoder.0.feed_forward.inner.weight: its largest absolute value is 100,000; expected at most 65,504, "
        "the largest of float16. Fix: choose the precision bfloat16"
    )
    assert not Path(HOME, "registry.db").exists()
    assert run(*arguments, "--precision", "bfloat16")[0] == 0


def test_the_pair_that_is_typed_is_the_one_to_import_again(
    complete: MakeComplete, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where two codes have one tag; in the folder itself, which has its own name."""
    shutil.copytree(complete("marian, several targets").folder, "opus")
    vocabulary = json.loads(Path("opus", "vocab.json").read_text())
    vocabulary[">>de<<"] = vocabulary.pop(">>zlw_x<<")
    Path("opus", "vocab.json").write_text(json.dumps(vocabulary))
    monkeypatch.chdir("opus")
    code, _, err = run("parent", "import", ".", "--pair", "fr-deu", "--home", "../home")
    assert (code, "imported opus: fr-de, " in err) == (0, True)
    with Registry.open("../home") as registry:
        parent = registry.parent("opus")
    assert parent.lineage.imported is not None
    assert parent.lineage.imported.command == "continual-mt parent import FOLDER/opus --pair fr-deu --name opus"
    assert [side.code for side in parent.languages.targets] == ["deu"]


def test_a_bundle_has_the_origin(complete: MakeComplete, hub: Hub, run: Run) -> None:
    hub.add("org/opus", complete("marian, two vocabularies").folder)
    assert run("parent", "import", "org/opus", "--pair", "fr-de")[0] == 0
    assert run("registry", "export", "opus", "opus.tar")[0] == 0
    assert run("registry", "import", "opus.tar", "--home", "other")[0] == 0
    with Registry.open("other") as other, Registry.open() as registry:
        assert other.parent("opus").lineage.imported == registry.parent("opus").lineage.imported
        assert other.parent("opus").fingerprint == registry.parent("opus").fingerprint


def test_pickled_weights(complete: MakeComplete, hub: Hub, run: Run, tmp_path: Path) -> None:
    theirs = complete("marian")
    folder = tmp_path / "opus"
    shutil.copytree(theirs.folder, folder)
    (folder / "model.safetensors").unlink()
    torch.save(theirs.model.state_dict(), folder / "pytorch_model.bin")
    hub.add("org/opus", folder)
    for model in (folder, "org/opus"):
        code, _, err = run("parent", "import", model, "--pair", "fr-de")
        assert (code, "Fix: --convert reads it without running code" in err) == (2, True)
    assert run("parent", "import", "org/opus", "--pair", "fr-de", "--convert")[0] == 0
    assert run("parent", "import", theirs.folder, "--pair", "fr-de", "--home", "other", "--name", "opus")[0] == 0
    with Registry.open() as registry, Registry.open("other") as other:
        assert registry.parent("opus").fingerprint == other.parent("opus").fingerprint
        imported = registry.parent("opus").lineage.imported
    assert imported is not None
    assert imported.converted
    assert [path.name for path in Path(HOME, "cache").iterdir()] == ["hugging-face"]


def test_a_denoising_parent(django_catalogs: Text, run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "mbart-large-cc25"
    theirs = mbart(folder, django_catalogs, num_beams=5)
    code, _, err = run("parent", "import", folder, "--languages", "all")
    assert code == 0
    assert "note: the model restores text and does not translate" in err
    with Registry.open() as registry:
        languages = registry.parent("mbart-large-cc25").languages
        assert (languages.denoising, languages.count, len(languages.sources)) == (True, 0, 25)
        translates = ("--no-denoising", "--name", "fine-tuned", "--home", "other")
        assert run("parent", "import", folder, "--pair", "fr-de", *translates)[0] == 0
        with pytest.raises(UnknownNameError, match="fr-de: mbart-large-cc25 has both languages, but no recipe"):
            registry.assemble("fr", "de")
    with Registry.open("other") as other:
        assert other.assemble("fr", "de").target.tokenizer.before_target == (theirs.first[0],)


def test_what_is_registered_already(complete: MakeComplete, run: Run) -> None:
    first, second = complete("marian"), complete("marian, two vocabularies")
    assert run("parent", "import", first.folder, "--name", "opus")[0] == 0  # the tokenizer's settings name the pair
    assert run("parent", "import", first.folder, "--name", "opus")[0] == 0
    code, _, err = run("parent", "import", first.folder, "--name", "other")
    assert (code, "registered already, as opus" in err) == (2, True)
    code, _, err = run("parent", "import", second.folder, "--pair", "fr-de", "--name", "opus")
    problem = "there is a parent opus already, with other content ("
    shutil.copytree(second.folder, Path("elsewhere", first.folder.name))
    code, _, err = run("parent", "import", f"elsewhere/{first.folder.name}", "--pair", "fr-de", "--name", "opus")
    assert (code, problem in err) == (2, True)
    with Registry.open() as registry:
        assert str(registry.parent("opus").languages) == "fr-de"


def test_a_name_that_is_taken_is_refused_before_a_download(complete: MakeComplete, hub: Hub, run: Run) -> None:
    folder = Path(shutil.copytree(complete("m2m100").folder, "small"))
    first = hub.add("org/small", folder)
    hub.add("org/other", folder)
    several = ("--languages", "fr,de,en", "--name", "it")
    assert run("parent", "import", "org/small", *several)[0] == 0
    hub.requests.clear()
    problem = "it: is the name of a parent from org/small, which never changes; expected one from org/other. "
    code, _, err = run("parent", "import", "org/other", *several)
    assert (code, problem in err, err.strip().endswith("Fix: choose another name with --name")) == (2, True, True)
    assert run("parent", "import", "small", *several)[0] == 2
    code, _, err = run("parent", "import", "org/small", *several, "--precision", "float16")
    assert (code, "a parent in float32, which never changes; expected float16. Fix: choose another name" in err) == (
        2,
        True,
    )
    assert hub.requests == []
    change(folder, "config.json", changed=True)
    second = hub.add("org/small", folder)
    code, _, err = run("parent", "import", "org/small", *several)
    assert (code, f"a parent of the revision {first}, which never changes; expected {second}. Fix" in err) == (2, True)
    code, _, err = run("parent", "import", "org/small", "--pair", "fr-de", "--name", "it", "--revision", first)
    assert (code, "is the name of a parent of the languages " in err and "; expected fr-de. Fix" in err) == (2, True)
    assert not any(request.endswith("/model.safetensors") for request in hub.requests)
    assert run("parent", "import", "org/small", *several, "--revision", first)[0] == 0


def test_the_name_of_a_parent_that_was_trained_or_deleted(parent: Parent, run: Run) -> None:
    """It is refused before the model is looked for."""
    arguments = ("parent", "import", "org/missing", "--name", "taken")
    with Registry.open(create=True) as registry:
        registry.register_parent("taken", parent, lineage=Lineage((), {"seed": 1}, "0.1.0"))
        code, _, err = run(*arguments)
        assert (
            code,
            "is the name of a parent that was trained, which never changes; expected one from org/missing. " in err,
        ) == (2, True)
        registry.annotations.delete("taken")
    code, _, err = run(*arguments)
    assert (code, "taken was deleted by " in err, "continual-mt registry restore taken" in err) == (2, True, True)


def change(folder: Path, file: str, **values: object) -> None:
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["missing"], "missing: no such folder; expected the path of a folder, or ORGANISATION/NAME as on the Hub"),
        (["a/b/c"], "a/b/c: no such folder"),
        (["https://huggingface.co/org/model"], "is a URL; expected a local path"),
        (["a-file"], "a-file: is a file; expected the folder of a model"),
        (["org/unknown"], "org/unknown: no folder, and no public model at http://127"),
        (["{folder}"], "knows 202 languages; expected a choice. Fix: --languages all"),
        (["{folder}", "--pair", "fr"], "'fr' is not a pair; expected SOURCE-TARGET"),
        (["{folder}", "--pair", "fr-xx"], "does not know the language 'xx'"),
        (["{folder}", "--pair", "fr-fra_Latn"], "a language is never paired with itself"),
        (["{folder}", "--pair", "fr-de", "--languages", "all"], "--pair and --languages: expected one of them"),
        (["{folder}", "--languages", "all,fr"], "--languages: expected 'all', or the languages separated by commas"),
        (["{folder}", "--pair", "fr-de", "--name", "a/b"], "a/b"),
        (["{folder}", "--pair", "fr-de", "--revision", "main"], "is a folder; expected a model of the Hub"),
        (["empty", "--pair", "fr-de"], "empty: no config.json; expected a folder of a model"),
        (["t5", "--pair", "fr-de"], "t5 model: cannot be imported: its layers are computed otherwise; expected"),
        (["sampling", "--pair", "fr-de"], "do_sample is True: a translation is searched for here, never sampled"),
        (["unfit", "--pair", "fr-de"], "embeddings; expected"),
    ],
)
def test_wrong_input(complete: MakeComplete, hub: Hub, run: Run, arguments: list[str], problem: str) -> None:
    folder = complete("nllb").folder
    Path("a-file").touch()
    Path("empty").mkdir()
    for name, changes in {
        "t5": ("config.json", {"model_type": "t5"}),
        "sampling": ("generation_config.json", {"do_sample": True}),
        "unfit": ("config.json", {"vocab_size": 500}),
    }.items():
        if name in arguments:
            shutil.copytree(folder, name)
            change(Path(name), changes[0], **changes[1])
    code, out, err = run("parent", "import", *(argument.format(folder=folder) for argument in arguments))
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert problem in err
    assert "Traceback" not in err
    assert not Path(HOME, "registry.db").exists()


def test_weights_are_downloaded_last(complete: MakeComplete, hub: Hub, run: Run) -> None:
    shutil.copytree(complete("nllb").folder, "sampling")
    change(Path("sampling"), "generation_config.json", do_sample=True)
    hub.add("org/nllb", Path("sampling"))
    code, _, err = run("parent", "import", "org/nllb", "--pair", "fr-de")
    assert (code, "org/nllb: cannot be imported, because translations would differ: do_sample" in err) == (2, True)
    assert any(request.endswith("/generation_config.json") for request in hub.requests)
    assert not any(request.endswith("/model.safetensors") for request in hub.requests)


def test_damaged_weights(complete: MakeComplete, run: Run) -> None:
    shutil.copytree(complete("nllb").folder, "damaged")
    weights = Path("damaged", "model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-100])
    code, _, err = run("parent", "import", "damaged", "--pair", "fr-de")
    assert (code, "model.safetensors: cannot be read (" in err) == (1, True)
    assert not Path(HOME, "registry.db").exists()
