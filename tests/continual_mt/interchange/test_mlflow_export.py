"""An MLflow model is loaded where none of our packages can be imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from continual_mt.data.tokenizer import Tokenizer
from continual_mt.inference.torch_model import PairModel
from continual_mt.interchange.mlflow_export import export_mlflow
from tests.continual_mt.interchange.conftest import BASE, PROVENANCE, MakeModel
from tests.continual_mt.interchange.many_languages import Tokenizers
from tests.continual_mt.interchange.outside import run_outside

COMPUTE = """
import mlflow
model = mlflow.pyfunc.load_model(".")
found = {"texts": model.predict(given), "empty": model.predict(["", " "])}
found["signature"] = model.metadata.signature.to_dict()
try:
    model.predict(["una lista " * 40])
except mlflow.exceptions.MlflowException as error:
    found["error"] = str(error)
"""


@pytest.fixture(scope="module")
def model(make_model: MakeModel, django_tokenizers: dict[str, Tokenizer]) -> PairModel:
    return make_model(BASE, django_tokenizers["es"], django_tokenizers["de"])


@pytest.fixture(scope="module")
def folder(model: PairModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mlflow") / "model"
    folder.mkdir()
    export_mlflow(model, folder, PROVENANCE, precision="float32")
    return folder


def test_it_translates_as_we_do(model: PairModel, folder: Path, django_catalogs: dict[str, list[str]]) -> None:
    texts = [text for text in django_catalogs["es"] if 14 <= len(model.source.tokenizer.encode(text)) <= 47][:6]
    found = run_outside(COMPUTE, texts, folder)
    assert found["texts"] == model.translate(texts)
    assert found["empty"] == ["", ""]
    assert found["signature"]["inputs"] == '[{"type": "string", "required": true}]'
    assert found["error"].endswith("tokens; expected at most 47. Fix: divide it")


def test_it_puts_the_tokens_of_languages_around_sentences(
    make_model: MakeModel,
    pairs_with_tokens: dict[str, Tokenizers],
    django_catalogs: dict[str, list[str]],
    tmp_path: Path,
) -> None:
    model = make_model(BASE, *pairs_with_tokens["m2m100, new source"])
    export_mlflow(model, tmp_path, PROVENANCE, precision="float32")
    texts = [text for text in django_catalogs["pt"] if 14 <= len(model.source.tokenizer.encode(text)) <= 44][:6]
    code = "import mlflow\nfound = mlflow.pyfunc.load_model('.').predict(given)"
    expected = model.translate(texts)
    assert run_outside(code, texts, tmp_path) == expected
    assert len(set(expected)) > 1


def test_it_has_no_pickle_and_no_path_of_this_machine(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".pt", ".pth")]
    assert str(folder.parent) not in (folder / "MLmodel").read_text("utf-8")
    assert [path.name for path in folder.parent.iterdir()] == ["model"]  # no temporary files are left
    names = {line.partition("==")[0] for line in (folder / "requirements.txt").read_text("utf-8").splitlines()}
    assert names == {"mlflow", "ctranslate2", "sentencepiece"}


def test_the_card_shows_how_it_is_served(folder: Path) -> None:
    assert "mlflow models serve --model-uri . " in (folder / "README.md").read_text("utf-8")
