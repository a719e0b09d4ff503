"""Tables, charts, the HTML report and the web page, built from the registry's records."""
