"""The benchmark: `python -m benchmarks`, or `make bench`, which sets up what it needs."""
