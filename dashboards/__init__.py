"""Tables, and later figures, reports and pages, drawn from the registry's records."""
