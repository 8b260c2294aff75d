"""Charge orders (充电订单): the state machine, the bill, and what may be done with an order. Never imports piles."""
