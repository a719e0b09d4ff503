"""The registry's records as the plain data that tables and charts show."""
