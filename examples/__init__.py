"""Runnable examples; begin with ``python -m examples.showcase``."""
