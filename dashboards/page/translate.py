"""Translation of single sentences for the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from continual_mt.artifacts.pivot import AnyRecipe
from continual_mt.errors import ContinualMTError, InputError
from registry import Registry

MAX_CHARACTERS = 2000
BEAM = 5
MAX_CACHED_MODULES = 16


@dataclass(frozen=True)
class Translation:
    recipe: AnyRecipe
    text: str


class SentenceTranslator:
    """Translates one sentence at a time and caches the weights that it used.

    Recipes are looked up in a registry opened for each sentence, so a new module is seen at once. Only weights are
    cached, by digest. The cache is emptied when it exceeds MAX_CACHED_MODULES modules, and after an error.
    """

    def __init__(self, open_registry: Callable[[], Registry]) -> None:
        self._open_registry = open_registry
        self._cached: Registry | None = None
        self._cached_modules: set[str] = set()
        self._lock = Lock()

    def translate(self, source: str, target: str, parent: str, text: str) -> Translation:
        """Translate one sentence. Raises InputError for text that is too long, and the registry's errors."""
        if len(text) > MAX_CHARACTERS:
            raise InputError(f"text: {len(text):,} characters; expected at most {MAX_CHARACTERS:,}")
        with self._open_registry() as registry:
            recipe = registry.recipe_catalog.recipe(source, target, parent=parent)
        sentence = " ".join(text.split())
        with self._lock:
            try:
                return self._run(recipe, sentence)
            except ContinualMTError:
                # The cache may belong to another registry that was at the same location before.
                self.close()
                return self._run(recipe, sentence)

    def close(self) -> None:
        """Empty the cache."""
        if self._cached is not None:
            self._cached.close()
        self._cached, self._cached_modules = None, set()

    def _run(self, recipe: AnyRecipe, sentence: str) -> Translation:
        self._cached_modules |= {key.name for key in recipe.modules}
        if len(self._cached_modules) > MAX_CACHED_MODULES:
            self.close()
        if self._cached is None:
            self._cached = self._open_registry()
        return Translation(recipe, self._cached.run(recipe).translate([sentence], beam=BEAM)[0])
