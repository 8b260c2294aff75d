"""Tables of all frames, one module per subject; `tables.directory.TABLES` is the whole."""
