"""Evaluation: metrics, significance tests, forgetting and transfer over a sequence, alignment of embeddings."""
