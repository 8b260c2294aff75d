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
RECORD_LIMIT_AFTER_LINK_S = 300
"""The same for a charge that ended while its pile was away: the pile sends a record again five minutes after its last try (0x3B)."""
RECORD_AWAITED_S = 600
"""So long after an order was given up its record may still come, and a start on its connector could make the pile forget it (P8)."""
RECORD_WAIT_S = 10
"""A start that comes in that time waits for the record this long: the pile is asked how it is (0x12) and has time to send it."""
READ_EXPIRY_S = 15
"""Being asked how it is helps a pile's order for as long as a stop would."""
STOP_RECORD_LIMIT_S = 90
"""From the wish to stop until the trade record; then the order is abnormal, or failed if it never charged."""
CHARGE_SILENCE_S = 24 * 3600
"""A charge of which nothing is heard for a day is given up for review: its pile is not coming back, and no charge lasts that long."""
STEP_S = 60
"""The pause before the next sample is foreseen as long as the last one, but never longer: a longer one was a gap in the link."""
IDLE_FRAMES = 2
"""Two idle readings in a row end a charge; one may be a glitch (P11)."""
