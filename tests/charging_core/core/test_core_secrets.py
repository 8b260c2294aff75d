"""Secrets at rest open only with their key and in their place; tokens are shown once and can be revoked."""

from __future__ import annotations

from datetime import timedelta

import pytest

from charging_core.access import Scope, check_token, create_token, revoke_token
from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.secretbox import SecretBox, SecretError

OLD, NEW = "an-old-secret-key-0001", "a-new-secret-key-00002"


def test_a_secret_opens_again_and_does_not_show() -> None:
    sealed = SecretBox([OLD]).seal("1234567890abcdef", "link/1")
    assert "1234567890abcdef" not in sealed
    assert SecretBox([OLD]).open(sealed, "link/1") == "1234567890abcdef"


def test_rotation_keeps_old_rows_readable_and_marks_them() -> None:
    sealed = SecretBox([OLD]).seal("x", "row")
    both = SecretBox([NEW, OLD])
    assert both.open(sealed, "row") == "x"
    assert both.stale(sealed)
    assert not both.stale(both.seal("x", "row"))


@pytest.mark.parametrize("change", ["context", "key", "text"])
def test_a_moved_or_changed_secret_does_not_open(change: str) -> None:
    sealed = SecretBox([OLD]).seal("x", "row")
    flipped = sealed[:-4] + ("AAAA" if sealed[-4:] != "AAAA" else "BBBB")
    box = SecretBox([NEW if change == "key" else OLD])
    with pytest.raises(SecretError):
        box.open(flipped if change == "text" else sealed, "other" if change == "context" else "row")


def test_a_short_key_is_refused() -> None:
    with pytest.raises(SecretError):
        SecretBox(["short"])


def test_a_token_opens_its_tenant_until_it_is_revoked_or_expires(db: Database, manual_clock: ManualClock) -> None:
    now = manual_clock.now()
    with db.session("green") as session:
        token, text = create_token(session, "console", [Scope.CONSOLE_WRITE], now)
        _, short = create_token(session, "visitor", [Scope.APP], now, now + timedelta(hours=1))
    with db.read_system("token check") as session:
        principal = check_token(session, text, now)
        assert principal is not None
        assert principal.tenant_id == "green"
        assert principal.may(Scope.CONSOLE_READ)
        assert not principal.may(Scope.APP)
        assert check_token(session, text[:-1] + ("A" if text[-1] != "A" else "B"), now) is None
        assert check_token(session, short, now + timedelta(hours=1)) is None
        assert check_token(session, "hub__", now) is None
    with db.session("blue") as session:
        assert not revoke_token(session, token.id, now)
    with db.session("green") as session:
        assert revoke_token(session, token.id, now)
    with db.read_system("token check") as session:
        assert check_token(session, text, now) is None
