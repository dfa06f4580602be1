"""Four real apps side by side, and the front with the start page; ``dispatch.py`` chooses one by the path."""
