"""An MLflow model is loaded where none of our packages can be imported."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from continual_mt.artifacts.parent_languages import ENDS
from continual_mt.artifacts.pivot import Pivot
from continual_mt.artifacts.side import LanguageSide
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.inference.ctranslate2_model import load_or_convert
from continual_mt.inference.pivot_model import PivotModel
from continual_mt.inference.torch_model import PairModel
from continual_mt.interchange.mlflow_export import export_mlflow
from continual_mt.languages import Pair
from tests.continual_mt.interchange.conftest import BASE, PROVENANCE, RECIPE, MakeModel
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


def test_mlflow_serves_it(
    model: PairModel, folder: Path, django_catalogs: dict[str, list[str]], tmp_path: Path
) -> None:
    texts = [text for text in django_catalogs["es"] if 14 <= len(model.source.tokenizer.encode(text)) <= 47][:2]
    body = json.dumps({"inputs": texts}).encode()
    with served(folder, tmp_path / "log") as address:
        request = Request(f"{address}/invocations", body, {"Content-Type": "application/json"})
        with urlopen(request, timeout=60) as answer:
            assert json.load(answer) == {"predictions": model.translate(texts)}


@contextmanager
def served(folder: Path, log: Path) -> Iterator[str]:
    """Serve the model by MLflow's command, as the card says; yield the address."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", ".", "--env-manager", "local"]
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # MLflow starts uvicorn by its name
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            stdout=output,
            stderr=output,
            cwd=folder,
            env={**os.environ, "PATH": programs},
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 120
        while not answers(f"http://127.0.0.1:{port}/ping"):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        with suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=10):
            return True
    except URLError:
        return False


@pytest.fixture(scope="module")
def pivot(make_model: MakeModel, django_tokenizers: dict[str, Tokenizer]) -> PivotModel[PairModel]:
    """From es through de into pt."""
    first, second = (
        make_model(BASE, django_tokenizers["es"], django_tokenizers["de"]),
        make_model(BASE, django_tokenizers["de"], django_tokenizers["pt"]),
    )
    out = replace(RECIPE, pair=Pair("de", "pt"), fingerprint="e" * 64)
    sides = {side: LanguageSide(getattr(out.pair, side), getattr(second, side).tokenizer) for side in ENDS}
    return PivotModel(Pivot(RECIPE, out), first, replace(second, pair=out.pair, recipe=out, **sides))


def test_a_pivot_has_both_models(
    pivot: PivotModel[PairModel], django_catalogs: dict[str, list[str]], tmp_path: Path
) -> None:
    legs = tuple(replace(PROVENANCE, recipe=leg) for leg in pivot.recipe.legs)
    export_mlflow(pivot, tmp_path, replace(PROVENANCE, recipe=pivot.recipe, legs=legs), precision="float32")
    texts = [text for text in django_catalogs["es"] if 14 <= len(pivot.source.tokenizer.encode(text)) <= 47][:8]
    between = [len(pivot.second.source.tokenizer.encode(text)) for text in pivot.first.translate(texts)]
    assert min(between) <= 47 < max(between)  # what is too long for the second model is divided
    # One by one, and by the same engine: these translations have no end, and where they are cut depends on the batch.
    first, second = (load_or_convert(leg, tmp_path / "cache", precision="float32") for leg in pivot.legs)
    fast = PivotModel(pivot.recipe, first, second)
    code = COMPUTE.replace("model.predict(given)", "[model.predict([text])[0] for text in given]")
    found = run_outside(code, texts, tmp_path)
    assert found["texts"] == [fast.translate([text])[0] for text in texts]
    assert found["empty"] == ["", ""]
    assert found["error"].endswith("tokens; expected at most 47. Fix: divide it")
    card = (tmp_path / "README.md").read_text("utf-8")
    assert "# Translation from es to pt" in card
    assert "It is translated into de, and from there on, by two models in turn." in card
    description = json.loads((tmp_path / "continual-mt.json").read_text("utf-8"))["recipe"]
    assert [leg["fingerprint"] for leg in description["legs"]] == ["f" * 64, "e" * 64]
    assert description["digest"] == pivot.recipe.digest
    assert sorted(path.name for path in (tmp_path / "artifacts").iterdir()) == ["first", "second"]
    leg = json.loads((tmp_path / "artifacts" / "second" / "continual-mt.json").read_text("utf-8"))
    assert leg["recipe"]["pair"] == "de-pt"
