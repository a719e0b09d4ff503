"""Folders that Hugging Face's transformers load: the class of the model, its weights, and its tokenizer."""
