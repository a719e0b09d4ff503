"""Parallel corpora in several formats, with one interface to read them."""
