"""The table of order states: every state can end, none goes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging_core.orders.state import OPEN_STATES, TABLE, OrderEvent, OrderState, advance, partner_stat

STAGE = {
    OrderState.CREATED: 0,
    OrderState.STARTING: 1,
    OrderState.WAIT_PLUG: 2,
    OrderState.ACCEPTED: 3,
    OrderState.CHARGING: 4,
    OrderState.STOPPING: 5,
    OrderState.ENDED_NO_RECORD: 6,
    OrderState.FAILED: 7,
    OrderState.ABNORMAL: 7,
    OrderState.SETTLED: 8,
}


@given(st.lists(st.sampled_from(list(OrderEvent)), max_size=40))
def test_no_sequence_of_events_moves_an_order_back(happened: list[OrderEvent]) -> None:
    state = OrderState.CREATED
    for event in happened:
        after = advance(state, event) or state
        assert STAGE[after] >= STAGE[state]
        assert partner_stat(after) >= partner_stat(state)
        state = after


@pytest.mark.parametrize("state", list(OrderState))
def test_a_record_with_energy_settles_every_order_once(state: OrderState) -> None:
    expected = None if state is OrderState.SETTLED else OrderState.SETTLED
    assert advance(state, OrderEvent.RECORD) is expected


@pytest.mark.parametrize("state", sorted(OPEN_STATES))
def test_every_open_state_has_a_way_out_without_the_pile(state: OrderState) -> None:
    timers = {
        OrderEvent.START_TIMED_OUT,
        OrderEvent.RECORD_TIMED_OUT,
        OrderEvent.NEVER_STARTED,
        OrderEvent.STOP_ASKED,
    }
    assert timers & set(TABLE[state])
