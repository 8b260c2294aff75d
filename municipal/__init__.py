"""Regulators (监管平台): a supervision engine and region profiles, which are data.

What a city or province wants to know, in which words and when, stands in one YAML file of `profiles/`; `driver` tells it what has
happened, `sweeps` what it wants to hear by the clock. Delivery itself is the worker's, the envelope `partners.tcec102`.
"""
