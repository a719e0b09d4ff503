"""The artifacts: parents, modules, sides and recipes, and how they are stored."""
