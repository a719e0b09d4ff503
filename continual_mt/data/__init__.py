"""The path from text to the model: corpora, tokenizers, tokenized corpora and batches."""
