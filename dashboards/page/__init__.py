"""The page: a Dash application and its server."""
