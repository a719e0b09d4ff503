"""The trainer: trains all parameters of a parent, or the groups in the scope of an addition."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from continual_mt.data.batching import Indices
from continual_mt.errors import TrainingError
from continual_mt.model.architecture import group_of
from continual_mt.model.joint_model import JointModel
from continual_mt.model.transformer import Transformer
from continual_mt.training.adamw import AdamW
from continual_mt.training.checkpoint import Checkpoint, Progress
from continual_mt.training.distributed import Workers
from continual_mt.training.joint_task import JointBatches, JointTask
from continual_mt.training.pair_loss import PairLoss

# Under these names benchmarks compare revisions: python -m benchmarks.revisions.
from continual_mt.training.pair_task import PairBatches
from continual_mt.training.pair_task import Task as Task
from continual_mt.training.pair_task import encoder_frozen as encoder_frozen
from continual_mt.training.progress import ProgressReport

BETAS = (0.9, 0.98)
EPSILON = 1e-6
REPORT_EVERY = 20
_FROM_THE_START = "delete the checkpoints of this run, which then starts from update 0"


def learning_rate_factor(update: int, warmup: int, updates: int) -> float:
    """Return the factor of the peak learning rate at ``update`` (from 1): linear warm-up, then linear decay to zero."""
    if update <= warmup:
        return update / warmup
    return max(0.0, (updates - update + 1) / max(1, updates - warmup))


def computation_dtype(device: torch.device, precision: str) -> torch.dtype:
    """Return the dtype of matrix products for a ``precision`` of ``auto``, ``float32`` or ``bfloat16``.

    ``auto`` is bfloat16 on GPUs that support it and on CPUs with AVX512-BF16 or AMX-BF16, and float32 elsewhere.
    """
    if precision == "float32":
        return torch.float32
    if precision == "bfloat16":
        return torch.bfloat16
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    native = "avx512_bf16" in _cpu_features() or "amx_bf16" in _cpu_features()
    return torch.bfloat16 if device.type == "cpu" and native else torch.float32


def _cpu_features() -> frozenset[str]:
    capabilities = torch.cpu.get_capabilities()
    return frozenset(name for name, present in capabilities.items() if present)


class Trainer:
    """One worker's part of a training run.

    Mixed precision follows Micikevicius et al., *Mixed Precision Training*, ICLR 2018: the optimizer updates float32
    master weights (``task.model``), and the forward and backward passes use copies of them in the computation dtype.
    ``checkpoint`` returns the whole state between updates; a Trainer that starts from it continues bit for bit. Raises
    TrainingError if ``accumulate`` is no multiple of the workers, or the checkpoint does not fit the task.
    """

    def __init__(self, task: Task | JointTask, checkpoint: Checkpoint | None = None) -> None:
        self.task, self.settings = task, task.settings
        self.device = task.model.device
        self.dtype = computation_dtype(self.device, task.settings.precision)
        # Frozen parameters are cast once, trained ones after each update. Embeddings that train stay in float32: the
        # gradient of a frequent token, or of a position, is a sum of many terms, which is too inaccurate in bfloat16.
        tables = (".embedding", ".positions")
        uncast = {name for name in task.trainable if name.endswith(tables) or self.dtype == torch.float32}
        self.model = task.model.computing_in(self.dtype, uncast)
        self.workers = Workers()
        if self.settings.accumulate % self.workers.size:
            raise TrainingError(
                f"training.accumulate: is {self.settings.accumulate}; expected a multiple of the number of workers, "
                f"{self.workers.size}. Fix: change accumulate, or the number of workers"
            )
        self.model.dropout = self.settings.dropout
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name in task.trainable)
        master, compute = dict(task.model.named_parameters()), dict(self.model.named_parameters())
        self.trained = {name: compute[name] if name in uncast else master[name] for name in task.trainable}
        self._master_and_compute = [(master[name], compute[name]) for name in task.trainable if name not in uncast]
        self.optimizer = self._make_optimizer()
        self.progress = Progress()
        self.best: dict[str, Tensor] = {}
        # Each worker draws other dropout masks; the model and the order of batches are the same for all.
        torch.manual_seed(task.seed * 1000 + self.workers.rank)
        if checkpoint is not None:
            self._restore(checkpoint)
        self.batches = _batches(task, self.model, self.progress)

    def _make_optimizer(self) -> AdamW:
        rates: dict[float, list[Tensor]] = {}
        for name, parameter in self.trained.items():
            rate = self.settings.learning_rates.get(group_of(name), self.settings.learning_rate)
            rates.setdefault(rate, []).append(parameter)
        return AdamW(rates, betas=BETAS, epsilon=EPSILON)

    def update(self) -> tuple[float, int]:
        """Do one update. Returns this worker's summed loss, in nats, and its number of target tokens.

        Raises TrainingError if the gradient is not finite; parameters are then unchanged.
        """
        self.progress.update += 1
        batches = next(self.batches)
        self.progress.epoch, self.progress.consumed = self.batches.epoch, self.batches.consumed
        tokens = sum(pair_loss.count_tokens(indices) for pair_loss, indices in batches)
        local_batches = batches[self.workers.rank :: self.workers.size]
        self.model.train()
        loss = sum(self._accumulate(pair_loss, indices, tokens) for pair_loss, indices in local_batches)
        parameters = list(self.trained.values())
        if isinstance(self.task, JointTask):
            _fill_in_gradients(parameters)
        self.workers.sum_gradients(parameters)
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if not torch.isfinite(norm):
            raise TrainingError(
                f"update {self.progress.update}: the gradient is not finite. "
                "Fix: lower learning_rate or clip, or set training.precision=float32"
            )
        if norm > self.settings.clip:
            torch.nn.utils.clip_grads_with_norm_(parameters, self.settings.clip, norm)
        self.optimizer.step(learning_rate_factor(self.progress.update, self.settings.warmup, self.settings.updates))
        self.optimizer.zero_grad()
        self._copy_master_weights()
        return loss, sum(pair_loss.count_tokens(indices) for pair_loss, indices in local_batches)

    def _accumulate(self, pair_loss: PairLoss, indices: Indices, update_tokens: int) -> float:
        loss = pair_loss.loss(indices, self.settings.label_smoothing)
        (loss / update_tokens).backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
        for master, compute in self._master_and_compute:
            if compute.grad is not None:
                gradient, compute.grad = compute.grad.to(master.dtype), None
                master.grad = gradient if master.grad is None else master.grad.add_(gradient)
        return float(loss.detach())

    @torch.no_grad()
    def _copy_master_weights(self) -> None:
        for master, compute in self._master_and_compute:
            compute.copy_(master)

    def record_validation(self, score: float) -> bool:
        """Record a development score (more is better); returns whether it is the best so far.

        Keeps a copy of the parameters with the best score, and sets ``progress.finished`` after the last update or
        after ``patience`` validations without a better score.
        """
        best = self.progress.best_score is None or score > self.progress.best_score
        if best:
            self.progress.best_score, self.progress.best_update = score, self.progress.update
            self.progress.validations_without_gain = 0
            self.best = {name: parameter.detach().cpu().clone() for name, parameter in self.trained.items()}
        else:
            self.progress.validations_without_gain += 1
        patience = self.settings.patience
        exhausted = 0 < patience <= self.progress.validations_without_gain
        self.progress.finished = exhausted or self.progress.update >= self.settings.updates
        return best

    def checkpoint(self) -> Checkpoint:
        """Return the state of the run. All workers must call this, because their generators' states are gathered.

        The tensors are not copied: save the result before the next update.
        """
        states = self.workers.all_gather(_generator_state(self.device), self.device)
        moments: dict[str, Tensor] = {}
        for name, parameter in self.trained.items():
            state = self.optimizer.state.get(parameter)
            if state:
                moments[f"{name}/first"], moments[f"{name}/second"] = state.first, state.second
        generators = {str(rank): state for rank, state in enumerate(states)}
        trained = {name: parameter.detach() for name, parameter in self.trained.items()}
        return Checkpoint(replace(self.progress), trained, self.best, moments, generators)

    def _check_fit(self, checkpoint: Checkpoint) -> None:
        if set(checkpoint.trained) != set(self.trained):
            raise TrainingError(f"checkpoint: contains other parameters than this run trains. Fix: {_FROM_THE_START}")
        for name, parameter in self.trained.items():
            stored, own = list(checkpoint.trained[name].shape), list(parameter.shape)
            if stored != own:
                raise TrainingError(
                    f"checkpoint: {name} has shape {stored}, but {own} in this run. Fix: {_FROM_THE_START}"
                )
        if len(checkpoint.generators) != self.workers.size:
            raise TrainingError(
                f"checkpoint: was written with {len(checkpoint.generators)} workers, but this run has "
                f"{self.workers.size}. Fix: resume with the same number, or {_FROM_THE_START}"
            )

    @torch.no_grad()
    def _restore(self, checkpoint: Checkpoint) -> None:
        self._check_fit(checkpoint)
        self.progress, self.best = replace(checkpoint.progress), dict(checkpoint.best)
        for name, parameter in self.trained.items():
            parameter.copy_(checkpoint.trained[name])
            # A parameter that has had no gradient has no moments.
            if f"{name}/first" in checkpoint.optimizer:
                first, second = checkpoint.optimizer[f"{name}/first"], checkpoint.optimizer[f"{name}/second"]
                self.optimizer.restore(parameter, first, second, checkpoint.progress.update)
        self._copy_master_weights()
        _set_generator_state(checkpoint.generators[str(self.workers.rank)], self.device)


def _generator_state(device: torch.device) -> Tensor:
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    return torch.cat(states)


def _set_generator_state(state: Tensor, device: torch.device) -> None:
    length = len(torch.get_rng_state())
    torch.set_rng_state(state[:length])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state[length:], device)


def _batches(task: Task | JointTask, model: Transformer | JointModel, progress: Progress) -> PairBatches | JointBatches:
    """The batches of a task's updates, with losses of ``model``, which computes for it."""
    if isinstance(task, JointTask):
        assert isinstance(model, JointModel)
        return JointBatches(task, model, progress.epoch, progress.consumed)
    assert isinstance(model, Transformer)
    return PairBatches(task, model, progress)


def _fill_in_gradients(parameters: Iterable[Tensor]) -> None:
    """Give sides without a sentence in this update a gradient of zero, as rows of a shared table would have.

    All parameters then take equally many steps, as `AdamW.restore` expects, and with any number of workers.
    """
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)


def train(
    task: Task | JointTask,
    *,
    checkpoint: Checkpoint | None,
    development: Callable[[Any], float],
    save: Callable[[Trainer], None],
    report: Callable[[ProgressReport], None],
    stop: Callable[[], bool],
) -> Progress:
    """Train until all updates are done, patience runs out, or ``stop`` returns True on any worker.

    Args:
        task: the model and its data; its trained parameters are updated in place.
        checkpoint: the state to resume from; None starts at update 0.
        development: scores a model, of the type of the task's, on the development set (more is better); called on
            rank 0 only.
        save: called on every worker after each validation, and when ``stop`` ends the run.
        report: called on every worker every ``REPORT_EVERY`` updates and after each validation.
        stop: called on every worker after each update, except the last.

    Returns:
        The progress at the end. ``finished`` is False if ``stop`` ended the run, which can then be resumed.

    Raises:
        TrainingError: if the loss or a gradient is not finite, or the checkpoint does not fit the task.
    """
    trainer = Trainer(task, checkpoint)
    workers, settings = trainer.workers, trainer.settings
    losses, tokens, started = 0.0, 0, time.perf_counter()
    while not trainer.progress.finished:
        loss, count = trainer.update()
        losses, tokens = losses + loss, tokens + count
        update = trainer.progress.update
        validating = update % settings.validate_every == 0 or update >= settings.updates
        if not math.isfinite(losses):
            raise TrainingError(f"update {update}: the loss is not finite. Fix: lower learning_rate")
        if validating or update % REPORT_EVERY == 0:
            seconds = time.perf_counter() - started
            total = workers.sum(tokens, trainer.device)
            mean = workers.sum(losses, trainer.device) / total
            score, best = None, False
            if validating:
                score = _development_score(trainer, development)
                best = trainer.record_validation(score)
                save(trainer)
            rate = trainer.optimizer.highest_rate
            report(ProgressReport(update, trainer.progress.epoch, mean, rate, total / seconds, score, best))
            losses, tokens, started = 0.0, 0, time.perf_counter()
        if not trainer.progress.finished and workers.sum(float(stop()), trainer.device):
            if not validating:
                save(trainer)
            break
    return trainer.progress


def _development_score(trainer: Trainer, development: Callable[[Any], float]) -> float:
    """Score on rank 0 and send the score to all workers; the state of the random number generators is restored."""
    score = 0.0
    if trainer.workers.rank == 0:
        cuda = [trainer.device] if trainer.device.type == "cuda" else []
        with torch.random.fork_rng(cuda):
            score = development(trainer.model.computing_in(trainer.dtype))
    return trainer.workers.sum(score, trainer.device)


def trainable_copy(tensors: dict[str, Tensor], names: Iterable[str]) -> dict[str, Tensor]:
    """Return ``tensors`` with those in ``names`` copied, so that training does not write to shared weights."""
    chosen = set(names)
    return {name: tensor.clone() if name in chosen else tensor for name, tensor in tensors.items()}
