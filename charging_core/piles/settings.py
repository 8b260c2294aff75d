"""Limits and times of the pile server. Seconds are real seconds: sockets do not follow a scaled clock."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PileServerSettings:
    """Defaults suit one server with some thousands of piles; every number says where it comes from."""

    writer_threads: int = 4
    """Group commit makes more threads useless on SQLite and little use on PostgreSQL (specs/stack.md)."""
    queue_limit: int = 5_000
    """Jobs waiting per writer; at 0.3 frames/s of a charging DC connector this is a minute of 1 000 of them."""
    batch_limit: int = 200
    """Jobs in one commit: large enough to amortise it, small enough that an acknowledgement does not wait long."""
    downlink_gap_s: float = 0.25
    """Between two unsolicited frames to one pile; the field needs 200–300 ms (1.3)."""
    suspect_s: float = 30.0
    """Silence after which a link is suspect: three heartbeats (DECISIONS 16)."""
    dead_s: float = 90.0
    """Silence after which a link is closed (DECISIONS 16)."""
    login_deadline_s: float = 60.0
    """A socket that has not logged in by then is closed, whatever it sends."""
    sweep_s: float = 1.0
    """One sweep over all connections instead of a timer for each."""
    poll_s: float = 1.0
    """Safety net for commands whose wake-up call was lost."""
    answer_timeout_s: float = 90.0
    """A pile has 60 s to be plugged in after a start; later its command counts as unanswered."""
    time_sync_s: float = 86_400.0
    """Clocks are set after login and then daily (0x56)."""
    route_refresh_s: float = 20.0
    """How often the routes of connected piles are announced again; their TTL must be longer."""
    max_connections: int = 15_000
    """Below the usual limit of 20 000 open files."""
    keep_frames: bool = False
    """Hand the frames of charges to the event sink, to be kept for people (`FrameSeen`)."""
    strict_crc: bool = False
    """Accept the standard CRC order only, from everybody."""
    concentrators: bool = False
    """Accept several pile codes on one connection."""
    reject_undecodable_records: bool = False
    """Answer a trade record without even a whole trade number by 0x40 with result 1; else it stays unanswered (P2)."""
    crc_failure_limit: int = 5
    """Consecutive CRC failures that close a connection (1.3)."""
    garbage_limit: int = 1024
    """Bytes of garbage before a login that close a connection (1.3)."""
    partial_frame_s: float = 10.0
    """A begun frame is given up after this long (1.3)."""
