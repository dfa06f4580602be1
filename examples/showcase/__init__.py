"""The showcase: every class at work in one process, around four apps of four kinds.

Read in this order: ``stack.py`` (the classes with their options), ``apps/`` (what stands behind them), ``console/``
(the page that shows them at work), and ``steps.py`` (what to try with curl). Start it with
``python -m examples.showcase``.
"""
