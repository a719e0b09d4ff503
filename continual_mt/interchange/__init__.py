"""Interchange with other libraries: importing their models."""
