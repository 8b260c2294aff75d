"""A fake asked without a socket: its own way from request to answer, as fast as it can think."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3 import HTTPResponse

from partners.fake.httpd import MAX_BODY, Request
from partners.fake.server import FakeServer


class DirectPost:
    """Takes the place of a `requests.Session`."""

    def __init__(self, fake: FakeServer) -> None:
        self._fake = fake

    def post(self, url: str, *, data: bytes, headers: Mapping[str, str], **_: Any) -> requests.Response:
        """One request, one answer; a dropped one is a broken connection."""
        path, oversized = urlsplit(url).path, len(data) > MAX_BODY
        lower = {name.lower(): value for name, value in headers.items()}
        reply = self._fake.answer(Request("POST", path, {}, lower, b"" if oversized else data, path, oversized))
        if reply.drop:
            raise requests.ConnectionError("closed")
        response = requests.Response()
        response.status_code = reply.status
        response.raw = HTTPResponse(BytesIO(reply.body), preload_content=False)
        return response
