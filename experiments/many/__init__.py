"""Twelve languages added one after another to one parent: what each addition brings, costs and changes."""
