"""`hub ykc …`: the pile protocol for engineers: frames in words, words in frames, and a pile's live traffic."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import requests
import typer

from charging_core.errors import InvalidInput
from charging_core.piles.protocols.ykc import plain, reading
from charging_core.piles.protocols.ykc.codec import encode
from charging_core.piles.protocols.ykc.crc import CrcOrder
from charging_core.piles.protocols.ykc.describe import describe
from charging_core.piles.protocols.ykc.dialect import TEXTBOOK, Dialect, read_options
from charging_core.piles.protocols.ykc.errors import NotAFrame
from hub.cli.screen import err
from hub.errors import HubError
from hub.reading.values import plain as plain_json

_POLL_S = 10.0
"""Seconds that one request waits for a frame; the hub allows 20."""


class WatchRefused(HubError):
    """Raised when a running hub does not show a pile's traffic, or is not there."""


ykc_app = typer.Typer(no_args_is_help=True, help="云快充协议工具 / tools for the YKC pile protocol")

FileArgument = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="十六进制日志 / a log with hex in it")
]
CaptureArgument = Annotated[
    Path | None, typer.Option("--pcap", exists=True, dir_okay=False, help="抓包文件 pcap 或 pcapng / a capture")
]
StrictArgument = Annotated[bool, typer.Option("--strict-crc", help="只接受标准 CRC 顺序 / standard CRC order only")]
DialectArgument = Annotated[
    str, typer.Option(help='桩协议选项 JSON / protocol options as JSON, e.g. {"cards_reversed": true}')
]
PrettyArgument = Annotated[bool, typer.Option("--pretty", help="缩进输出 / indented")]


@ykc_app.command("decode")
def decode_frames(
    frames: Annotated[
        list[str] | None, typer.Argument(metavar="HEX…", help="帧; 不给则读标准输入 / else from stdin")
    ] = None,
    file: FileArgument = None,
    pcap: CaptureArgument = None,
    strict_crc: StrictArgument = False,
    dialect: DialectArgument = "{}",
    pretty: PrettyArgument = False,
) -> None:
    """解析帧, 每帧一个 JSON 对象 / frames in words, one JSON object each; exit code 1 when a frame is bad."""
    seen = bad = 0
    spoken = _dialect(dialect)
    try:
        for found in _found(frames, file, pcap, strict_crc):
            seen, bad = seen + 1, bad + (found.frame is None)
            typer.echo(json.dumps(show(found, spoken), ensure_ascii=False, indent=2 if pretty else None))
    except NotAFrame as error:
        typer.echo(json.dumps({"error": error.problem, "position": error.position}, ensure_ascii=False))
        seen, bad = seen + 1, bad + 1
    if not seen:
        err.print("没有找到帧 / no frame was found", style="yellow")
    if bad or not seen:
        raise typer.Exit(1)


@ykc_app.command("encode")
def encode_frame(
    kind: Annotated[str | None, typer.Argument(metavar="TYPE", help="帧类型, 如 0x36 / frame type; none: JSON")] = None,
    values: Annotated[list[str] | None, typer.Argument(metavar="NAME=VALUE…", help="字段 / fields")] = None,
    file: Annotated[
        Path | None, typer.Option("--json", allow_dash=True, help="JSON 文件, - 为标准输入 / as `decode` prints it")
    ] = None,
    sequence: Annotated[str | None, typer.Option(help="序列号 4 位十六进制 / sequence, 4 hex digits")] = None,
    crc: Annotated[CrcOrder | None, typer.Option(help="CRC 顺序 / order of the CRC bytes")] = None,
    extra: Annotated[str | None, typer.Option(help="附加字节 / bytes after the published body, hex")] = None,
) -> None:
    """组帧: 由字段或 JSON / a frame from fields, or from JSON with one object per line."""
    if kind is None or file is not None:
        objects = _objects(sys.stdin if file is None or str(file) == "-" else file.open(encoding="utf-8"))
    else:
        objects = iter([{"type": kind, "fields": _named(values or [])}])
    options = {"sequence": sequence, "crc_order": crc, "extra": extra}
    for one in objects:
        typer.echo(frame_of(one | {name: value for name, value in options.items() if value is not None}).hex().upper())


@ykc_app.command("watch")
def watch_pile(
    pile: Annotated[str, typer.Argument(metavar="PILE", help="桩编码 / pile code")],
    url: Annotated[
        str, typer.Option(envvar="HUB_URL", help="枢纽地址 / address of the running hub")
    ] = "http://127.0.0.1:8080",
    token: Annotated[
        str, typer.Option(envvar="HUB_TOKEN", help="API 令牌, 需 console:write / token with the scope console:write")
    ] = "",
    count: Annotated[int, typer.Option(min=0, help="看到这么多帧后结束 / end after so many frames; 0: never")] = 0,
    seconds: Annotated[float, typer.Option(min=0, help="这么久后结束 / end after so long; 0: never")] = 0,
    hex_only: Annotated[
        bool, typer.Option("--hex", help="只输出时间、方向与十六进制 / time, direction and hex only")
    ] = False,
) -> None:
    """实时报文, 每帧一个 JSON 对象 / live decoded traffic of a pile from a running hub, one JSON object per frame."""
    for number, frame in enumerate(_frames_of(pile, url.rstrip("/"), token, seconds), 1):
        line = {name: frame[name] for name in ("at", "direction", "hex")} if hex_only else frame
        typer.echo(json.dumps(line, ensure_ascii=False))
        if number == count:
            return


def _frames_of(pile: str, url: str, token: str, seconds: float) -> Iterator[dict[str, Any]]:
    """Long polls until the time is over. Raises `WatchRefused` when the hub says no, or cannot be reached."""
    headers = {"Authorization": f"Bearer {token}"}
    until = time.monotonic() + seconds if seconds else float("inf")
    after: str | None = None
    while (left := until - time.monotonic()) > 0:
        query = {"wait_s": str(int(min(_POLL_S, max(1.0, left))))} | ({"after": after} if after else {})
        try:
            answer = requests.get(
                f"{url}/api/console/v1/piles/{pile}/frames", params=query, headers=headers, timeout=_POLL_S + 10
            )
        except requests.RequestException as error:
            raise WatchRefused(f"{url}: 无法连接 / cannot be reached ({type(error).__name__})") from error
        if answer.status_code != requests.codes.ok:
            raise WatchRefused(f"{url}: HTTP {answer.status_code} {answer.text[:300]}")
        body = answer.json()
        yield from body["items"]
        after = body["next"] or after


def show(found: reading.Found, dialect: Dialect = TEXTBOOK) -> dict[str, Any]:
    """One find as JSON: where it was, its bytes, and its frame in words or what is wrong with it."""
    where: dict[str, Any] = {}
    if found.line is not None:
        where["line"] = found.line
    if found.at is not None:
        where["at"] = plain_json(datetime.fromtimestamp(found.at, UTC))
    if found.flow is not None:
        flow = found.flow
        where |= {"from": f"{flow.source}:{flow.source_port}", "to": f"{flow.target}:{flow.target_port}"}
    if found.frame is None:
        return where | {"error": found.problem, "position": found.position, "hex": found.wire.hex().upper()}
    return where | describe(dialect.textbook(found.frame)) | {"hex": found.wire.hex().upper()}


def frame_of(given: dict[str, Any]) -> bytes:
    """The bytes of one frame object. Raises an `EncodeError`, or `InvalidInput` for what is no such object."""
    kind = plain.frame_type(str(given.get("type", "")))
    return encode(
        kind,
        plain.from_plain(kind, given.get("fields", {})),
        _bytes("sequence", given.get("sequence", "0000")),
        _order(given.get("crc_order", CrcOrder.STANDARD)),
        _bytes("extra", given.get("extra", "")),
    )


def _found(frames: list[str] | None, file: Path | None, pcap: Path | None, strict_crc: bool) -> Iterator[reading.Found]:
    if pcap is not None:
        yield from reading.of_capture(pcap.read_bytes(), strict_crc=strict_crc)
    if file is not None:
        with file.open(encoding="utf-8", errors="replace") as lines:
            yield from reading.of_log(lines, strict_crc=strict_crc)
    if frames:
        yield from reading.of_hex(" ".join(frames), strict_crc=strict_crc)
    elif file is None and pcap is None:
        yield from reading.of_log(sys.stdin, strict_crc=strict_crc)


def _dialect(text: str) -> Dialect:
    try:
        options = json.loads(text)
    except ValueError as error:
        raise InvalidInput("dialect", f"不是 JSON / not JSON: {error}") from error
    if not isinstance(options, dict):
        raise InvalidInput("dialect", "应为 JSON 对象 / a JSON object is needed")
    return read_options(options)


def _objects(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """JSON objects one after another, each on one line or indented over several."""
    text, decoder, place = "".join(lines).strip(), json.JSONDecoder(parse_float=str), 0
    while place < len(text):
        try:
            value, place = decoder.raw_decode(text, place)
        except ValueError as error:
            raise InvalidInput("json", f"不是 JSON / not JSON: {error}") from error
        if not isinstance(value, dict):
            raise InvalidInput("json", "每帧应为一个对象 / one object for each frame")
        yield value
        while place < len(text) and text[place].isspace():
            place += 1


def _named(values: list[str]) -> dict[str, str]:
    if any("=" not in value for value in values):
        raise InvalidInput("values", "字段写作 名称=值 / fields are written name=value")
    return dict(value.split("=", 1) for value in values)


def _bytes(name: str, digits: Any) -> bytes:
    try:
        return bytes.fromhex(str(digits))
    except ValueError as error:
        raise InvalidInput(name, f"{digits!r} 不是十六进制 / is not hexadecimal") from error


def _order(text: Any) -> CrcOrder:
    try:
        return CrcOrder(str(text))
    except ValueError as error:
        raise InvalidInput("crc_order", f"{text!r}: standard | reversed") from error
