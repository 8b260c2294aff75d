"""The hub edge: HTTP, command line, and the composition of all rooms into processes."""
