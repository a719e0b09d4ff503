"""What an addition back-translates: the text, and the recipe that translates it, found before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from continual_mt.artifacts.pivot import AnyRecipe, Pivot
from continual_mt.config.monolingual_spec import BackTranslationSpec
from continual_mt.config.spec import AdditionSpec
from continual_mt.errors import IncompatibleError, LanguageError, MisuseError, UnknownNameError
from continual_mt.evaluation.language_identification import LIBRARY, is_known
from continual_mt.languages import NewSide, Pair, SideName, ends_of
from ray_jobs.planning.initialisation import ResolvedText
from registry import CorpusRecord, Input, Registry
from registry.corpora import ResolvedCorpus
from registry.recipes.named_pivots import PREFIX
from registry.recipes.names import parent_in
from registry.recipes.recorded import is_digest

VERSION = 1
"""Increased whenever the same spec starts to give other back-translations, or other ones that are kept."""
_FAULTS: Mapping[str, str] = {
    "empty": "empty",
    "copied": "equal to their sentence",
    "length": "too long or too short",
    "language": "in another language",
}


@dataclass(frozen=True)
class BackTranslation:
    """What an addition back-translates: ``text`` was read, and ``recipe`` translates it.

    ``tagged`` is the end whose vocabulary has a type that marks back-translations, None without one.
    """

    spec: BackTranslationSpec
    text: ResolvedText
    recipe: AnyRecipe
    tagged: SideName | None

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides what is trained on, as JSON."""
        return {**self.translations, **self.selection, "share": self.spec.share, "tag": self.spec.tag}

    @property
    def translations(self) -> Mapping[str, object]:
        """All that decides the translations, as JSON."""
        return {"version": VERSION, "text": self.text.digest, "recipe": self.recipe.digest, "beam": self.spec.beam}

    @property
    def selection(self) -> Mapping[str, object]:
        """What decides which translations are kept, beside the training text."""
        return self.spec.model_dump(include={"maximum_ratio", "check_language"})

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What the recipe consists of: its modules, and the parents of legs without any."""
        legs = self.recipe.legs if isinstance(self.recipe, Pivot) else (self.recipe,)
        parts = [(key.name, key.digest) for key in self.recipe.modules]
        parts += [(leg.parent, leg.fingerprint) for leg in legs if not leg.modules]
        digest = self.recipe.digest
        return tuple(Input("translated-by", *part, recipe=digest) for part in dict.fromkeys(parts))


def back_translation(
    spec: BackTranslationSpec, text: ResolvedText, recipe: AnyRecipe, side: NewSide
) -> BackTranslation:
    """Return the back-translation of an addition with these new sides.

    Raises IncompatibleError for a tag that no new vocabulary can have, and for translations into a language that cannot
    be identified.
    """
    if spec.tag and side == "none":
        raise IncompatibleError(
            "back_translation.tag: a bridge has no new vocabulary that a tag could be part of. "
            "Fix: --set back_translation.tag=false"
        )
    language = recipe.pair.target
    if spec.check_language and not is_known(language):
        raise IncompatibleError(
            f"back_translation.check_language: {LIBRARY} does not identify {language}. "
            "Fix: --set back_translation.check_language=false"
        )
    tagged = ends_of(side)[0] if spec.tag else None
    return BackTranslation(spec, text, recipe, tagged)


def find_recipe(registry: Registry, own_parent: str, spec: AdditionSpec) -> AnyRecipe:
    """Find the recipe that translates the text of an addition, whose pair is written in tags, into its source language.

    Raises UnknownNameError if the registry has none, or none of the name that was asked for, and where several other
    parents have one.
    """
    asked = spec.back_translation
    assert asked is not None
    pair = Pair.parse(spec.pair)
    back = Pair(pair.target, pair.source)
    if asked.recipe is not None and is_digest(asked.recipe):
        return _of_digest(registry, asked.recipe, back)
    is_pivot = (asked.recipe or "").startswith(PREFIX)
    chosen = asked.parent or (None if is_pivot else parent_in(asked.recipe))
    names = [chosen] if chosen else [own_parent, *(one.name for one in registry.parents() if one.name != own_parent)]
    found: dict[str, AnyRecipe] = {}
    problems: list[MisuseError] = []
    for name in names:
        try:
            found[name] = registry.recipe_catalog.recipe(back.source, back.target, parent=name, kind=asked.recipe)
        except (IncompatibleError, LanguageError, UnknownNameError) as error:
            problems.append(error)
        if own_parent in found:
            break
    if not found:
        raise UnknownNameError(
            f"back_translation: no recipe translates {back}, so that text in {pair.target} has no way into "
            f"{pair.source} ({problems[0]}). Fix: train {back} first, as an addition or a parent; or leave out "
            "back_translation"
        )
    if len({recipe.digest for recipe in found.values()}) > 1:
        raise UnknownNameError(
            f"back_translation: several parents translate {back}: {', '.join(found)}. "
            "Fix: --set back_translation.parent=NAME"
        )
    return next(iter(found.values()))


def _of_digest(registry: Registry, digest: str, back: Pair) -> AnyRecipe:
    recipe = registry.recipe_catalog.recipe_of(digest)
    if recipe.pair != back:
        raise IncompatibleError(
            f"back_translation.recipe: {digest[:12]} translates {recipe.pair}; expected a recipe of {back}"
        )
    return recipe


@dataclass(frozen=True)
class BackTranslatedText:
    """The back-translations that an addition trains on, and how many were kept and left out, by reason."""

    corpus: ResolvedCorpus
    name: str
    counts: Mapping[str, int]

    @property
    def record(self) -> CorpusRecord:
        """What the registry records of it."""
        left_out = sum(count for name, count in self.counts.items() if name != "kept")
        return replace(self.corpus.record, name=self.name, skipped=left_out)

    def __str__(self) -> str:
        left_out = described(self.counts)
        return f"{self.counts['kept']:,} {self.name} are kept" + (f"; left out: {left_out}" if left_out else "")


def described(counts: Mapping[str, int]) -> str:
    """Return how many back-translations were left out, by reason, as text."""
    return ", ".join(f"{count:,} {_FAULTS[name]}" for name, count in counts.items() if count and name != "kept")
