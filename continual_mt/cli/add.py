"""``continual-mt add``."""

from __future__ import annotations

from typing import Annotated

import typer

from continual_mt.cli.support import options, spec_options
from continual_mt.cli.support.run_job import JobCommand
from continual_mt.errors import SpecError

EPILOG = options.examples(
    "continual-mt add de-en --parent fr-en --train train.de train.en --dev val.de val.en --test test.de test.en",
    "continual-mt add pt-en --train train.pt train.en --dev val.pt val.en --test test.pt test.en --updates 0",
    "continual-mt add fr-cs --train-tsv train.tsv.gz --dev-tsv val.tsv --set vocabulary=4000",
    "continual-mt add en-es --train train.en train.es --dev val.en val.es",
    "continual-mt add de-es --bridge --train train.de train.es --dev val.de val.es",
    "continual-mt add fr-es --train train.fr train.es --dev val.fr val.es --back-translate more.es",
    "continual-mt add fr-de --train train.fr train.de --dev val.fr val.de --monolingual more.de --denoise",
    "continual-mt add --spec de-en.yaml --in-process",
    "continual-mt add --spec de-en.yaml --address http://cluster:8265 --home /data/home",
)


def add(
    pair: Annotated[
        str | None,
        typer.Argument(
            metavar="PAIR",
            help="A new language and one of the parent or of a module, such as de-en; or two that exist, for a bridge.",
        ),
    ] = None,
    parent: options.OfParent = None,
    train: options.Train = None,
    train_tsv: options.TrainTsv = None,
    dev: options.Dev = None,
    dev_tsv: options.DevTsv = None,
    test: options.Test = None,
    test_tsv: options.TestTsv = None,
    scope: Annotated[
        str | None,
        typer.Option(
            help="What is trained: embeddings, xattn (the paper's), xattn-random, half, half-lora, lora, adapter, "
            "body or scratch; with options: half-lora:rank=16, xattn:layers=4-6,parts=query+key.  "
            "[default: half; embeddings with --updates 0]"
        ),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            help="How new embeddings start: lexical (from word translations), shared (from the parent's equal "
            "pieces) or random (the paper's).  [default: lexical where the parent's text is on record, else shared]"
        ),
    ] = None,
    updates: Annotated[
        int | None, typer.Option(help="Most updates; 0 registers the module as it starts, in seconds.  [default: 4000]")
    ] = None,
    monolingual: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Text of the new language without translation, for its tokenizer."),
    ] = None,
    back_translate: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Text of the target language without translation. The recipe of the opposite pair translates it, and "
            "the result is trained on, too; more with --set back_translation.KEY.",
        ),
    ] = None,
    denoise: Annotated[
        bool,
        typer.Option(
            "--denoise",
            help="Also restore the text of --monolingual from noised copies, through a side of the new language that "
            "exists on the other end.",
        ),
    ] = False,
    lexicon: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Word translations to start from: a new word, a tab, a word of the language it replaces.",
        ),
    ] = None,
    init_text: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="SOURCE TARGET",
            help="Text of a pair of the parent to start from, where its training text is not on record.",
        ),
    ] = None,
    init_pair: Annotated[
        str | None,
        typer.Option(metavar="PAIR", help="The parent's pair that --init-text is of, where the parent has several."),
    ] = None,
    init_language: Annotated[
        str | None,
        typer.Option(
            metavar="LANGUAGE",
            help="The parent's language to start from, where each has its own vocabulary.  [default: the one with the "
            "most text on record that the parent was trained to translate into, or from, the pair's other language]",
        ),
    ] = None,
    on: Annotated[
        list[str] | None,
        typer.Option(metavar="MODULE", help="A module to train against, where several bring a language. Repeatable."),
    ] = None,
    bridge: Annotated[
        bool, typer.Option("--bridge", help="Train only the cross-attention between two sides that exist already.")
    ] = False,
    both_new: Annotated[
        bool,
        typer.Option(
            "--both-new",
            help="Train the sides of two new languages at once. Neither learns from a side that was trained before.",
        ),
    ] = False,
    precision: options.Precision = None,
    settings: options.Settings = None,
    spec: options.SpecFile = None,
    again: options.Again = False,
    rescore: options.Rescore = False,
    address: options.Address = None,
    in_process: options.InProcess = False,
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Add a language to a parent and register its module.

    Trains the language's own half of the model, or what --scope says, and changes nothing that was learned before. Its
    embeddings start from word translations, or as --init says. '--scope xattn --init random' is the paper's setting.
    Every pair is scored: new ones are translated; the score of an earlier one is carried forward if its logits,
    computed again, are bit-equal.
    """
    from continual_mt.config.spec import AdditionSpec

    if init_pair is not None and init_text is None:
        raise SpecError(spec_options.ORIGIN, ["--init-pair: names the pair of --init-text. Fix: give --init-text, too"])
    given = {
        "pair": pair,
        "parent": parent,
        "scope": scope,
        "initialisation": init,
        "lexicon": lexicon and spec_options.text(lexicon),
        "init_text": spec_options.corpus(init_text, None, pair=init_pair),
        "init_language": init_language,
        "stored_precision": precision,
        "on": on or None,
        "bridge": bridge or None,
        "both_new": both_new or None,
        "monolingual": monolingual and spec_options.text(monolingual),
        "denoising": {} if denoise else None,
        "back_translation": back_translate and {"text": spec_options.text(back_translate)},
        "train": spec_options.corpus(train, train_tsv),
        "dev": spec_options.corpus(dev, dev_tsv),
    }
    if updates is not None:
        settings = [*(settings or ()), f"training.updates={updates}"]
    built = spec_options.build(AdditionSpec, spec, given, settings, test=spec_options.corpus(test, test_tsv))
    command = JobCommand("add_language", home, address, in_process, again, as_json, rescore)
    command.run(built, lambda driver: [driver.add_language(built)])
