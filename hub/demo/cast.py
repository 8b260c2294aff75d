"""Who plays in the demo: addresses, keys, and the processes of the partner, the regulator, the car park, the camera and the piles."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import requests

from hub.demo.children import Child
from hub.demo.folder import DemoFolder

HOST = "127.0.0.1"
TENANT = "demo"
OPERATOR = "MA5DEMO01"
PARTNER = "MA5PARTN1"
REGULATOR = "MA5REGUL1"
PLATE = "浙AD12345"
FIXED_PORTS = {"partner": 18080, "regulator": 18081, "isecure": 18082, "camera": 18083}
"""DECISIONS 9; `--once` takes free ones instead."""
_KEY_NAMES = ("operator_secret", "data_secret", "data_iv", "sig_secret")
_TIMEOUT_S = 30


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _fresh_keys() -> dict[str, str]:
    """Sixteen characters each, as AES-128 needs them."""
    return {name: secrets.token_hex(8) for name in _KEY_NAMES}


@dataclass
class Secrets:
    """Every secret of the demo, made anew for each run; the operator file names them by environment variable."""

    partner_in: dict[str, str] = field(default_factory=_fresh_keys)
    partner_out: dict[str, str] = field(default_factory=_fresh_keys)
    regulator_in: dict[str, str] = field(default_factory=_fresh_keys)
    regulator_out: dict[str, str] = field(default_factory=_fresh_keys)
    isecure: str = field(default_factory=lambda: secrets.token_hex(10))
    camera: str = field(default_factory=lambda: secrets.token_hex(8))
    hub: str = field(default_factory=lambda: secrets.token_hex(24))

    def environment(self) -> dict[str, str]:
        """As `examples/operator.yaml` looks them up."""
        named = {
            "PARTNER_IN": self.partner_in,
            "PARTNER_OUT": self.partner_out,
            "REGULATOR_IN": self.regulator_in,
            "REGULATOR_OUT": self.regulator_out,
        }
        keys = {f"HUB_DEMO_{who}_{name.upper()}": value for who, one in named.items() for name, value in one.items()}
        return keys | {"HUB_DEMO_ISECURE_APP_SECRET": self.isecure, "HUB_DEMO_CAMERA_PASSWORD": self.camera}


class Cast:
    """All parties but the hub. Start them with `start_*`, end them with `stop`."""

    def __init__(self, folder: DemoFolder, ports: Mapping[str, int]) -> None:
        self.folder = folder
        self.ports = dict(ports)
        self.secrets = Secrets()
        self.children: dict[str, Child] = {}
        self._http = requests.Session()
        self._http.trust_env = False

    def url(self, name: str) -> str:
        """Where a party serves."""
        return f"http://{HOST}:{self.ports[name]}"

    def environment(self) -> dict[str, str]:
        """Addresses and secrets, for the operator file."""
        return self.secrets.environment() | {
            "HUB_DEMO_PARTNER_URL": f"{self.url('partner')}/evcs/v1/",
            "HUB_DEMO_REGULATOR_URL": f"{self.url('regulator')}/evcs/v1/",
            "HUB_DEMO_ISECURE_URL": self.url("isecure"),
            "HUB_DEMO_CAMERA_URL": self.url("camera"),
        }

    def start_platforms(self, hub_url: str, faults: Mapping[str, str]) -> None:
        """The partner platform, the regulator and the car park's platform; returns before they are ready."""
        own = {"hub_operator_id": OPERATOR, "hub_base_url": f"{hub_url}/{TENANT}/evcs/v1/"}
        partner = own | {"operator_id": PARTNER, "keys": self.secrets.partner_out, "hub_keys": self.secrets.partner_in}
        regulator = own | {"operator_id": REGULATOR, "keys": self.secrets.regulator_out}
        park = {
            "code": "demo-park-1",
            "name": "文三路地面车场",
            "entrances": [{"code": "e1", "roadways": [{"code": "1"}, {"code": "2", "direction": "exit"}]}],
        }
        isecure = {"app_key": "21000001", "app_secret": self.secrets.isecure, "parks": [park]}
        self._start_fake("partner", "partners.fake", partner, faults)
        self._start_fake("regulator", "municipal.fake", regulator, faults)
        self._start_fake("isecure", "parking.fake.isecure", isecure, faults)

    def start_camera(self, event_urls: Mapping[str, str], faults: Mapping[str, str]) -> None:
        """The plate cameras of both lanes; `event_urls` by direction."""
        lanes = [
            {"lane": 1, "direction": "entry", "event_url": event_urls["entry"]},
            {"lane": 2, "direction": "exit", "event_url": event_urls["exit"]},
        ]
        self._start_fake("camera", "parking.fake.camera", {"password": self.secrets.camera, "lanes": lanes}, faults)

    def start_piles(self, piles: Sequence[Mapping[str, Any]], pile_port: int) -> None:
        """Simulated piles that log in over TCP."""
        config = self.folder.config("piles", {"piles": list(piles)})
        arguments = ["--host", HOST, "--port", str(pile_port), "--config", str(config), "--control-port", "0"]
        self._start("piles", "charging_core.simulator", [*arguments, "--log", str(self.folder.log("piles"))])

    def wait_ready(self, *names: str) -> None:
        """Until these parties serve. Raises `ChildFailed`."""
        for name in names:
            ready = self.children[name].wait_ready()
            self.ports[name] = int(ready.get("port") or ready["control_port"])

    def post(self, name: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Ask a party to do something through its control interface. Raises `requests.RequestException`."""
        answer = self._http.post(f"{self.url(name)}{path}", json=body, timeout=_TIMEOUT_S)
        answer.raise_for_status()
        result: dict[str, Any] = answer.json()
        return result

    def stop(self) -> None:
        """End every party, piles first: they would only reconnect."""
        for child in reversed(list(self.children.values())):
            child.stop()
        self._http.close()

    def _start_fake(self, name: str, module: str, config: Mapping[str, Any], faults: Mapping[str, str]) -> None:
        path = self.folder.config(name, config)
        arguments = ["--config", str(path), "--port", str(self.ports[name]), "--log", str(self.folder.log(name))]
        if name in faults:
            arguments += ["--fault", faults[name]]
        self._start(name, module, [*arguments, "--parent", str(os.getpid())])

    def _start(self, name: str, module: str, arguments: Sequence[str]) -> None:
        clock = {"HUB_CLOCK": f"file:{self.folder.clock_file}"}
        self.children[name] = Child(name, module, arguments, self.folder.path / f"{name}.err", clock)
