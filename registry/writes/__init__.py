"""Writing to the registry: registration, scores, curation, jobs and their leases."""
