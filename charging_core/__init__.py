"""The business of charging: stations, tariffs, orders, billing, piles. Knows no HTTP server, partner, regulator, gate or queue."""
