"""Charts: interactive ones for the page, pictures for files."""
