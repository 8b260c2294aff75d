"""The adapters that exist: name, settings schema, declared capabilities, factory. `hub apply` validates against this."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, SecretStr, ValidationError

from charging_core.clock import Clock
from parking.adapters.hikvision_isapi import adapter as isapi
from parking.adapters.hikvision_isapi.settings import IsapiSettings
from parking.adapters.hikvision_isecure import adapter as isecure
from parking.adapters.hikvision_isecure.settings import IsecureSettings
from parking.errors import SettingsError
from parking.port import Capabilities, ParkingAdapter

Settings = TypeVar("Settings", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class AdapterKind(Generic[Settings]):
    """One kind of parking system that can be connected."""

    name: str
    title: str
    settings_schema: type[Settings]
    capabilities_of: Callable[[Settings], Capabilities]
    build: Callable[[str, Settings, Clock], ParkingAdapter]

    @property
    def secret_members(self) -> frozenset[str]:
        """The settings that are secrets: stored sealed, given only as `{env: …}` or `{file: …}`."""
        return frozenset(
            name for name, member in self.settings_schema.model_fields.items() if member.annotation is SecretStr
        )

    def validate(self, values: Mapping[str, Any]) -> Settings:
        """The settings in `values`. Raises `SettingsError` naming every unknown, missing or wrong member at once."""
        try:
            return self.settings_schema.model_validate(dict(values))
        except ValidationError as error:
            problems = [(".".join(map(str, found["loc"])) or "*", found["msg"]) for found in error.errors()]
            raise SettingsError(self.name, problems) from error

    def create(self, connection_id: str, values: Mapping[str, Any], clock: Clock) -> ParkingAdapter:
        """A working adapter for one connection. Raises `SettingsError`."""
        return self.build(connection_id, self.validate(values), clock)

    def capabilities(self, values: Mapping[str, Any]) -> Capabilities:
        """What a connection with these settings will offer. Raises `SettingsError`."""
        return self.capabilities_of(self.validate(values))


def adapter_kinds() -> dict[str, AdapterKind[Any]]:
    """All kinds by name."""
    kinds: list[AdapterKind[Any]] = [
        AdapterKind(
            isecure.NAME,
            "海康 iSecure Center 综合安防平台",
            IsecureSettings,
            isecure.isecure_capabilities,
            isecure.build_isecure,
        ),
        AdapterKind(isapi.NAME, "海康出入口抓拍机 (ISAPI)", IsapiSettings, isapi.isapi_capabilities, isapi.build_isapi),
    ]
    return {kind.name: kind for kind in kinds}


def adapter_kind(name: str) -> AdapterKind[Any]:
    """The kind called `name`. Raises `SettingsError` listing those that exist."""
    kinds = adapter_kinds()
    if name not in kinds:
        raise SettingsError(name, [("adapter", f"no such adapter; there are {', '.join(sorted(kinds))}")])
    return kinds[name]
