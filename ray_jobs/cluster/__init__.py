"""Everything that touches Ray: connection, training workers, evaluation tasks, submission."""
