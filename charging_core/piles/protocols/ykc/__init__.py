"""云快充 1.5 / 1.6 (with the 2023 supplement and 1.7's trade record): codec, framing, session rules."""
