"""HTTP Digest towards cameras: the vector, nonce reuse, staleness, and never a loop with a wrong password (`specs/parking.md` 3.1)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

import pytest

from parking.adapters.hikvision_isapi.client import IsapiClient
from parking.adapters.hikvision_isapi.digest import Challenge, digest_response, read_challenge
from parking.adapters.hikvision_isapi.settings import IsapiSettings
from parking.errors import AuthFailed, ConnectFailed
from tests.parking.scripted_http import Reply, ScriptedServer, Seen

URI = "/ISAPI/Parking/channels/1/barrierGate"


def test_vector_of_the_specification() -> None:
    challenge = Challenge("DS-TCG405-E", "4e545a454d7a4d354d6a41364d7a63774d6a4d32", "MD5", True, None, False)
    made = digest_response(challenge, "admin", "Gate#2024", "PUT", URI, "00000001", "0a4f113b")
    assert made == "7a798f6fe50536af87762dd54c98f880"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Digest realm="r", nonce="n", qop="auth"', Challenge("r", "n", "MD5", True, None, False)),
        ('digest realm="r",nonce="n",qop="auth-int, auth",stale=TRUE', Challenge("r", "n", "MD5", True, None, True)),
        ('Digest realm="a, b", nonce="n", opaque="o"', Challenge("a, b", "n", "MD5", False, "o", False)),
        ('Basic realm="r", Digest realm="r", nonce="n", qop="auth"', Challenge("r", "n", "MD5", True, None, False)),
        ('Digest realm="r", nonce="n", qop="auth", Basic realm="x"', Challenge("r", "n", "MD5", True, None, False)),
        (
            'Digest realm="r", nonce="1", qop="auth", algorithm=MD5, Digest realm="r", nonce="2", qop="auth", '
            "algorithm=SHA-256",
            Challenge("r", "2", "SHA-256", True, None, False),
        ),
        ('Digest realm="r", nonce="n", algorithm=SHA-512-256', None),
        ('Digest realm="r", nonce="n", qop="auth-int"', None),
        ('Basic realm="r"', None),
        ("", None),
        (None, None),
    ],
)
def test_challenges(header: str | None, expected: Challenge | None) -> None:
    assert read_challenge(header) == expected


class Device:
    """Checks Digest as a camera does, with nonces that can be declared old."""

    def __init__(self, password: str = "Gate#2024", *, algorithm: str = "MD5", says_stale: bool = True) -> None:
        self.password = password
        self.algorithm = algorithm
        self.says_stale = says_stale
        self.nonce = "n1"
        self.always_stale = False
        self.counts: list[str] = []

    def __call__(self, seen: Seen) -> Reply:
        sent = dict(re.findall(r'(\w+)="?([^",]+)"?', seen.headers.get("authorization", "")))
        if not sent:
            return self._challenge(stale=False)
        known = sent["nonce"] == self.nonce
        if self.always_stale or not known:
            return self._challenge(stale=self.says_stale)
        if sent["response"] != self._expected(seen, sent):
            return self._challenge(stale=False)
        self.counts.append(sent["nc"])
        return Reply(200, b"fine")

    def _expected(self, seen: Seen, sent: dict[str, str]) -> str:
        def hashed(text: str) -> str:
            return hashlib.new(self.algorithm.replace("-", ""), text.encode()).hexdigest()

        secret, request = hashed(f"admin:cam:{self.password}"), hashed(f"{seen.method}:{seen.target}")
        return hashed(f"{secret}:{self.nonce}:{sent['nc']}:{sent['cnonce']}:auth:{request}")

    def _challenge(self, *, stale: bool) -> Reply:
        text = f'Digest realm="cam", nonce="{self.nonce}", qop="auth", algorithm={self.algorithm}'
        return Reply(401, b"", [("WWW-Authenticate", text + (', stale="true"' if stale else ""))])


def client_for(server: ScriptedServer, password: str = "Gate#2024") -> IsapiClient:
    return IsapiClient(
        IsapiSettings.model_validate(
            {
                "base_url": server.url,
                "username": "admin",
                "password": password,
                "lane_ref": "exit-1",
                "direction": "exit",
            }
        )
    )


def with_client(device: Callable[[Seen], Reply], use: Callable[[IsapiClient], None], **more: str) -> list[Seen]:
    with ScriptedServer(device) as server:
        client = client_for(server, **more)
        use(client)
        client.close()
        return server.seen


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_the_nonce_is_reused_and_counted(algorithm: str) -> None:
    device = Device(algorithm=algorithm)

    def use(client: IsapiClient) -> None:
        for _ in range(3):
            assert client.call("PUT", URI, "<a/>").status == 200

    seen = with_client(device, use)
    assert device.counts == ["00000001", "00000002", "00000003"]
    assert len(seen) == 4
    assert [one.body for one in seen] == [b"<a/>"] * 4


@pytest.mark.parametrize("says_stale", [True, False])
def test_an_old_nonce_is_replaced_once(says_stale: bool) -> None:
    device = Device(says_stale=says_stale)

    def use(client: IsapiClient) -> None:
        assert client.call("GET", "/a").status == 200
        device.nonce = "n2"
        assert client.call("GET", "/a").status == 200

    assert len(with_client(device, use)) == 4


def test_a_device_that_calls_every_nonce_stale_does_not_make_us_loop() -> None:
    device = Device()
    device.always_stale = True

    def use(client: IsapiClient) -> None:
        with pytest.raises(ConnectFailed):
            client.call("GET", "/a")
        device.always_stale = False
        assert client.call("GET", "/a").status == 200

    assert len(with_client(device, use)) == 4


def test_a_wrong_password_is_sent_once_and_then_never_again() -> None:
    def use(client: IsapiClient) -> None:
        for _ in range(3):
            with pytest.raises(AuthFailed):
                client.call("GET", "/a")

    seen = with_client(Device(), use, password="wrong")
    assert ["authorization" in one.headers for one in seen] == [False, True]


def test_a_password_changed_on_the_device_is_tried_twice_at_most() -> None:
    device = Device()

    def use(client: IsapiClient) -> None:
        assert client.call("GET", "/a").status == 200
        device.password = "changed"
        for _ in range(3):
            with pytest.raises(AuthFailed):
                client.call("GET", "/a")

    assert len(with_client(device, use)) == 4


def test_basic_is_never_answered() -> None:
    def use(client: IsapiClient) -> None:
        with pytest.raises(AuthFailed):
            client.call("GET", "/a")

    seen = with_client(lambda _seen: Reply(401, b"", [("WWW-Authenticate", 'Basic realm="cam"')]), use)
    assert all("authorization" not in one.headers for one in seen)


def test_quotes_in_a_user_name_do_not_break_the_header() -> None:
    with ScriptedServer(Device()) as server:
        settings = client_for(server)._settings.model_copy(update={"username": 'ad"min'})
        client = IsapiClient(settings)
        with pytest.raises(AuthFailed):
            client.call("GET", "/a")
        client.close()
        assert r'username="ad\"min"' in server.seen[1].headers["authorization"]
