"""Vocabularies of local Hugging Face folders as SentencePiece models with the same ids, read without transformers."""
