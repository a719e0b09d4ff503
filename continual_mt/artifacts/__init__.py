"""What is stored: parents, modules, sides and recipes, and their form on disk."""
