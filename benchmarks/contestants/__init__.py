"""One file a contestant; each runs in a process of its own and prints what was measured as one line of JSON."""
