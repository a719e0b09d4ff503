"""Translating a sentence for the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from continual_mt.artifacts.recipe import Recipe
from continual_mt.errors import ContinualMTError, InputError
from registry import Registry

MAX_CHARACTERS = 2000
BEAM = 5
MAX_CACHED_MODULES = 16


@dataclass(frozen=True)
class Translation:
    recipe: Recipe
    text: str


class SentenceTranslator:
    """Translates one sentence at a time and keeps the weights of the pairs that were asked for last.

    What can be run is asked of a registry that is opened anew for each sentence; only weights are kept, and they are
    known by their digest. With more than MAX_CACHED_MODULES modules, or after an error, they are read again.
    """

    def __init__(self, open_registry: Callable[[], Registry]) -> None:
        self._open_registry = open_registry
        self._cached: Registry | None = None
        self._cached_modules: set[str] = set()
        self._lock = Lock()

    def translate(self, source: str, target: str, parent: str, text: str) -> Translation:
        """Raises InputError for text that is too long, and what the registry raises."""
        if len(text) > MAX_CHARACTERS:
            raise InputError(f"the text has {len(text):,} characters; the page translates up to {MAX_CHARACTERS:,}")
        with self._open_registry() as registry:
            recipe = registry.recipe(source, target, parent=parent)
        sentence = " ".join(text.split())
        with self._lock:
            try:
                return self._run(recipe, sentence)
            except ContinualMTError:
                # What was kept may be of another registry that was in this place before.
                self.close()
                return self._run(recipe, sentence)

    def close(self) -> None:
        """Forget the weights."""
        if self._cached is not None:
            self._cached.close()
        self._cached, self._cached_modules = None, set()

    def _run(self, recipe: Recipe, sentence: str) -> Translation:
        self._cached_modules |= {key.name for key in recipe.modules}
        if len(self._cached_modules) > MAX_CACHED_MODULES:
            self.close()
        if self._cached is None:
            self._cached = self._open_registry()
        return Translation(recipe, self._cached.run(recipe).translate([sentence], beam=BEAM)[0])
