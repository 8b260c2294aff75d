"""Times an order may take, in seconds of business time (`specs/ykc.md` section 7, DECISIONS 16)."""

from __future__ import annotations

START_LIMIT_S = 90
"""From the start request until charging is seen; a link may ask for less (its start deadline - 5 s)."""
PLUG_LIMIT_S = 60
"""After "not plugged in" the pile may still start for this long."""
PLUG_MARGIN_S = 10
STOP_EXPIRY_S = 15
"""A stop that could not be written within this time is dropped and asked again by the sweep."""
STOP_RETRY_S = 15
STOP_TRIES = 3
RECORD_LIMIT_S = 30
"""From an end that nobody asked for until the trade record; later the order is abnormal but still open to a late record."""
STOP_RECORD_LIMIT_S = 90
"""From the wish to stop until the trade record; then the order is abnormal, or failed if it never charged."""
CHARGE_SILENCE_S = 24 * 3600
"""A charge of which nothing is heard for a day is given up for review: its pile is not coming back, and no charge lasts that long."""
STEP_S = 60
"""A step between two samples counts for this long at most when the next one is foreseen; a longer one was a gap in the link."""
IDLE_FRAMES = 2
"""Two idle readings in a row end a charge; one may be a glitch (P11)."""
