"""Public names stay where other programs import them from, wherever their files moved."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

PUBLIC = {
    "continual_mt.mixed": ["Request", "translate_mixed"],
    "continual_mt.scoring": ["bleu"],
    "ray_jobs": ["add"],
    "registry": ["Registry"],
}
PROGRAMS = ("ray_jobs.add_language", "ray_jobs.add_sequence", "ray_jobs.train_parent")
VERBS = {
    "open": ["location", "create", "upgrade"],
    "close": ["self"],
    "pairs": ["self", "parent", "modules", "test", "language", "pivot"],
    "assemble": ["self", "source", "target", "parent", "recipe", "xattn", "modules", "test", "pivot"],
    "parents": ["self"],
    "modules": ["self", "parent"],
    "scores": ["self", "pair", "parent", "kind", "metric", "recipe", "module"],
    "register_parent": ["self", "name", "parent", "lineage"],
    "register_module": ["self", "parent", "module", "lineage"],
    "register_corpus": ["self", "corpus"],
    "register_scores": ["self", "scores"],
    "register_sequence": ["self", "sequence"],
    "register_alignment": ["self", "first", "second", "lexicon", "results"],
}


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in PUBLIC.items() for name in names])
def test_a_public_name_is_imported_by_its_old_path(module: str, name: str) -> None:
    assert callable(getattr(importlib.import_module(module), name))


@pytest.mark.parametrize("verb", VERBS)
def test_the_registrys_verbs_take_what_they_took(verb: str) -> None:
    from registry import Registry

    parameters = list(inspect.signature(getattr(Registry, verb)).parameters.values())
    assert [one.name for one in parameters][: len(VERBS[verb])] == VERBS[verb]
    assert all(one.default is not inspect.Parameter.empty for one in parameters[len(VERBS[verb]) :])


def test_bleu_takes_hypotheses_references_and_language() -> None:
    from continual_mt.scoring import bleu

    assert list(inspect.signature(bleu).parameters) == ["hypotheses", "references", "language"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_job_is_a_program(program: str) -> None:
    done = subprocess.run([sys.executable, "-m", program, "--help"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "--home" in done.stdout
