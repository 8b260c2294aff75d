"""Trust in self-signed parking equipment: its CA, or a pin of its certificate. Verification is never simply off."""

from __future__ import annotations

import ssl
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import ConnectionPool


class TlsSettings(BaseModel):
    """How to know the other side on https. Empty: by the public CAs of the machine.

    `ca_pem` is the certificate (PEM text) that signed the server's, or the self-signed one itself; the host name must match.
    `pin_sha256` is the SHA-256 fingerprint of the server's certificate (hex, colons allowed); nothing else is then checked.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ca_pem: Annotated[str, Field(pattern="-----BEGIN CERTIFICATE-----")] | None = None
    pin_sha256: Annotated[str, Field(pattern=r"^([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$")] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.ca_pem and self.pin_sha256:
            raise ValueError("give ca_pem or pin_sha256, not both")
        if self.ca_pem:
            try:
                ssl.create_default_context(cadata=self.ca_pem)
            except ssl.SSLError as error:
                raise ValueError("ca_pem holds no readable certificate") from error
        return self


class TrustingAdapter(HTTPAdapter):
    """A transport of `requests` that trusts what `TlsSettings` names and nothing more."""

    def __init__(self, tls: TlsSettings, pool_size: int) -> None:
        self._tls = tls
        super().__init__(pool_connections=1, pool_maxsize=pool_size)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Hand CA or pin to the pools; called by the base class."""
        if self._tls.ca_pem:
            kwargs["ssl_context"] = ssl.create_default_context(cadata=self._tls.ca_pem)
        if self._tls.pin_sha256:
            kwargs["assert_fingerprint"] = self._tls.pin_sha256
        super().init_poolmanager(*args, **kwargs)

    def cert_verify(self, conn: ConnectionPool, url: str, verify: Any, cert: Any) -> None:
        """Leave the pool's own trust alone where we set one; else the base class's public CAs."""
        if not url.lower().startswith("https") or not (self._tls.ca_pem or self._tls.pin_sha256):
            super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]
