"""Reading the registry: artifacts, recipes, searches, dependents."""
