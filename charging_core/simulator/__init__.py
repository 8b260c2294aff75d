"""Simulated piles that speak the real 云快充 bytes over real TCP, several of them in one process.

A product, not a test double: operators rehearse with it, the demo and the end-to-end tests run on it. It imports no codec
and no session code of the hub, so that both sides of the protocol are built twice from the same specification and one
proves the other. Entry points: `pile.SimulatedPile`, `runner.SimulatorProcess`, `python -m charging_core.simulator`, and for
rehearsals `play.ScenarioPlay` (`hub simulate --scenario`).
"""
