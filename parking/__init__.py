"""Barrier gates and parking fees: one adapter port, discount rules, passages and stays.

The room turns a settled charge order into at most one parking grant, and a plate seen at an exit into an open barrier. What the
outside speaks lives in `adapters/`; what may be granted is decided in `rules.py`, which knows neither a database nor a clock.
"""
