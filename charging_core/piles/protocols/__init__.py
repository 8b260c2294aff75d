"""One package per pile protocol: a pure codec, and a session that turns frames into the neutral events of `piles.events`."""
