"""Fake parking systems that ship with the hub: an iSecure platform (`isecure`) and an ANPR camera with a gate (`camera`).

Run `python -m parking.fake.isecure --config FILE` and `python -m parking.fake.camera --config FILE`; in tests use
`FakeIsecure` and `FakeCamera`. Written from the digest of the vendor's documents alone; they share the small server with
`partners/fake` and nothing with the hub's adapters (DECISIONS 31).
"""
