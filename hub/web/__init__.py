"""The HTTP edge: contract-served console and app, call-backs, T/CEC 102 door, documentation, probes."""
