"""The pile server's ports on the database, and the orders' `PileCommands` port (DECISIONS 1, 21, 22)."""
