from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.utils.validation import _validate_metric_name, _validate_param_name

from continual_mt.config.spec import AdditionSpec, ParentSpec
from continual_mt.languages import Pair
from ray_jobs.planning.resolve import resolve
from ray_jobs.tracking import mlflow_payload
from registry import CellRecord, Registry, ScoreRecord


def score(kind: str, pair: str, cross_attention: str | None = None, metric: str = "bleu") -> ScoreRecord:
    return ScoreRecord(
        parent="es-en",
        kind=kind,  # type: ignore[arg-type]
        pair=Pair.parse(pair),
        recipe="r" * 64,
        source=None,
        cross_attention=cross_attention,
        target=None,
        test="test",
        test_digest="t" * 64,
        metric=metric,
        value=12.5,
        copy_value=1.0,
        signature="s",
        sentences=6,
        beam=1,
    )


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (score("original", "es-en"), "bleu/es-en"),
        (score("supervised", "pt_BR-en", "es-en/pt_BR-en:3", "chrf"), "chrf/pt_BR-en"),
        (score("zero-shot", "pt-de", "es-en/es-de:1"), "bleu/pt-de"),
        (score("retention", "es-en", "es-en/pt-en:2"), "retention/es-en/through/pt-en"),
        (score("retention", "es-en", "es-en/es-de:1", "chrf"), "retention/chrf/es-en/through/es-de"),
    ],
)
def test_metric_names_are_told_apart_and_legal(given: ScoreRecord, name: str) -> None:
    assert mlflow_payload.metric_name(given) == name
    _validate_metric_name(name)  # type: ignore[no-untyped-call]


def test_zero_shot_scores_have_a_name_of_their_own_too() -> None:
    scores = [score("zero-shot", "pt-de"), score("zero-shot", "pt-de", metric="chrf"), score("original", "es-en")]
    assert mlflow_payload.metrics_of(scores) == {
        "bleu/pt-de": 12.5,
        "chrf/pt-de": 12.5,
        "bleu/es-en": 12.5,
        "zero_shot/pt-de": 12.5,
    }


def test_the_off_target_rate_is_beside_that_of_the_references() -> None:
    rate = replace(score("zero-shot", "pt-de", metric="offtarget"), reference_value=0.5)
    assert mlflow_payload.metrics_of([rate]) == {"offtarget/pt-de": 12.5, "offtarget_of_references/pt-de": 0.5}


def test_an_addition_in_the_words_of_mlflow(
    registry: Registry, addition_spec: Callable[..., AdditionSpec], tmp_path: Path
) -> None:
    spec = addition_spec("es-de")
    rates = spec.training.model_copy(update={"learning_rates": {"cross_attention": 0.0005}})
    job = resolve(spec.model_copy(update={"training": rates}), registry.parent("es-en"), tmp_path)
    assert mlflow_payload.tags(job, "both") == {
        "kind": "addition",
        "pair": "es-de",
        "job": job.digest,
        "parent": "es-en",
        "scope": "xattn",
        "side": "target",
        "sequence": "both",
    }
    assert "sequence" not in mlflow_payload.tags(job, None)
    parameters = mlflow_payload.parameters(job)
    assert parameters["parent_fingerprint"] == registry.parent("es-en").fingerprint
    assert parameters["train_digest"] == job.train.summary.digest
    assert (parameters["pair"], parameters["scope"]) == ("es-de", "xattn")
    assert parameters["updates"] == 8
    assert parameters["learning_rate/cross_attention"] == 0.0005
    for name, value in parameters.items():
        _validate_param_name(name)  # type: ignore[no-untyped-call]
        assert len(str(value)) < 500


def test_a_parent_in_the_words_of_mlflow(parent_spec: Callable[..., ParentSpec], tmp_path: Path) -> None:
    job = resolve(parent_spec(), None, tmp_path)
    assert mlflow_payload.tags(job, None) == {"kind": "parent", "pair": "es-en", "job": job.digest, "parent": "es-en"}
    assert "parent_fingerprint" not in mlflow_payload.parameters(job)


def test_half_precision_is_a_tag_and_float32_is_none(
    registry: Registry,
    addition_spec: Callable[..., AdditionSpec],
    parent_spec: Callable[..., ParentSpec],
    tmp_path: Path,
) -> None:
    parent = registry.parent("es-en")
    for job in (
        resolve(addition_spec("pt-en", stored_precision="bfloat16"), parent, tmp_path),
        resolve(parent_spec(stored_precision="bfloat16"), None, tmp_path),
    ):
        assert mlflow_payload.tags(job, None)["stored_precision"] == "bfloat16"
        # The parameter is that of the training, which computes in float32 here.
        assert mlflow_payload.parameters(job)["precision"] == "float32"


def test_a_parent_of_several_pairs_in_the_words_of_mlflow(
    joint_spec: Callable[..., ParentSpec], own_spec: Callable[..., ParentSpec], tmp_path: Path
) -> None:
    job = resolve(joint_spec(), None, tmp_path)
    assert mlflow_payload.parameters(resolve(own_spec(), None, tmp_path))["vocabularies"] == "own"
    assert not {"vocabularies", "development_pairs"} & set(mlflow_payload.parameters(job))
    chosen = resolve(joint_spec(development_pairs=["es-pt", "en-es"]), None, tmp_path)
    assert mlflow_payload.parameters(chosen)["development_pairs"] == "en-es, es-pt"
    pair = "{en, es}-{en, es, pt}"
    assert mlflow_payload.tags(job, None) == {"kind": "parent", "pair": pair, "job": job.digest, "parent": "joint"}
    parameters = mlflow_payload.parameters(job)
    assert (parameters["pair"], parameters["pairs"], parameters["sampling_temperature"]) == (pair, 3, 5.0)
    assert parameters["train_sentences"] == sum(one.train.record.sentences for one in job.pairs)
    digests = [parameters[key] for key in ("train_digest", "dev_digest")]
    assert all(isinstance(digest, str) and len(digest) == 64 for digest in digests)


def test_a_position_of_a_sequence_as_metrics() -> None:
    cell = CellRecord(
        sequence="a" * 64,
        position=1,
        view="routed",
        pair=Pair("es", "en"),
        kind="original",
        recipe="b" * 64,
        module="es-en/pt-en:1",
        test="test",
        test_digest="c" * 64,
        metric="bleu",
        value=40.0,
        beam=1,
    )
    zero = replace(cell, pair=Pair("pt", "de"), kind="zero-shot", test_digest="d" * 64, value=5.0)
    cells = [
        cell,
        zero,
        replace(cell, metric="chrf", value=60.0),
        replace(cell, view="through", kind="retention", value=30.0),
        replace(cell, view="through", kind="retention", metric="chrf", value=50.0),
        replace(zero, view="shared", value=6.0),
    ]
    assert mlflow_payload.metrics_of_cells(cells) == {
        "bleu/es-en": 40.0,
        "chrf/es-en": 60.0,
        "bleu/pt-de": 5.0,
        "zero_shot/pt-de": 5.0,
        "through/bleu/es-en": 30.0,
        "through/chrf/es-en": 50.0,
        "retention/es-en": 75.0,
        "shared/bleu/pt-de": 6.0,
        "shared/zero_shot/pt-de": 6.0,
    }
    rates = {(zero.recipe, zero.test_digest, zero.beam): 0.5}
    assert mlflow_payload.metrics_of_cells([replace(zero, metric="offtarget")], (), rates) == {
        "offtarget/pt-de": 5.0,
        "offtarget_of_references/pt-de": 0.5,
    }
    # Where a pair has several test sets, each has a metric of its own.
    second = mlflow_payload.metrics_of_cells([cell, replace(cell, test="news", test_digest="e" * 64)])
    assert set(second) == {"bleu/es-en/test", "bleu/es-en/news"}
