"""Adapters to real parking systems, one folder each; `registry` lists them with their settings and capabilities."""
