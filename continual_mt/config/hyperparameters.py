"""The hyper-parameters of training. Defaults suit a small parent on two cores; specs change any of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from continual_mt.model.architecture import Group

Precision = Literal["auto", "float32", "bfloat16"]
Rate = Annotated[float, Field(gt=0, le=1)]


class TrainingSettings(BaseModel):
    """Each update averages over the target tokens of ``accumulate`` batches, independent of the number of workers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    updates: Annotated[int, Field(ge=1, description="maximum number of updates")] = 4000
    batch_tokens: Annotated[
        int, Field(ge=64, description="maximum number of source tokens, and of target tokens, per batch")
    ] = 2048
    accumulate: Annotated[int, Field(ge=1, description="batches per update, over all workers")] = 2
    learning_rate: Annotated[Rate, Field(description="peak learning rate, at the end of the warm-up")] = 1e-3
    learning_rates: Annotated[
        dict[Group, Rate], Field(description="learning rates of groups that differ from learning_rate")
    ] = Field(default_factory=dict)
    warmup: Annotated[int, Field(ge=0, description="updates of linear warm-up, followed by linear decay to zero")] = 400
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    clip: Annotated[float, Field(gt=0, description="maximum norm of the gradient")] = 1.0
    validate_every: Annotated[int, Field(ge=1, description="updates between development scores")] = 250
    patience: Annotated[
        int, Field(ge=0, description="validations without improvement before training stops; 0: never stop early")
    ] = 8
    development_sentences: Annotated[
        int, Field(ge=1, description="how many of the first sentences of the development corpus are scored")
    ] = 500
    encoder_cache_gb: Annotated[
        float,
        Field(
            ge=0, description="disk space for the states of a frozen encoder; if they need more, they are not cached"
        ),
    ] = 8.0
    precision: Annotated[Precision, Field(description="auto: bfloat16 where the hardware supports it")] = "auto"
