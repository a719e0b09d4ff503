"""The method: parents, scopes, modules, recipes, training, decoding and scoring, in plain PyTorch."""
