"""Translating a sentence for the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from continual_mt.artifacts.recipe import Recipe
from continual_mt.errors import ContinualMTError, InputError
from registry import Registry

CHARACTERS = 2000
BEAM = 5
MODULES_KEPT = 16


@dataclass(frozen=True)
class Translated:
    recipe: Recipe
    text: str


class Sentences:
    """Translates one sentence at a time and keeps the weights of the pairs that were asked for last.

    What can be run is asked of a registry that is opened anew for each sentence; only weights are kept, and they are
    known by their digest. With more than MODULES_KEPT modules, or after an error, they are read again.
    """

    def __init__(self, open_registry: Callable[[], Registry]) -> None:
        self._open = open_registry
        self._kept: Registry | None = None
        self._modules: set[str] = set()
        self._lock = Lock()

    def translate(self, source: str, target: str, parent: str, text: str) -> Translated:
        """Raises InputError for text that is too long, and what the registry raises."""
        if len(text) > CHARACTERS:
            raise InputError(f"the text has {len(text):,} characters; the page translates up to {CHARACTERS:,}")
        with self._open() as registry:
            recipe = registry.recipe_catalog.recipe(source, target, parent=parent)
        sentence = " ".join(text.split())
        with self._lock:
            try:
                return self._translated(recipe, sentence)
            except ContinualMTError:
                # What was kept may be of another registry that was in this place before.
                self.close()
                return self._translated(recipe, sentence)

    def close(self) -> None:
        """Forget the weights."""
        if self._kept is not None:
            self._kept.close()
        self._kept, self._modules = None, set()

    def _translated(self, recipe: Recipe, sentence: str) -> Translated:
        self._modules |= {key.name for key in recipe.modules}
        if len(self._modules) > MODULES_KEPT:
            self.close()
        if self._kept is None:
            self._kept = self._open()
        return Translated(recipe, self._kept.run(recipe).translate([sentence], beam=BEAM)[0])
