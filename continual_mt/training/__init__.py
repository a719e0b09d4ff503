"""The training engine: trainer, checkpoints, replay, several processes."""
