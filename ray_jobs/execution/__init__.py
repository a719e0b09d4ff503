"""A job from its lease to its scores."""
