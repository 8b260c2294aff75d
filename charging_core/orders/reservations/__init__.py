"""Reservations (预约锁定): a connector kept for one payer until a time."""
