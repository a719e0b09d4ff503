"""Noise on sentences, from which a model learns to restore them.

Lample, Conneau, Denoyer and Ranzato, *Unsupervised Machine Translation Using Monolingual Corpora Only*, ICLR 2018.
"""

from __future__ import annotations

import hashlib
import random


def noised(sentence: str, drop: float, distance: int, seed: int) -> str:
    """Return a sentence with words left out and moved. Equal arguments give equal results on every machine.

    Each word is left out with the probability ``drop``, but at least one is kept; those that are kept move by at most
    ``distance`` places. In a sentence without spaces between words, characters take the place of words.
    """
    words = sentence.split()
    between = " "
    if len(words) == 1:
        words, between = list(words[0]), ""
    digest = hashlib.sha256(f"{seed} {sentence}".encode()).digest()
    generator = random.Random(int.from_bytes(digest[:8]))
    kept = [word for word in words if generator.random() >= drop]
    if words and not kept:
        kept = [words[int(generator.random() * len(words))]]
    # Of two words that are further apart than the distance, the later one keeps the higher key.
    keys = [place + generator.random() * (distance + 1) for place in range(len(kept))]
    return between.join(kept[place] for place in sorted(range(len(kept)), key=keys.__getitem__))
