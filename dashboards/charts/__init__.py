"""Charts: interactive figures for the page and the report, PNG pictures for files."""
