"""The verbs below `continual-mt registry`, one file a group."""
