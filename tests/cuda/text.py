"""Aligned sentences in four languages, made from a small grammar: enough to learn from in a hundred updates."""

from __future__ import annotations

import random
from itertools import permutations

LANGUAGES = ("fr", "en", "de", "es")

# The gender in French and in Spanish; the noun with its article in each language.
NOUNS = (
    ("f", "f", "la maison", "the house", "das Haus", "la casa"),
    ("f", "f", "la table", "the table", "der Tisch", "la mesa"),
    ("m", "m", "le livre", "the book", "das Buch", "el libro"),
    ("m", "m", "le chien", "the dog", "der Hund", "el perro"),
    ("f", "f", "la porte", "the door", "die Tür", "la puerta"),
    ("m", "m", "le jardin", "the garden", "der Garten", "el jardín"),
    ("f", "m", "la voiture", "the car", "das Auto", "el coche"),
    ("f", "m", "la lettre", "the paper", "der Brief", "el papel"),
    ("m", "f", "le lit", "the bed", "das Bett", "la cama"),
    ("m", "f", "le bateau", "the boat", "das Boot", "la barca"),
)
# French for either gender, English, German, Spanish for either gender.
ADJECTIVES = (
    ("petit", "petite", "small", "klein", "pequeño", "pequeña"),
    ("grand", "grande", "large", "groß", "grande", "grande"),
    ("vert", "verte", "green", "grün", "verde", "verde"),
    ("noir", "noire", "black", "schwarz", "negro", "negra"),
    ("nouveau", "nouvelle", "new", "neu", "nuevo", "nueva"),
    ("propre", "propre", "clean", "sauber", "limpio", "limpia"),
    ("rouge", "rouge", "red", "rot", "rojo", "roja"),
)


def sentences() -> dict[str, list[str]]:
    """Language to sentences, aligned over `LANGUAGES`, in one fixed random order."""
    rows = []
    for noun in NOUNS:
        for first, second in permutations(ADJECTIVES, 2):
            ours, others = _forms(noun, first), _forms(noun, second)
            words = ("est {} mais pas {}", "is {} but not {}", "ist {} aber nicht {}", "es {} pero no {}")
            rows.append(
                [
                    f"{name} {form.format(one, other)}."
                    for name, form, one, other in zip(noun[2:], words, ours, others, strict=True)
                ]
            )
    for one, other in permutations(NOUNS, 2):
        places = ("où sont {} et {} ?", "where are {} and {}?", "wo sind {} und {}?", "¿dónde están {} y {}?")
        rows.append([form.format(*pair) for form, *pair in zip(places, one[2:], other[2:], strict=True)])
    random.Random(0).shuffle(rows)
    return {language: [row[i] for row in rows] for i, language in enumerate(LANGUAGES)}


def _forms(noun: tuple[str, ...], adjective: tuple[str, ...]) -> tuple[str, str, str, str]:
    french, spanish = (gender == "f" for gender in noun[:2])
    return adjective[french], adjective[2], adjective[3], adjective[4 + spanish]
