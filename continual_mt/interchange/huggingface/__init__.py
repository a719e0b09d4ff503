"""Importing models of Hugging Face's transformers: one module per model family."""
