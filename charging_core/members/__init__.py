"""Members: whose account a charge is paid from, by which cards and vehicles they are known, and every movement of their money."""
