"""The server behind the page: on this machine alone, of two fixed files and a few questions, nothing else."""

import json
import sys
import traceback
from collections.abc import Callable
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from genexp.config.messages import told
from genexp.inference.playing.studio import SLOTS, Studio

HOST = "127.0.0.1"
MOST_JSON, MOST_UPLOAD = 64 * 1024, 20 * 2**20
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}


class Refused(Exception):
    """A request that is not answered, with its status."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Handler(BaseHTTPRequestHandler):
    """Answers one request.

    Who may ask is a browser on this machine that was sent here by name: the `Host` must be that of the server, which a
    foreign name that leads to 127.0.0.1 is not, and a page from elsewhere (`Origin`, `Sec-Fetch-Site`) may change and
    draw nothing. Paths are compared with fixed ones; none is opened.
    """

    studio: ClassVar[Studio]
    timeout = 30
    server_version, sys_version, protocol_version = "genexp", "", "HTTP/1.1"

    def do_GET(self) -> None:
        """The page, what the runs can do, how far a drawing is."""
        self._answer({"/about": self._about, "/progress": self._progress, **dict.fromkeys(_FILES, self._file)})

    def do_POST(self) -> None:
        """A picture is given, or something is made."""
        ways: dict[str, Callable[[], tuple[bytes, str]]] = {f"/give/{slot}": self._give for slot in SLOTS}
        ways |= dict.fromkeys(("/sample", "/interpolate", "/stylize", "/restore"), self._make)
        self._answer(ways)

    def _answer(self, ways: dict[str, Callable[[], tuple[bytes, str]]]) -> None:
        status = 200
        try:
            self._require_local()
            if self.path not in ways:
                raise Refused(404, "there is no such page")
            content, kind = ways[self.path]()
        except Refused as error:
            status, (content, kind) = error.status, _json({"error": str(error)})
            self.close_connection = True  # what was sent has not been read
        except Exception as error:
            line = told(error)
            status = 500 if line is None else 400
            if line is None:
                traceback.print_exc(file=sys.stderr)
            content, kind = _json({"error": line or "it failed; the terminal says why"})
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _require_local(self) -> None:
        port = self.server.server_address[1]
        names = {f"{name}:{port}" for name in (HOST, "localhost")}
        if self.headers.get_all("Host") is None or not set(self.headers.get_all("Host")) <= names:
            raise Refused(403, f"this is http://{HOST}:{port}, and no other name")
        origin, site = self.headers.get("Origin"), self.headers.get("Sec-Fetch-Site", "none")
        if origin not in (None, *(f"http://{name}" for name in names)) or site not in ("none", "same-origin"):
            raise Refused(403, "another page may not ask")

    def _body(self, most: int) -> bytes:
        length = self.headers.get("Content-Length", "")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit()):
            raise Refused(411, "the length must be said")
        if int(length) > most:
            raise Refused(413, f"at most {most:,} bytes are taken, got {int(length):,}")
        content = self.rfile.read(int(length))
        if len(content) < int(length):
            raise Refused(400, "less was sent than was said")
        return content

    def _file(self) -> tuple[bytes, str]:
        name, kind = _FILES[self.path]
        return _content(name), kind

    def _about(self) -> tuple[bytes, str]:
        return _json(self.studio.about())

    def _progress(self) -> tuple[bytes, str]:
        return _json({"done": self.studio.done, "total": self.studio.total})

    def _give(self) -> tuple[bytes, str]:
        return _json({"size": self.studio.take(self.path.rpartition("/")[2], self._body(MOST_UPLOAD))})

    def _make(self) -> tuple[bytes, str]:
        make = {
            "/sample": self.studio.sample,
            "/interpolate": self.studio.interpolate,
            "/stylize": self.studio.stylize,
            "/restore": self.studio.restore,
        }[self.path]
        try:
            asked = json.loads(self._body(MOST_JSON))
        except (ValueError, RecursionError) as error:
            raise Refused(400, "the request must be JSON") from error
        return make(asked), "image/png"

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: what a browser asks for is no news."""


def serving(studio: Studio, port: int) -> ThreadingHTTPServer:
    """A server of a studio, bound to this machine's own address; `serve_forever` starts it.

    Args:
        studio: What answers.
        port: Its port; 0 for any that is free.

    Raises:
        ValueError: the port cannot be had.
    """
    handler = type("BoundHandler", (Handler,), {"studio": studio})
    try:
        server = ThreadingHTTPServer((HOST, port), handler)
    except OSError as error:
        raise ValueError(f"port must be one that is free, got {port}: {error.strerror or error}") from error
    server.daemon_threads = True
    return server


@cache
def _content(name: str) -> bytes:
    return (Path(__file__).parent / name).read_bytes()


def _json(content: object) -> tuple[bytes, str]:
    return json.dumps(content).encode(), "application/json"
