"""What can be run, by name and by rule: the recipes of pairs, pivots, and why one recipe was chosen."""
