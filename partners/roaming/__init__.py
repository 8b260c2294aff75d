"""Roaming: our drivers at other operators' stations (客户归属运营商, MSP side of T/CEC 102; `specs/tcec102.md` 1, 12).

`mirror` keeps the other side's stations and their status, `orders` starts and stops charges there and follows them up, `inbound` takes the
other side's pushes, `received` judges its statements. `state` and `bills` are the rules, pure.
"""
