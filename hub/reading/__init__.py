"""Reads for console, app and CLI: one function per question, plain values out. They change nothing."""
