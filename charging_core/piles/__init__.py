"""Piles: the protocols they speak, the server they connect to, and the neutral events and ports the rest of the core sees.

Nothing above this package knows a protocol byte; nothing in it knows a bill or a table of the database.
"""
