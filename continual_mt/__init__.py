"""The method: parents, scopes, modules, recipes, training, decoding and scoring, in plain PyTorch."""

from continual_mt.import_path import WithoutCurrentFolder

with WithoutCurrentFolder():
    from continual_mt.threads import wait_passively

wait_passively()  # before anything here imports PyTorch
