"""The schema's history, one file a revision. A change of `schema` needs a new one; a test compares the two."""
