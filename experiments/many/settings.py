"""The languages, the settings of all trainings, and the pairs that are compared."""

from __future__ import annotations

from typing import Any

PARENT = "many"
PARENT_LANGUAGES = ("en", "es")
# Families alternate, so that no part of the chain is of one family alone.
ADDED = ("de", "fr", "cs", "tr", "it", "ru", "hu", "pt", "sv", "el", "pl", "nl")
LANGUAGES = (*PARENT_LANGUAGES, *ADDED)
FAMILIES = {
    "Germanic": ("en", "de", "sv", "nl"),
    "Romance": ("es", "fr", "it", "pt"),
    "Slavic": ("cs", "ru", "pl"),
    "other": ("tr", "hu", "el"),
}
BRIDGED = ("de-fr", "pt-it", "nl-cs", "cs-pl", "pl-pt", "tr-hu")

DEV, TEST, SCORED = 300, 500, 300
"""Segments that all languages have; of those held out for the test, the first are scored."""
SEED, BEAM = 1, 1

# Small batches: on so little text many small updates learn more in the same time than few large ones.
TRAINING: dict[str, Any] = {"accumulate": 1, "dropout": 0.05}
PARENT_TRAINING = {
    **TRAINING,
    "batch_tokens": 1024,
    "updates": 1250,
    "learning_rate": 1e-3,
    "warmup": 300,
    "validate_every": 250,
}
UPDATES = 150
ADDITION_TRAINING = {**TRAINING, "batch_tokens": 512, "updates": UPDATES, "warmup": 25, "validate_every": 75}
ADDITION_TRAINING |= {"development_sentences": 200}
# Two sides that start as noise have further to go: twice the updates, with the rates for noise.
BOTH_NEW_TRAINING = {**ADDITION_TRAINING, "updates": 2 * UPDATES, "warmup": 2 * 25, "learning_rate": 5e-4}
BOTH_NEW_TRAINING |= {"learning_rates": {"source": 3e-3, "target": 3e-3}}
STARTS = ("es", "en")
"""The language of the parent whose embeddings those of a new language start from.

``en`` is the default: the other language of X-en and en-X, which the parent has on both ends. The parent has not
learned to translate English into English, but es-en and en-es: ``es`` puts a new language in the place of Spanish.
"""
VOCABULARY = 4000
"""Types of each language, the parent's and the added ones alike, so that modules have equal sizes."""
RESOURCES = {"cpus": 1}
COMMON: dict[str, Any] = {"seed": SEED, "beam": BEAM, "resources": RESOURCES}
