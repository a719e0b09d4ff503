"""Scores and what is computed from them: metrics, significance, forgetting, transfer, alignment."""
