"""Maintenance of a registry: verification, garbage collection, backups, and bundles that move modules."""
