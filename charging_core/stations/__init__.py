"""Stations (场站), piles (充电桩), connectors (充电枪) and their live status."""
