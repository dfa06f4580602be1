"""Composition: classes around an app, the order in which they stand, and the command that shows both."""
