"""The try-it page: in a real browser it seals, sends to a real door and opens; and it holds neither keys nor foreign hosts."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Router
from starlette.testclient import TestClient

from charging_core.clock import SystemClock
from hub.web import try_it
from partners.tcec102 import crypto, envelope
from partners.tcec102.contract import Contract
from partners.tcec102.keys import KeySet
from partners.tcec102.memory import MemoryLinkDirectory, MemorySink, NoLimit
from partners.tcec102.ports import InboundLink
from partners.tcec102.receive import Door, receive
from partners.tcec102.tokens import MemoryTokenStore
from partners.tcec102.visit import InboundCall
from tests.support.legs import BROWSERS

BASE, PARTNER = "/demo/evcs/v1/", "MA5TEST02"
KEYS = KeySet("op-secret-1", "1234567890abcdef", "1234567890abcdef", "1234567890abcdef")
SECOND_KEYS = {"dataSecret": "9f3c1b7e5a2d4860", "dataIv": "0123456789abcdef", "sigSecret": "7c1e9a4b3d5f6082"}
BROWSER_S = 60

# Fills the page in as a person would, presses each button, and writes what came out where --dump-dom shows it.
PERSON = """
const put = (id, value) => { document.getElementById(id).value = value; };
const press = (id) => document.getElementById(id).click();
const shown = (id) => document.getElementById(id).textContent;
const later = (ms) => new Promise((done) => setTimeout(done, ms));
(async () => {
  const found = {vectors: %(vectors)s.map(([body, keys]) => window.tcec.seal(body, keys))};
  found.stamp = window.tcec.stamp(new Date(Date.UTC(2024, 9, 27, 0, 0, 0)));
  put("operator-id", "MA5TEST02"); put("operator-secret", "op-secret-1");
  for (const id of ["data-secret", "data-iv", "sig-secret"]) put(id, "1234567890abcdef");
  put("body", '{"StationIDs":["站1"],"Money":1.20}');
  press("seal"); await later(50);
  found.sealed = shown("sealed");
  press("open"); await later(50);
  found.opened = shown("opened");
  put("sig-secret", "another-sig-secr"); press("open"); await later(50);
  found.refused = shown("opened");
  put("sig-secret", "1234567890abcdef");
  found.warned = !document.getElementById("insecure").hidden;
  document.getElementById("interface").value = "query_station_status";
  press("send");
  for (let i = 0; i < 100 && !shown("opened").startsWith("Ret"); i++) await later(50);
  found.answer = shown("opened");
  document.title = "done";
  const out = document.createElement("pre"); out.id = "found"; out.textContent = JSON.stringify(found);
  document.body.appendChild(out);
})();
"""


def _door() -> Door:
    link = InboundLink("link-1", (PARTNER,), "MA5TEST01", (KEYS,))

    def status(_link: InboundLink, body: dict[str, Any]) -> dict[str, Any]:
        return {"Total": 1, "StationStatusInfos": [{"StationID": body["StationIDs"][0], "ConnectorStatusInfos": []}]}

    return Door(
        contract=Contract.standard(),
        links=MemoryLinkDirectory([(BASE, link)]),
        tokens=MemoryTokenStore(),
        limiter=NoLimit(),
        handlers={"query_station_status": status},
        clock=SystemClock(),
        sink=MemorySink(),
    )


def _site(door: Door, person: str) -> type[BaseHTTPRequestHandler]:
    scripts = {f"{try_it.PATH}/{name}": try_it.script_text(name) for name in ("tcec.js", "page.js")}
    scripts["/person.js"] = person
    page = try_it.page_html().replace("</html>", '<script src="/person.js"></script></html>')

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, content = (
                ("text/html", page) if self.path == try_it.PATH else ("text/javascript", scripts.get(self.path, ""))
            )
            self._send(kind, content.encode())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            head, slash, interface = self.path.rpartition("/")
            call = InboundCall(head + slash, interface, body, self.headers.get("Authorization"), "127.0.0.1")
            self._send("application/json", receive(call, door).payload)

        def _send(self, kind: str, content: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", f"{kind};charset=utf-8")
            self.send_header("Content-Security-Policy", "default-src 'self'")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: Any) -> None:
            """Quiet."""

    return Handler


@pytest.fixture
def site() -> Iterator[str]:
    vectors = [["0123456789abcdef", _js(KEYS)], ["{}", _js(KEYS)], ['{"站":"示例充电站"}', SECOND_KEYS]]
    server = ThreadingHTTPServer(("127.0.0.1", 0), _site(_door(), PERSON % {"vectors": json.dumps(vectors)}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}{try_it.PATH}"
    server.shutdown()
    server.server_close()
    thread.join()


def _js(keys: KeySet) -> dict[str, str]:
    return {"dataSecret": keys.data_secret, "dataIv": keys.data_iv, "sigSecret": keys.sig_secret}


def _dom(url: str, folder: Path, *flags: str) -> str:
    browser = next(filter(None, map(shutil.which, BROWSERS)))
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}"]
    command += [*flags, "--virtual-time-budget=15000", "--dump-dom", url]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=BROWSER_S).stdout


def _found(dom: str) -> dict[str, Any]:
    start = dom.index('<pre id="found">') + len('<pre id="found">')
    found: dict[str, Any] = json.loads(
        dom[start : dom.index("</pre>", start)].replace("&amp;", "&").replace("&lt;", "<")
    )
    return found


@pytest.mark.page
def test_over_plain_http_from_another_host_it_works_and_warns(site: str, tmp_path: Path) -> None:
    elsewhere = site.replace("127.0.0.1", "hub.example")
    found = _found(_dom(elsewhere, tmp_path, "--host-resolver-rules=MAP hub.example 127.0.0.1"))
    assert found["warned"]
    assert found["opened"] == '{"StationIDs":["站1"],"Money":1.20}'


@pytest.mark.page
def test_the_page_seals_sends_and_opens_in_the_browser(site: str, tmp_path: Path) -> None:
    found = _found(_dom(site, tmp_path))
    assert not found["warned"]
    second = KeySet("s", SECOND_KEYS["dataSecret"], SECOND_KEYS["dataIv"], SECOND_KEYS["sigSecret"])
    ours = [crypto.encrypt(b"0123456789abcdef", KEYS), crypto.encrypt(b"{}", KEYS)]
    ours.append(crypto.encrypt('{"站":"示例充电站"}'.encode(), second))
    assert found["vectors"] == ours
    assert found["stamp"] == "20241027080000"
    assert str(envelope.open_request(found["sealed"].encode(), KEYS)["Money"]) == "1.20"
    assert found["opened"] == '{"StationIDs":["站1"],"Money":1.20}'
    assert found["refused"].startswith("4001")
    assert found["answer"].startswith("Ret 0")
    assert '"StationID":"站1"' in found["answer"]


def test_the_page_is_served_with_a_policy_and_holds_no_key() -> None:
    with TestClient(Router(try_it.try_it_routes())) as client:
        page = client.get(try_it.PATH)
        scripts = [client.get(f"{try_it.PATH}/{name}") for name in ("tcec.js", "page.js")]
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "://" not in page.text
    assert 'type="password"' in page.text
    assert "query_start_charge" in page.text
    assert [script.status_code for script in scripts] == [200, 200]
    assert {script.headers["content-type"] for script in scripts} == {"text/javascript; charset=utf-8"}
