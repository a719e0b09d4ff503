"""Benchmarks of this project against other tools, as ratios measured in the same run. Not part of the wheel."""
