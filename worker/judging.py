"""What an answer means, by the policy alone: predicates and codes of the profile over transport and answer (DECISIONS 20)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from worker.api import Exchange, Outcome, Verdict
from worker.errors import ExpressionError
from worker.expressions import Expression, compile_expression
from worker.policy import BatchPolicy, DeliveryPolicy

CODE_MEMBERS = ("Ret", "ret", "code", "Code")
MESSAGE_MEMBERS = ("Msg", "msg", "message", "Message")
ITEM = "Item"
"""What predicates call the part of the answer to a batch that speaks of this delivery."""
_TRANSIENT_HTTP = frozenset({408, 425, 429})

compiled = lru_cache(maxsize=512)(compile_expression)
"""`compile_expression`, remembered: profiles have few distinct texts."""


def judge_by_policy(policy: DeliveryPolicy, body: Mapping[str, Any], exchange: Exchange) -> Verdict:
    """The verdict on one exchange. Order: transport, then `refused`, `ignored`, `success`, then the code classes.

    A timeout after which the other side may have acted is `timeout` (repeated by the ladder), or `unknown` under `at_most_once`.
    """
    if exchange.error:
        return _transport_failure(policy, exchange)
    code = _first_of(exchange.answer, CODE_MEMBERS)
    message = _first_of(exchange.answer, MESSAGE_MEMBERS)
    scope = {**body, **exchange.answer, "http_status": exchange.http_status, "sent": dict(body)}
    try:
        scope |= _own_item(policy.batch, body, exchange.answer)
        outcome = _by_predicates(policy, scope) or _by_code(policy, code, exchange.http_status)
    except ExpressionError as error:
        return Verdict(Outcome.PERMANENT, code, str(error))
    return Verdict(outcome, code, message, dispute=outcome is Outcome.BUSINESS_REFUSED)


def _own_item(batch: BatchPolicy | None, body: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    if batch is None or batch.items is None or batch.key is None:
        return {}
    listed = expression(batch.items).evaluate(answer)
    wanted = _member(body, batch.key)
    items = [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list | tuple) else []
    return {ITEM: next((one for one in items if str(one.get(batch.key)) == str(wanted)), None)}


def _member(body: Mapping[str, Any], key: str) -> Any:
    """A member of a body that may be wrapped, as an object or a list of one."""
    if key in body:
        return body[key]
    inner = (one for value in body.values() for one in (value if isinstance(value, list) else [value]))
    return next((one[key] for one in inner if isinstance(one, Mapping) and key in one), None)


def _transport_failure(policy: DeliveryPolicy, exchange: Exchange) -> Verdict:
    if exchange.error == "timeout":
        unsure = policy.at_most_once and exchange.sent
        return Verdict(Outcome.UNKNOWN if unsure else Outcome.TIMEOUT, exchange.error, exchange.answer_text[:200])
    return Verdict(Outcome.RETRYABLE, exchange.error, exchange.answer_text[:200])


def _by_predicates(policy: DeliveryPolicy, scope: Mapping[str, Any]) -> Outcome | None:
    for predicate, outcome in (
        (policy.refused, Outcome.BUSINESS_REFUSED),
        (policy.ignored, Outcome.IGNORED),
        (policy.success, Outcome.OK),
    ):
        if predicate is not None and expression(predicate).holds(scope):
            return outcome
    return None


def _by_code(policy: DeliveryPolicy, code: str, http_status: int | None) -> Outcome:
    if code in policy.configuration_codes:
        return Outcome.CONFIGURATION
    if code in policy.retry.terminal_codes:
        return Outcome.PERMANENT
    if code in policy.retry.retryable_codes:
        return Outcome.RETRYABLE
    if http_status is not None and 400 <= http_status < 500 and http_status not in _TRANSIENT_HTTP:
        return Outcome.CONFIGURATION if http_status in (401, 403) else Outcome.PERMANENT
    return Outcome.RETRYABLE


def expression(text: str) -> Expression:
    """The compiled form of a policy's text."""
    return compiled(text)


def _first_of(answer: Mapping[str, Any], members: tuple[str, ...]) -> str:
    return next((str(answer[name])[:64] for name in members if answer.get(name) is not None), "")
