"""The status page and the documentation pages. They load nothing from other hosts and say so in their security policy."""

from __future__ import annotations

import json
from functools import cache
from html import escape

import anyio.to_thread
import orjson
import swagger_ui_bundle  # type: ignore[import-untyped]  # a folder of files
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

import openapi
from hub.container import Container
from hub.web.try_it import PATH as TRY_IT
from hub.web.try_it import try_it_routes

DOCUMENTS = {
    "tcec102": ("T/CEC 102 互联互通接口", "partner platforms and regulators"),
    "app": ("自有应用接口", "own app for drivers"),
    "console": ("控制台接口", "the operator's staff"),
    "callbacks": ("回调接口", "parking devices and platforms"),
}
# Swagger UI sets style attributes and draws its icons from data: addresses; scripts come from here only.
_POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'"
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
SEALED = "tcec102"
_LINK_TO_TRY = f'<p><a href="{TRY_IT}">T/CEC 102 在线联调 · seal, send and open messages in the browser</a></p>'
_STYLE = """
:root{color-scheme:light dark}body{font:16px/1.6 system-ui,"PingFang SC","Microsoft YaHei",sans-serif;margin:0 auto;max-width:56rem;
padding:2rem 1rem}h1{font-size:1.5rem;margin:0 0 .2rem}h2{font-size:1.05rem;margin:2rem 0 .4rem}p.sub{margin:0;opacity:.7}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #8884;vertical-align:top}
.ok{color:#0a7d33}.bad{color:#c1121f}code{font-family:ui-monospace,monospace}a{color:inherit}.badge{font-weight:600}
"""


def page_routes(container: Container) -> list[BaseRoute]:
    """`/`, `/docs` and what they need."""

    async def status(_request: Request) -> Response:
        body = await anyio.to_thread.run_sync(_status_body, container)
        return _page("充电互联枢纽 · charging hub", body)

    async def docs(_request: Request) -> Response:
        rows = "".join(
            f'<tr><td><a href="/docs/{name}/">{zh}</a></td><td>{en}</td>'
            f'<td><a href="/docs/{name}/openapi.json"><code>openapi.json</code></a></td></tr>'
            for name, (zh, en) in DOCUMENTS.items()
        )
        return _page(
            "接口文档 · interface documents", f'<table>{rows}</table>{_LINK_TO_TRY}<p><a href="/">返回 · back</a></p>'
        )

    return [
        Route("/", status),
        Route("/style.css", _style),
        Route("/docs", docs),
        *try_it_routes(),
        Mount("/docs/assets", StaticFiles(directory=str(swagger_ui_bundle.swagger_ui_path))),
        Route("/docs/{name}/openapi.json", _document),
        Route("/docs/{name}/start.js", _start_script),
        Route("/docs/{name}/", _document_page),
        Route("/docs/{name}", _with_slash),
    ]


def _status_body(container: Container) -> str:
    checks = container.checks()
    good = all(check.ok for check in checks)
    badge = (
        '<span class="badge ok">正常 · ready</span>' if good else '<span class="badge bad">未就绪 · not ready</span>'
    )
    states = "".join(
        f'<tr><td>{escape(c.title)}</td><td class="{"ok" if c.ok else "bad"}">{escape(c.detail)}</td></tr>'
        for c in checks
    )
    facts = "".join(
        f"<tr><td>{escape(k)}</td><td><code>{escape(v)}</code></td></tr>" for k, v in container.facts().items()
    )
    links = "".join(
        f'<tr><td><a href="{path}"><code>{path}</code></a></td><td>{text}</td></tr>'
        for path, text in (
            ("/docs", "接口文档 · interface documents"),
            ("/readyz", "就绪检查 · readiness"),
            ("/healthz", "存活检查 · liveness"),
            ("/metrics", "指标 · metrics"),
        )
    )
    return (
        f"<p>{badge}</p><h2>运行部件 · what runs</h2><table>{states}</table>"
        f"<h2>地址与设置 · addresses and settings</h2><table>{facts}</table><h2>链接 · links</h2><table>{links}</table>"
    )


def _page(title: str, body: str, status: int = 200) -> HTMLResponse:
    html = (
        '<!doctype html><html lang="zh-CN"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<title>{escape(title)}</title><link rel="stylesheet" href="/style.css"><h1>{escape(title)}</h1>{body}</html>'
    )
    return HTMLResponse(html, status, headers=_HEADERS)


async def _style(_request: Request) -> Response:
    return Response(_STYLE, media_type="text/css", headers=_HEADERS)


async def _with_slash(request: Request) -> Response:
    return RedirectResponse(f"/docs/{request.path_params['name']}/")


async def _document(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in DOCUMENTS:
        return _page("404", "没有这个文档 · no such document", 404)
    shown = await anyio.to_thread.run_sync(_shown, name)
    return Response(shown, media_type="application/json", headers=_HEADERS)


@cache
def _shown(name: str) -> bytes:
    document = openapi.load(name)
    # The bundled page renders OpenAPI 3.0 only. What 3.1 adds is not needed to read the document.
    if str(document["openapi"]).startswith("3.1"):
        document["openapi"] = "3.0.3"
    return orjson.dumps(document, default=str)


async def _start_script(request: Request) -> Response:
    name = request.path_params["name"]
    address = json.dumps(f"/docs/{name}/openapi.json")
    # What is typed into the bundled page would be sent unsealed and refused; T/CEC 102 has a page of its own to try it on.
    methods = ",supportedSubmitMethods:[]" if name == SEALED else ""
    script = (
        f"window.ui=SwaggerUIBundle({{url:{address},dom_id:'#ui',deepLinking:true,validatorUrl:null{methods},"
        "presets:[SwaggerUIBundle.presets.apis]});"
    )
    return Response(script, media_type="text/javascript", headers=_HEADERS)


async def _document_page(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in DOCUMENTS:
        return _page("404", "没有这个文档 · no such document", 404)
    html = (
        f'<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>{DOCUMENTS[name][0]}</title>'
        f'<link rel="stylesheet" href="/docs/assets/swagger-ui.css">{_LINK_TO_TRY if name == SEALED else ""}<div id="ui"></div>'
        '<script src="/docs/assets/swagger-ui-bundle.js"></script><script src="start.js"></script></html>'
    )
    return HTMLResponse(html, headers=_HEADERS)
