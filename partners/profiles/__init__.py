"""The one profile engine: a partner or a region is a data file that says how our facts are written for it.

`schema` is the shape of a file, `loader` reads it and resolves `extends` and patches, `profile` is the loaded thing, `engine` renders a
message body from canonical snapshots. Rooms above extend the schema; nobody branches on a partner.
"""
