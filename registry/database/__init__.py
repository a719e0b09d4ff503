"""The database: connections, the two dialects, tables, migrations, rows to records."""
