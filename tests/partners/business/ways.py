"""What may lie between us and a partner: a TLS front that demands our certificate, and a proxy."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

TIMEOUT_S = 5.0
PEM = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


def make_certificate(folder: Path) -> dict[str, str]:
    """A certificate for 127.0.0.1, signed by itself, good for both sides."""
    assert shutil.which("openssl"), "the openssl program makes the test's certificate"
    files = {"cert": str(folder / "cert.pem"), "key": str(folder / "key.pem")}
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
    subprocess.run([*PEM, *subject, "-keyout", files["key"], "-out", files["cert"]], check=True, capture_output=True)
    return files


Serve = Callable[[socket.socket], None]


@contextmanager
def listening(serve: Serve) -> Iterator[int]:
    """A port whose connections are served one thread each, until the block ends."""
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connection.settimeout(TIMEOUT_S)
                thread = threading.Thread(target=_quietly, args=(serve, connection), daemon=True)
                threads.append(thread)
                thread.start()

        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            acceptor.join()
            for thread in threads:
                thread.join(TIMEOUT_S)


def tls_front(target: int, pem: dict[str, str], *, wants_certificate: bool) -> Serve:
    """TLS in front of a plain port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem["cert"], pem["key"])
    if wants_certificate:
        context.load_verify_locations(pem["cert"])
        context.verify_mode = ssl.CERT_REQUIRED

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured, _to(target) as behind:
            _relay(secured, behind)

    return serve


def cut_off_after_the_request(pem: dict[str, str]) -> Serve:
    """Takes one request over TLS and ends the line without a word, as a crashed program does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem["cert"], pem["key"])

    def serve(connection: socket.socket) -> None:
        secured = context.wrap_socket(connection, server_side=True)
        secured.recv(65536)
        os.close(secured.detach())

    return serve


def proxy(seen: list[str]) -> Serve:
    """A proxy for both ways: `CONNECT host:port`, and requests that name the whole address. `seen` gets their first lines."""

    def serve(connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            if not (line := lines.readline().decode()):
                return
            seen.append(line.strip())
            head = list(iter(lines.readline, b"\r\n"))
            method, address, _ = line.split(" ")
            if method == "CONNECT":
                with _to(int(address.rpartition(":")[2])) as behind:
                    connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    _relay(connection, behind)
                return
            host, _, path = address.removeprefix("http://").partition("/")
            with _to(int(host.rpartition(":")[2])) as behind:
                kept = [one for one in head if not one.lower().startswith(b"connection:")]
                behind.sendall(
                    f"{method} /{path} HTTP/1.1\r\nConnection: close\r\n".encode() + b"".join(kept) + b"\r\n"
                )
                behind.sendall(lines.read(_length(head)))
                status, _, answer = _all_of(behind).partition(b"\r\n")
                connection.sendall(status + b"\r\nConnection: close\r\n" + answer)

    return serve


def _length(head: list[bytes]) -> int:
    return next((int(one.partition(b":")[2]) for one in head if one.lower().startswith(b"content-length:")), 0)


def _all_of(source: socket.socket) -> bytes:
    return b"".join(iter(lambda: source.recv(65536), b""))


def _to(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), TIMEOUT_S)


def _relay(one: socket.socket, other: socket.socket) -> None:
    """Both ways until the first side ends."""
    back = threading.Thread(target=_quietly, args=(lambda source: _pipe(source, one), other))
    back.start()
    _quietly(lambda source: _pipe(source, other), one)
    back.join()


def _pipe(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    finally:
        sink.shutdown(socket.SHUT_RDWR)


def _quietly(serve: Serve, connection: socket.socket) -> None:
    try:
        serve(connection)
    except OSError:  # the other side has ended the line, or was not let in
        connection.close()
