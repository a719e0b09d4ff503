"""A model that was assembled before a fork translates after it, in every back end, in processes and threads."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import pytest
import torch

from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.recipe import Recipe
from continual_mt.errors import ProcessError
from continual_mt.inference import torch_model
from continual_mt.inference.assembly import assemble
from continual_mt.inference.ctranslate2_model import load_or_convert
from continual_mt.inference.mixed_batches import Request, translate_mixed
from continual_mt.inference.torch_model import PairModel

FORK = multiprocessing.get_context("fork")
SECONDS = 300  # a process that waits for threads that do not exist waits for ever
# What a pool's processes call has to be global, as in a program whose model is.
_translate: Callable[[list[str]], list[str]]


def translate(sentences: list[str]) -> list[str]:
    return _translate(sentences)


@pytest.fixture
def model(parent: Parent) -> PairModel:
    return assemble(Recipe("original", parent.pair, "base", parent.fingerprint), parent, {})


@pytest.fixture
def sentences(django_catalogs: dict[str, list[str]]) -> list[str]:
    return django_catalogs["es"][:40]


@pytest.fixture
def two_threads() -> Iterator[None]:
    torch.set_num_threads(2)
    torch.randn(600, 600) @ torch.randn(600, 600)  # OpenMP's threads exist from here on
    yield
    torch.set_num_threads(1)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("backend", ["torch", "ctranslate2", "mixed"])
def test_a_pool_of_forked_processes_translates(
    model: PairModel, sentences: list[str], tmp_path: Path, backend: str
) -> None:
    global _translate
    if backend == "mixed":
        _translate = lambda texts: translate_mixed([Request(model, text) for text in texts], beam=2)  # noqa: E731
    else:
        chosen = model if backend == "torch" else load_or_convert(model, tmp_path, precision="float32")
        _translate = lambda texts: chosen.translate(texts, beam=2)  # noqa: E731
    expected = _translate(sentences)
    halves = [sentences[:20], sentences[20:]]
    with FORK.Pool(2) as pool:
        assert list(chain(*pool.map_async(translate, halves).get(SECONDS))) == expected
        pool.close()
        pool.join()  # a pool's end by signals fails after Ray changed their handlers in an earlier test
    with ProcessPoolExecutor(2, mp_context=FORK) as executor:
        assert list(chain(*executor.map(translate, halves, timeout=SECONDS))) == expected
    assert _translate(sentences) == expected


def test_a_fork_that_ends_like_a_program_does_not_wait_for_the_engine(model: PairModel, tmp_path: Path) -> None:
    """Deleting the engine would wait for its threads."""
    fast = load_or_convert(model, tmp_path)
    process = os.fork()
    if process == 0:
        try:
            del fast
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0


def test_an_engine_that_cannot_be_opened_again_is_an_error_and_no_hang(model: PairModel, tmp_path: Path) -> None:
    fast = load_or_convert(model, tmp_path)
    folder = next(path for path in (tmp_path / "ctranslate2").iterdir() if path.is_dir())
    folder.rename(tmp_path / "elsewhere")
    fast.drop_engine()  # as after a fork
    with pytest.raises(ProcessError, match=r"backend ctranslate2: cannot be opened in a forked process \(.*\)\. Fix: "):
        fast.translate(["Hola"])


def test_threads_ask_for_processes_while_others_translate(model: PairModel, sentences: list[str]) -> None:
    expected = model.translate(sentences, beam=2)

    def ask(number: int) -> list[str]:
        return model.translate(sentences, beam=2, batch_tokens=200, processes=1 + number % 2)

    async def ask_all() -> list[list[str]]:
        return await asyncio.gather(*(asyncio.to_thread(ask, number) for number in range(4)))

    assert torch_model.possible()
    assert asyncio.run(ask_all()) == [expected] * 4
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(4))) == [expected] * 4
