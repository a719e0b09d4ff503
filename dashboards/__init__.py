"""Tables, pictures, report and page, drawn from the registry's records and from what was measured."""
