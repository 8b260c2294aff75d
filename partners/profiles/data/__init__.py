"""The profile files that ship with the hub; data only."""
