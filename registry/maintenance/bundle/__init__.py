"""Bundles: modules with their lineage, scores and texts in one file, out and in."""
