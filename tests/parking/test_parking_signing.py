"""The artemis signature against the vectors of `specs/parking.md` 4.2."""

from __future__ import annotations

import pytest

from parking.adapters.hikvision_isecure.signing import (
    content_md5,
    sign,
    signable,
    signature_headers,
    signed_target,
    string_to_sign,
)

KEY, SECRET = "27310001", "Hb7Tq2Zk9Wm4Xc1V"
NONCE, STAMP = "6f6a1c1e-0c7b-4b57-9a2d-6c5f0a4f9b11", "1730000000000"
JSON_TYPE = "application/json;charset=UTF-8"
CA = {"X-Ca-Key": KEY, "X-Ca-Nonce": NONCE, "X-Ca-Timestamp": STAMP}
BODY_B = b'{"roadwaySyscode":"3f2283401d0a4214ae7032c9117ba30c","command":1}'
GATE = "/artemis/api/pms/v1/deviceControl"

VECTORS = {
    "A": (
        "POST",
        {"Accept": "*/*", "Content-Type": JSON_TYPE, **CA},
        GATE,
        f"POST\n*/*\n{JSON_TYPE}\nx-ca-key:{KEY}\nx-ca-nonce:{NONCE}\nx-ca-timestamp:{STAMP}\n{GATE}",
        "+goZqqAVuU8+WLl9vZFxVWyYVGdgA9QleYVfJymbnV8=",
    ),
    "B": (
        "POST",
        {"Accept": "application/json", "Content-MD5": content_md5(BODY_B), "Content-Type": JSON_TYPE, **CA},
        GATE,
        f"POST\napplication/json\nviCLiJ/nhb154OAYIK/L4Q==\n{JSON_TYPE}\n"
        f"x-ca-key:{KEY}\nx-ca-nonce:{NONCE}\nx-ca-timestamp:{STAMP}\n{GATE}",
        "E71Y/NcpMd2atsV750xhiorz7AnyXTQCo3sy/fuclP0=",
    ),
    "C": (
        "POST",
        {"Accept": "*/*", "Content-Type": "application/json", "X-Ca-Key": KEY},
        "/artemis/api/pms/v1/image",
        f"POST\n*/*\napplication/json\nx-ca-key:{KEY}\n/artemis/api/pms/v1/image",
        "MlA1mWNvsaps2ETjl7rXE0XNMzaFU9ddKFpa3CEES4Y=",
    ),
    "D": (
        "GET",
        {"Accept": "*/*", "X-Ca-Key": KEY, "X-Ca-Timestamp": STAMP},
        signed_target("/artemis/api/example", [("b", "2"), ("empty", ""), ("a", "1"), ("a", "9")]),
        f"GET\n*/*\nx-ca-key:{KEY}\nx-ca-timestamp:{STAMP}\n/artemis/api/example?a=1&b=2&empty",
        "558IWHNSpbRHCeOW+X/uFmDdqGKks3RhvDibPK24HS8=",
    ),
}


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_vector(name: str) -> None:
    method, headers, target, text, signature = VECTORS[name]
    made = signature_headers(method, headers, target, SECRET)
    assert string_to_sign(method, headers, target, headers) == text
    assert sign(text, SECRET) == signature
    assert made["X-Ca-Signature"] == signature
    assert made["X-Ca-Signature-Headers"] == ",".join(sorted(name.lower() for name in headers if "Ca-" in name))


def test_lines_of_absent_headers_would_be_another_signature() -> None:
    _method, _headers, _target, text, signature = VECTORS["A"]
    lines = text.split("\n")
    with_empty_lines = "\n".join([*lines[:2], "", lines[2], "", *lines[3:]])
    assert sign(with_empty_lines, SECRET) == "/jjmj2vEE4C7eDKLnYrVP4LCKbTrOW3tu1nFH+MM0LI="
    assert sign(with_empty_lines, SECRET) != signature


def test_an_empty_header_that_is_sent_is_an_empty_line() -> None:
    text = string_to_sign("post", {"Accept": "", "X-Ca-Key": " k "}, "/x", ["X-Ca-Key"])
    assert text == "POST\n\nx-ca-key:k\n/x"


def test_transport_headers_are_never_signed() -> None:
    assert signable(["Host", "X-Ca-Signature", "X-Ca-Nonce", "Content-Length", "x-ca-key", "Date"]) == [
        "x-ca-key",
        "x-ca-nonce",
    ]


def test_md5_of_vector_b() -> None:
    assert content_md5(BODY_B) == "viCLiJ/nhb154OAYIK/L4Q=="
