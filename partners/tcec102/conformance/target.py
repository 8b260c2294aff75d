"""Whom to examine: address, identities and keys, read from one YAML or JSON file.

::

    operator_id: MA5PARTN1              # whom the kit plays
    their_operator_id: MA5DEMO01        # the examined side
    keys:                               # issued by the examined side
      operator_secret: {env: THEIR_OPERATOR_SECRET}      # or the text itself
      data_secret: 1234567890abcdef
      data_iv: 1234567890abcdef
      sig_secret: 1234567890abcdef
    own_keys: {…}                       # cpo only, for its pushes to --listen
    connector_id: "3301060001000101"    # cpo only; default: the first one it lists
    start_charge: false                 # cpo only: may a real charge be started and stopped?
    orders:                             # msp only: charges it has started, at least two
      - {start_charge_seq: …, connector_id: …}
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from partners.tcec102.errors import ConfigurationError
from partners.tcec102.keys import KeyEncoding, KeySet


class TargetKeys(BaseModel):
    """One key set as it stands in the file."""

    model_config = ConfigDict(extra="forbid")

    operator_secret: str = Field(repr=False)
    data_secret: str = Field(repr=False)
    data_iv: str = Field(repr=False)
    sig_secret: str = Field(repr=False)
    encoding: KeyEncoding = KeyEncoding.RAW

    @field_validator("operator_secret", "data_secret", "data_iv", "sig_secret", mode="before")
    @classmethod
    def _from_environment(cls, value: object) -> object:
        if isinstance(value, dict) and set(value) == {"env"}:
            name = str(value["env"])
            if name not in os.environ:
                raise ValueError(f"environment variable {name} is not set")
            return os.environ[name]
        return value

    def key_set(self) -> KeySet:
        """The keys ready for use. Raises `ConfigurationError`."""
        return KeySet(self.operator_secret, self.data_secret, self.data_iv, self.sig_secret, self.encoding)


class KnownOrder(BaseModel):
    """A charge that the examined MSP has started, so that it will accept pushes about it."""

    model_config = ConfigDict(extra="forbid")

    start_charge_seq: str = Field(min_length=1, max_length=64)
    connector_id: str = Field(min_length=1, max_length=64)


class Target(BaseModel):
    """The examined side, as the module's example shows it."""

    model_config = ConfigDict(extra="forbid")

    operator_id: str = Field(pattern=r"^[0-9A-Z]{9}$")
    their_operator_id: str | None = Field(default=None, pattern=r"^[0-9A-Z]{9}$")
    keys: TargetKeys
    own_keys: TargetKeys | None = None
    station_id: str | None = None
    connector_id: str | None = None
    start_charge: bool = False
    orders: list[KnownOrder] = Field(default_factory=list)


def read_target(path: Path) -> Target:
    """The target in a file.

    :raises ConfigurationError: the file cannot be read, or a member is missing or wrong; no secret stands in the message.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path}: {type(error).__name__}") from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path}: a mapping is due")
    return make_target(content)


def make_target(content: Mapping[str, Any]) -> Target:
    """The target that a mapping describes.

    :raises ConfigurationError: as `read_target`.
    """
    try:
        target = Target.model_validate(content)
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False)
        places = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in wrong)
        raise ConfigurationError(places) from error
    target.keys.key_set()
    if target.own_keys is not None:
        target.own_keys.key_set()
    return target
