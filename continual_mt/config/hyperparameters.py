"""The hyper-parameters of training. Defaults suit a small parent on two cores; specs change any of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from continual_mt.model.architecture import Group

Initialisation = Literal["lexical", "shared", "random"]
"""How the embeddings of a new side start."""
Precision = Literal["auto", "float32", "bfloat16"]
Tokenization = Literal["13a", "zh", "ja-mecab", "char"]
"""sacreBLEU's tokenizations that download nothing."""
Rate = Annotated[float, Field(gt=0, le=1)]


class TrainingSettings(BaseModel):
    """Each update averages over the target tokens of ``accumulate`` batches, independent of the number of workers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    updates: Annotated[
        int, Field(ge=0, description="most updates (steps of the optimizer); an addition with 0 is used as it starts")
    ] = 4000
    batch_tokens: Annotated[int, Field(ge=64, description="most tokens in a batch, on either side")] = 2048
    accumulate: Annotated[int, Field(ge=1, description="batches per update, over all workers")] = 2
    learning_rate: Annotated[Rate, Field(description="step size at the end of the warm-up")] = 1e-3
    learning_rates: Annotated[dict[Group, Rate], Field(description="step size by group, instead of learning_rate")] = (
        Field(default_factory=dict)
    )
    warmup: Annotated[int, Field(ge=0, description="updates of linear warm-up; linear decay to zero follows")] = 400
    label_smoothing: Annotated[float, Field(ge=0, lt=1, description="probability spread over other tokens")] = 0.1
    dropout: Annotated[float, Field(ge=0, lt=1, description="probability that a value is dropped")] = 0.1
    clip: Annotated[float, Field(gt=0, description="largest norm of the gradient")] = 1.0
    validate_every: Annotated[int, Field(ge=1, description="updates between development scores")] = 250
    patience: Annotated[
        int, Field(ge=0, description="development scores without a better one before training stops; 0: never")
    ] = 8
    development_sentences: Annotated[
        int, Field(ge=1, description="sentences of the development text that are scored, from its start")
    ] = 500
    development_tokenization: Annotated[
        Tokenization | None,
        Field(description="tokenization of the development score, BLEU; by default what fits the target language"),
    ] = None
    encoder_cache_gb: Annotated[
        float, Field(ge=0, description="GB of disk for the states of a frozen encoder; not used where they need more")
    ] = 8.0
    precision: Annotated[Precision, Field(description="auto: bfloat16 where the machine computes in it")] = "auto"

    @model_serializer(mode="wrap")
    def _leave_out_what_came_later(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the key, records mean the tokenization of their time, see `earlier_tokenization`."""
        values: dict[str, Any] = write(self)
        if self.development_tokenization is None:
            values.pop("development_tokenization", None)
        return values


RATES_OF_A_START: dict[Group, float] = {
    "source": 1e-3,
    "encoder": 3e-4,
    "cross_attention": 5e-4,
    "decoder": 1e-3,
    "target": 3e-3,
}
"""The default learning rates of an addition whose embeddings start from the parent's, by group.

A source side that starts from word translations is nearly right, and the less its encoder moves, the better it fits
other modules. A target side has to learn to generate: see docs/results.md.
"""
RATES_OF_ADDED_TENSORS: dict[Group, float] = {"encoder": 1.5e-3, "cross_attention": 2.5e-3, "decoder": 5e-3}
"""The same for low-rank updates and adapters, which start at zero and need larger steps than trained matrices."""
