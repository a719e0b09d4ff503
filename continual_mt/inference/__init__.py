"""Translation: assembling a recipe's model, its back ends (PyTorch, CTranslate2), beam search, mixed-pair batches."""
