"""What several benchmarks share: inputs, measurements and reports."""
