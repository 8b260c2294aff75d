"""A fake partner platform that ships with the hub: a real HTTP server with its own books, strict and able to misbehave.

`python -m partners.fake --port 0 --config FILE` runs it; in tests use `partners.fake.partner.FakePartner`. It is written from
the standard alone and imports nothing of the hub's own protocol code (DECISIONS 31). The modules `server`, `faults`, `journal`,
`command` carry every fake of the house; `wire`, `door`, `caller`, `fields` carry those that speak the T/CEC 102 envelope.
"""
