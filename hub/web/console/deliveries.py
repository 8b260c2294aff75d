"""Console: deliveries, their attempts, sending again."""

from __future__ import annotations

from flask import Response

from hub.reading import deliveries
from hub.reading.paging import Window
from hub.web.context import answer, hub, operation, reading, writing
from worker import repair


@operation
def list_deliveries(
    limit: int,
    after: str | None = None,
    state: str | None = None,
    destination: str | None = None,
    object: str | None = None,  # noqa: A002 - the contract's name of the parameter
) -> Response:
    """`GET /deliveries`."""
    with reading() as session:
        page = deliveries.list_deliveries(
            session, Window(limit, after), state=state, destination_id=destination, object_key=object
        )
        return answer(page)


@operation
def get_delivery(delivery: str) -> Response:
    """`GET /deliveries/{delivery}`."""
    with reading() as session:
        return answer(deliveries.delivery_view(session, delivery))


@operation
def replay_delivery(delivery: str) -> Response:
    """`POST /deliveries/{delivery}/replay`."""
    with writing() as session:
        repair.replay(session, delivery, hub().clock)
        session.on_commit(hub().wake_worker)
        return answer(deliveries.delivery_view(session, delivery), 202)
