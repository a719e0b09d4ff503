"""The web page: a Dash application and its server."""
