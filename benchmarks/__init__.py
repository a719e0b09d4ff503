"""Benchmarks: ours against what anyone else would pick, in one run, as ratios. None of this is installed."""
