"""Tariffs (计费模型): versions, periods of the day, and what a pile of a given protocol can hold of them."""
