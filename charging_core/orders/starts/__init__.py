"""Charges that begin at the pile: by card, by VIN, at several connectors at once, and without a link; and what their payers have."""
