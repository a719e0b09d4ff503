"""Parallel text, whatever it lies in, behind one reader interface."""
