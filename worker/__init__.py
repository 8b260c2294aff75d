"""Background machinery: outbox relay, delivery ledger, retry ladders, schedules. Knows no partner; rooms above register drivers."""
