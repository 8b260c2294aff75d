"""Comparing accounts with partners (T/CEC 102.3 check_charge_orders; `specs/tcec102.md` 13): statements, and contested orders as cases.

`statements` makes and sends ours, `judging` reads the partner's differences, `disputes` is the workflow of a contested order, `received`
judges a statement that was sent to us.
"""
