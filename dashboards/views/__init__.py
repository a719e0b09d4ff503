"""The registry's records as plain data for tables and charts."""
