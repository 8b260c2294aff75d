"""Metrics of the pile room. Labels are bounded: frame types, constant words; never pile codes."""

from functools import cache

from prometheus_client import Counter, Gauge, Histogram

FRAMES = Counter("hub_piles_frames", "Frames by type and direction", ["type", "direction"])
FRAMES_NOT_HANDLED = Counter(
    "hub_piles_frames_not_handled",
    "Received frames that changed nothing, by reason",
    ["reason"],
)
CRC_ERRORS = Counter("hub_piles_crc_errors", "Frames whose CRC fits in no permitted order")
GARBAGE_BYTES = Counter("hub_piles_garbage_bytes", "Bytes skipped to find a frame")
STALE_FRAMES = Counter("hub_piles_stale_frames", "Frames begun and not finished in time")
LOGINS = Counter("hub_piles_logins", "Accepted logins")
REFUSED_LOGINS = Counter("hub_piles_refused_logins", "Refused logins by reason", ["reason"])
CONNECTIONS = Gauge("hub_piles_connections", "Open sockets")
PILES_ONLINE = Gauge("hub_piles_online", "Logged-in piles")
SUSPECT_LINKS = Gauge("hub_piles_suspect_links", "Connections that are silent for longer than three heartbeats")
CLOSED = Counter("hub_piles_closed_connections", "Connections closed, by reason", ["reason"])
QUEUE_DEPTH = Gauge("hub_piles_queue_depth", "Jobs waiting for the writer threads")
QUEUE_AGE = Gauge("hub_piles_queue_oldest_seconds", "Age of the oldest job waiting for a writer thread")
JOBS_DROPPED = Counter("hub_piles_jobs_dropped", "Jobs not taken because a writer's queue was full, by kind", ["kind"])
PORT_ERRORS = Counter("hub_piles_port_errors", "Errors raised by the ports, by call", ["call"])
RECORD_COMMIT_SECONDS = Histogram(
    "hub_piles_record_commit_seconds",
    "From receiving a trade record to its commit",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
RECORDS_NOT_ACKNOWLEDGED = Counter(
    "hub_piles_records_not_acknowledged", "Trade records left without 0x40, by reason", ["reason"]
)
COMMANDS = Counter("hub_piles_commands", "Commands by kind and state reached", ["kind", "state"])
LOOP_ERRORS = Counter(
    "hub_piles_loop_errors", "Unexpected errors caught at the edge of a loop or a connection", ["where"]
)


@cache
def frames(frame_type: int, direction: str) -> Counter:
    """The counter of a frame type, "in" or "out"; kept, because looking it up costs as much as decoding a heartbeat."""
    return FRAMES.labels(f"{frame_type:02X}", direction)
