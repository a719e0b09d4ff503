"""Tables for the console, the page and the report."""
