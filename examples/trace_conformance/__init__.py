"""A service for the W3C's trace-context test harness: ``python -m examples.trace_conformance``."""
