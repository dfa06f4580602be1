"""A file server without a framework: one ASGI function, and the classes around it."""
