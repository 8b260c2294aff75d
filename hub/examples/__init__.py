"""Commented files for `hub apply`, shipped with the program; `examples/` in a checkout points here."""
