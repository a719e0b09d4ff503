"""Text on its way to the model: corpora, tokenizers, token files, batches."""
