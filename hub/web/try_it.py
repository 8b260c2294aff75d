"""`/docs/tcec102/try`: seal, send and open T/CEC 102 messages in the browser.

The browser's own cryptography (WebCrypto) has no MD5 and is absent where a page came over plain http from another host, so the page
brings its own. It works there too, and warns: whoever can change the page on its way can read what is typed into it.
"""

from __future__ import annotations

import json
from functools import cache
from html import escape
from importlib import resources

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

import openapi

PATH = "/docs/tcec102/try"
_SCRIPTS = ("tcec.js", "page.js")
# No inline script or style runs; the page talks to the host it came from and to nobody else.
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_FIELDS = (
    ("base", "地址 · base address", "text", "/demo/evcs/v1/"),
    ("operator-id", "OperatorID (对接方 · the partner's)", "text", ""),
    ("operator-secret", "OperatorSecret", "password", ""),
    ("data-secret", "DataSecret", "password", ""),
    ("data-iv", "DataSecretIV", "password", ""),
    ("sig-secret", "SigSecret", "password", ""),
)


def try_it_routes() -> list[BaseRoute]:
    """The page and its two scripts."""
    return [Route(PATH, _page), *(Route(f"{PATH}/{name}", _script) for name in _SCRIPTS)]


@cache
def page_html() -> str:
    """The whole page; the same for everybody, so it holds no key."""
    fields = "".join(
        f'<tr><td><label for="{name}">{label}</label></td><td><input id="{name}" type="{kind}" value="{value}" size="44" '
        f'autocomplete="off" spellcheck="false"></td></tr>'
        for name, label, kind, value in _FIELDS
    )
    first = next(iter(_examples().values()))
    return (
        '<!doctype html><html lang="zh-CN"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        '<title>T/CEC 102 在线联调 · try it</title><link rel="stylesheet" href="/style.css">'
        '<h1>T/CEC 102 在线联调 · try it</h1><p class="sub">加密、签名、验签、解密都在浏览器内完成，密钥不离开本页。'
        "Sealing and opening happen in this browser; keys never leave the page.</p>"
        '<p id="insecure" class="bad" hidden>本页经明文 http 从其他主机打开：页面可能在途中被改动，请只填测试密钥，或改用 https / '
        "localhost。This page came over plain http from another host and may have been changed on its way: use test keys only, or open "
        "it by https or on localhost.</p>"
        f'<table>{fields}<tr><td><label for="interface">接口 · interface</label></td><td><select id="interface">{_options()}'
        "</select></td></tr></table>"
        f'<h2>业务报文 · body</h2><textarea id="body" rows="6" cols="90" spellcheck="false">{escape(first)}</textarea>'
        '<p><button id="seal">加密 · seal</button> <button id="send">发送 · send</button></p><pre id="sealed"></pre>'
        '<h2>信封 · envelope</h2><textarea id="envelope" rows="6" cols="90" spellcheck="false"></textarea>'
        '<p><button id="open">解密 · open</button></p><pre id="opened"></pre>'
        '<p><a href="/docs/tcec102/">接口文档 · interface documents</a></p>'
        + "".join(f'<script src="{PATH}/{name}"></script>' for name in _SCRIPTS)
        + "</html>"
    )


@cache
def script_text(name: str) -> str:
    """One of the page's scripts."""
    return resources.files("hub.web.tryit").joinpath(name).read_text("utf-8")


async def _page(_request: Request) -> Response:
    return HTMLResponse(page_html(), headers=_HEADERS)


async def _script(request: Request) -> Response:
    name = request.url.path.rpartition("/")[2]
    return Response(script_text(name), media_type="text/javascript", headers=_HEADERS)


def _options() -> str:
    return "".join(
        f'<option value="{name}" data-example="{escape(example, quote=True)}">{name}</option>'
        for name, example in _examples().items()
    )


@cache
def _examples() -> dict[str, str]:
    """The interfaces that we serve, each with the contract's own example of a request."""
    document = openapi.load("tcec102")
    schemas = document["components"]["schemas"]
    operations = [item["post"] for item in document["paths"].values()]
    served = [one for one in operations if one["x-tcec-side"] in ("server", "both")]
    return {one["operationId"]: _example(schemas[one["x-tcec-request"]]) for one in served}


def _example(schema: dict[str, object]) -> str:
    found = schema.get("examples")
    return json.dumps(found[0] if isinstance(found, list) and found else {}, ensure_ascii=False)
