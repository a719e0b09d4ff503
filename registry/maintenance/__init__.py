"""Looking after a registry: verifying, collecting what nobody needs, backups, and bundles that move modules."""
