"""Experiments on public corpora: each program makes one set of tables and appends its results to ``results.jsonl``."""
