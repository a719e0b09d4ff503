"""Development BLEU of a trained model, decoded by the same greedy search for all contestants."""

from __future__ import annotations

from benchmarks.tools.workload import Workload
from continual_mt.artifacts.side import LanguageSide
from continual_mt.evaluation import metrics
from continual_mt.inference.torch_model import PairModel
from continual_mt.languages import Pair
from continual_mt.model.transformer import Transformer


def development_bleu(workload: Workload, model: Transformer) -> float:
    """Return the BLEU of ``model`` on the development text, in points."""
    pairs = list(workload.text("dev").read())
    pair = Pair.parse(workload.pair)
    sides = (
        LanguageSide(pair.source, workload.tokenizer("source")),
        LanguageSide(pair.target, workload.tokenizer("target")),
    )
    hypotheses = PairModel(pair, model.eval(), *sides).translate([line.source for line in pairs], beam=1)
    return metrics.bleu(hypotheses, [line.target for line in pairs], pair.target)
