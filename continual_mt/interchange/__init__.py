"""Interchange with other libraries: importing their models, and exporting ours to them."""
