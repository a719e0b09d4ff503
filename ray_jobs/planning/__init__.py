"""From a spec to a resolved job and its training task."""
