"""A fake province regulator that ships with the hub: checks every field, keeps books, scores timeliness, misbehaves on demand.

`python -m municipal.fake --port 0 --config FILE` runs it; in tests use `municipal.fake.regulator.FakeRegulator`. Written from the
digest of the province dialect alone; it shares server and envelope with `partners/fake` and nothing with the hub (DECISIONS 31).
"""
