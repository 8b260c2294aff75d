"""Settings of one iSecure connection (one park)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from parking.adapters.tls import TlsSettings


class IsecureSettings(BaseModel):
    """Where the platform is, who we are there and which park it is about.

    `percent_means` says what a percentage coupon does on this site, which the vendor leaves open: 20 is "20 % off" or "pay
    20 %". Until it is set, percentage benefits are not offered. `all_free_content` is the content sent with an all-free coupon.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: Annotated[str, Field(pattern=r"^https?://[^/?#\s]+$")]
    app_key: Annotated[str, Field(min_length=1, max_length=64)]
    app_secret: Annotated[SecretStr, Field(min_length=1)]
    park_syscode: Annotated[str, Field(min_length=1, max_length=64)]
    path_prefix: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._-]+)*$")] = "/artemis"
    percent_means: Literal["off", "pay"] | None = None
    all_free_content: int = 0
    content_md5: bool = False
    tls: TlsSettings = TlsSettings()
    connect_timeout_s: Annotated[float, Field(gt=0, le=30)] = 5.0
    read_timeout_s: Annotated[float, Field(gt=0, le=60)] = 15.0
