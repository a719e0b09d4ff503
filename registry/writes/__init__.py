"""Writing to the registry: registration, scores, curation, leases."""
