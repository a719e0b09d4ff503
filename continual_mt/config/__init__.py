"""Specs: their keys, defaults and validation, and how they are read from YAML and options."""
