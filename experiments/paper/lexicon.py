"""How well the embeddings of new sources align with the parent's French: nearest neighbours against two lexicons.

The paper used the dictionaries of MUSE. Here German is judged by XLing-Eval (Glavaš, Litschko, Ruder and Vulić, ACL
2019; 7,000 pairs, nothing was trained on them), and both languages by word pairs that are counted in the captions. No
model was trained on de-fr or cs-fr, but a lexical start counts words of the same captions through English, so that the
counted lexicon favours it: compare starts by XLing-Eval.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from continual_mt.evaluation.alignment import align
from continual_mt.evaluation.lexicon import Lexicon, parse_lexicon
from experiments.paper.run import Run
from experiments.paper.settings import TEXTS, side_of
from experiments.run import Row
from experiments.texts import read
from registry.recipes.embeddings import two_embeddings

GOLD, COUNTED = "XLing-Eval", "counted"
LEAST_CAPTIONS, LEAST_DICE = 10, 0.3
_WORD = re.compile(r"[^\W\d_]+")


def lexicon(run: Run) -> None:
    """Measure the tested additions of a new source in the table ``full``, but for ``scratch``, whose space is another.

    Precision is that of `continual-mt align`: of single pieces among all French pieces, and of whole words among all
    translations in the lexicon.
    """
    known: dict[str, Mapping[str, Lexicon]] = {}
    for row in run.found(part="test", table="full", kind="supervised"):
        language = row["pair"].split("-")[0]
        if side_of(row["pair"]) == "source" and row["scope"] != "scratch":
            known[language] = known.get(language) or lexicons(run, language)
            for name, entries in known[language].items():
                measure(run, row, name, entries)


def measure(run: Run, row: Row, name: str, entries: Lexicon) -> None:
    labels = {key: row[key] for key in ("table", "parent", "scope", "start", "seed", "pair")}
    labels |= {"part": "lexicon", "lexicon": name}
    if run.is_known(**labels):
        return
    (module,) = row["modules"]
    registry = run.driver.registry
    records = two_embeddings(registry.recipe_catalog, registry.parent(row["parent"]), (module, "fr"), "source")
    first, second = (registry.load_embedding(record) for record in records)
    results = [one.precision.to_json() for one in align(first, second, entries)]
    run.append({**labels, "module": module, "entries": len(entries.translations), "results": results})


def lexicons(run: Run, language: str) -> dict[str, Lexicon]:
    """The lexicons from a language into French."""
    folder = run.texts / TEXTS["full"][1]["source"]
    lines = counted_lexicon(*(read(folder / f"train.{tag}") for tag in (language, "fr")))
    found = {COUNTED: parse_lexicon(lines, f"{language}-fr, {COUNTED}")}
    if language == "de":
        files = [run.data / "lexicons" / f"de-fr.{part}.tsv" for part in ("train", "test")]
        found[GOLD] = parse_lexicon([line for file in files for line in read(file)], GOLD)
    return found


def counted_lexicon(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """Pairs of words that are each other's best in aligned text by Dice's coefficient: a word, a tab, a word.

    The coefficient is 2·n(x, y) / (n(x) + n(y)), where n counts sentences. Words of fewer than ``LEAST_CAPTIONS``
    sentences and pairs of a lower coefficient than ``LEAST_DICE`` are left out. Spelling is kept.
    """
    sides = [[set(_WORD.findall(line)) for line in lines] for lines in (first, second)]
    counts = [Counter(word for words in side for word in words) for side in sides]
    frequent = [
        [[word for word in words if count[word] >= LEAST_CAPTIONS] for words in side]
        for side, count in zip(sides, counts, strict=True)
    ]
    together = Counter((x, y) for left, right in zip(*frequent, strict=True) for x in left for y in right)
    dice = {(x, y): 2 * number / (counts[0][x] + counts[1][y]) for (x, y), number in together.items()}
    best: list[dict[str, tuple[float, str]]] = [{}, {}]
    for (x, y), value in dice.items():
        best[0][x] = max(best[0].get(x, (0.0, "")), (value, y))
        best[1][y] = max(best[1].get(y, (0.0, "")), (value, x))
    return sorted(f"{x}\t{y}" for x, (value, y) in best[0].items() if value >= LEAST_DICE and best[1][y][1] == x)
