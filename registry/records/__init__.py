"""Plain frozen data that the registry hands out, names, and how credentials are hidden."""
