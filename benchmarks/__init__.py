"""Our classes and their peers, side by side in one run: ``python -m benchmarks``."""
