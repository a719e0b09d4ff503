"""The text of one language, without a translation, that an addition reads, and what it does with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from continual_mt.artifacts.parent_languages import ENDS
from continual_mt.artifacts.pivot import AnyRecipe
from continual_mt.config.spec import AdditionSpec
from continual_mt.data.corpora.text_url import TextPlace
from continual_mt.errors import IncompatibleError
from ray_jobs.planning.back_translation import BackTranslation, back_translation
from ray_jobs.planning.base import Base
from ray_jobs.planning.denoising import Denoising, FrozenSide
from ray_jobs.planning.initialisation import ResolvedText, read_monolingual
from ray_jobs.planning.resolved_pairs import Problems

FindRecipe = Callable[[AdditionSpec], AnyRecipe]
"""Finds the recipe that back-translates the text of an addition."""

FindFrozenSide = Callable[[AdditionSpec, Base], FrozenSide]
"""Finds the side through which an addition denoises."""

_Texts = Mapping[TextPlace, ResolvedText | None]


@dataclass(frozen=True)
class TextAlone:
    """What an addition does with text that has no translation; ``spec`` names what was found and filled in.

    ``tokenizer`` is the text from which the tokenizer of the new language is trained, too.
    """

    spec: AdditionSpec
    tokenizer: ResolvedText | None
    back_translation: BackTranslation | None = None
    denoising: Denoising | None = None


def text_alone(
    spec: AdditionSpec,
    base: Base | None,
    problems: Problems,
    find_recipe: FindRecipe | None,
    find_frozen_side: FindFrozenSide | None,
) -> TextAlone:
    """Read the texts of an addition without a translation, each once, and find what is needed to train on them.

    ``base`` is None where it could not be found. Misuse goes to ``problems``.
    """
    if base is not None and base.side in ENDS:
        spec = _with_text_of_tokenizer(spec, base)
    parts = spec.back_translation, spec.denoising
    places = (spec.monolingual, *(part.text for part in parts if part is not None))
    read: dict[TextPlace, ResolvedText | None] = {}
    for place in places:
        if place is not None and place not in read:
            read[place] = problems.attempt(partial(read_monolingual, place))
    tokenizer = None if spec.monolingual is None else read[spec.monolingual]
    if base is None:
        return TextAlone(spec, tokenizer)
    translated = problems.attempt(partial(_back_translation, spec, base, read, find_recipe))
    denoised = problems.attempt(partial(_denoising, spec, base, read, find_frozen_side))
    found = {"back_translation": translated and translated.spec, "denoising": denoised and denoised.spec}
    return TextAlone(spec.model_copy(update=found), tokenizer, translated, denoised)


def _with_text_of_tokenizer(spec: AdditionSpec, base: Base) -> AdditionSpec:
    """Let all text of the new language train its tokenizer, and denoising use the tokenizer's text by default."""
    translated = spec.back_translation.text if spec.back_translation and base.side == "target" else None
    text = spec.monolingual or (spec.denoising and spec.denoising.text) or translated
    changes: dict[str, object] = {"monolingual": text}
    if spec.denoising is not None and spec.denoising.text is None:
        changes["denoising"] = spec.denoising.model_copy(update={"text": text})
    return spec.model_copy(update=changes)


def _back_translation(spec: AdditionSpec, base: Base, read: _Texts, find: FindRecipe | None) -> BackTranslation | None:
    asked = spec.back_translation
    text = None if asked is None else read[asked.text]
    if asked is None or text is None:
        return None
    assert find is not None
    recipe = find(spec)
    # The record names the recipe that was found, whatever the registry would choose later.
    named = asked.model_copy(update={"recipe": recipe.digest, "parent": None})
    return back_translation(named, replace(text, licence=asked.licence), recipe, base.side)


def _denoising(spec: AdditionSpec, base: Base, read: _Texts, find: FindFrozenSide | None) -> Denoising | None:
    asked = spec.denoising
    if asked is None:
        return None
    assert find is not None
    through = find(spec, base)
    if asked.text is None:
        raise IncompatibleError("denoising: no text of the new language is given. Fix: give it with --monolingual")
    text, module = read[asked.text], through.module
    named = asked.model_copy(update={"through": None if module is None else module.full_name})
    return None if text is None else Denoising(named, replace(text, licence=asked.licence), through)
