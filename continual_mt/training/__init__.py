"""Training: the trainer, its loss, checkpoints, replay, the encoder cache and data-parallel workers."""
