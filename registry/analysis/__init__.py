"""What is computed from several records: histories, summaries, gains, comparisons."""
