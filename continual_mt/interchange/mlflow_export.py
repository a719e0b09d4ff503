"""Exporting the model of a pair to MLflow: a pyfunc model around a CTranslate2 folder, or around two for a pivot."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from continual_mt.inference.ctranslate2_model import Precision
from continual_mt.inference.pivot_model import PivotModel
from continual_mt.inference.torch_model import PairModel
from continual_mt.interchange.ctranslate2_export import export_ctranslate2
from continual_mt.interchange.model_card import Provenance, first_of, write_card

_CODE_NAME = "translator.py"
_CODE = Path(__file__).with_name("mlflow_translator.py")
_REQUIREMENTS = ("mlflow", "ctranslate2", "sentencepiece")


def export_mlflow(
    model: PairModel | PivotModel[PairModel], folder: Path, provenance: Provenance, *, precision: Precision
) -> None:
    """Write an MLflow model and a model card to an existing, empty folder.

    ``provenance.legs`` are those of a pivot's two models. Its requirements are the installed versions. Raises OSError
    if a file cannot be written.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow, when it is imported, warns about classes that it defines
        import mlflow.pyfunc

    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary, _without_progress_bar():
        made, artifacts = Path(temporary) / "mlflow", {}
        for name, one, of_one in _models(model, provenance):
            content = Path(temporary) / name
            content.mkdir()
            export_ctranslate2(one, content, of_one, precision=precision)
            artifacts[name] = str(content)
        mlflow.pyfunc.save_model(
            made,
            python_model=str(shutil.copy(_CODE, Path(temporary) / _CODE_NAME)),
            artifacts=artifacts,
            pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in _REQUIREMENTS],
        )
        _remove_paths(made / "MLmodel")
        for path in made.iterdir():
            path.rename(folder / path.name)
    write_card(folder, model, provenance, usage=_usage(model), metadata=("library_name: mlflow",))


def _models(
    model: PairModel | PivotModel[PairModel], provenance: Provenance
) -> list[tuple[str, PairModel, Provenance]]:
    """The models that a sentence runs through; their names are sorted as `mlflow_translator` runs them."""
    if isinstance(model, PivotModel):
        return list(zip(("first", "second"), model.legs, provenance.legs, strict=True))
    return [("ctranslate2", model, provenance)]


@contextmanager
def _without_progress_bar() -> Iterator[None]:
    variable = "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"
    before = os.environ.get(variable)
    os.environ[variable] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before


def _remove_paths(file: Path) -> None:
    """Replace the paths of temporary files by those in the model, which are all that MLflow reads."""
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    flavor = content["flavors"]["python_function"]
    flavor["model_code_path"] = _CODE_NAME
    for artifact in flavor["artifacts"].values():
        artifact["uri"] = artifact["path"]
    file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")


def _usage(model: PairModel | PivotModel[PairModel]) -> str:
    through = ""
    if isinstance(model, PivotModel):
        through = f"It is translated into {model.first.target.language}, and from there on, by two models in turn."
    return f"""
```sh
mlflow models serve --model-uri . --port 5001 --env-manager local
curl http://127.0.0.1:5001/invocations -H "Content-Type: application/json" -d '{{"inputs": ["A sentence."]}}'
```

```python
import mlflow

mlflow.pyfunc.load_model(".").predict(["A sentence in {model.source.language}."])
```

`requirements.txt` has what it needs. Each input is one sentence of at most {first_of(model).maximum_tokens} tokens.
{through}
"""
