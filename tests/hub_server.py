"""A server that stands for the Hugging Face hub, with as much of its interface as its library asks for here."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

TOKEN = "hf_of_a_test"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Repositories by name, each a mapping of file names to bytes, and what was asked for."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.asked: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, content: object, status: int = 200, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json", "Content-Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        self._answer({"error": code}, status, X_Error_Code=code, X_Error_Message=code)

    def _known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def do_GET(self) -> None:
        """Who asks, what is in a repository, and its files."""
        path = self.path.partition("?")[0]
        self.hub.asked.append(f"{self.command} {path}")
        parts = path.strip("/").split("/")
        if path == "/api/whoami-v2":
            self._answer({"name": "ann", "type": "user", "auth": {}}) if self._known() else self._refuse(401, "None")
        elif parts[:2] == ["api", "models"]:
            files = self.hub.repositories.get("/".join(parts[2:4]))
            if files is None:
                self._refuse(404, "RepoNotFound")
            elif parts[4:5] == ["revision"] and parts[5] not in ("main", COMMIT):
                self._refuse(404, "RevisionNotFound")
            elif parts[4:5] == ["tree"]:
                self._answer([_entry(name, content) for name, content in files.items()])
            else:
                told = {"id": "/".join(parts[2:4]), "sha": COMMIT, "private": False, "tags": [], "downloads": 0}
                self._answer({**told, "likes": 0, "siblings": [{"rfilename": name} for name in files]})
        else:
            content = self.hub.repositories.get("/".join(parts[:2]), {}).get("/".join(parts[4:]))
            if content is None:
                self._refuse(404, "EntryNotFound")
            else:
                etag = f'"{hashlib.sha1(content).hexdigest()}"'
                self._answer(content, X_Repo_Commit=COMMIT, ETag=etag, Content_Type="application/octet-stream")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """A repository that is made, and a commit of files that stand in the request."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        self.hub.asked.append(f"POST {path}")
        parts = path.strip("/").split("/")
        if not self._known():
            self._refuse(401, "None")
        elif path == "/api/repos/create":
            wanted = json.loads(body)
            name = f"{wanted['organization']}/{wanted['name']}"
            if wanted["organization"] != "ann":
                self._refuse(403, "Forbidden")
            elif name in self.hub.repositories:
                self._answer({"url": f"http://{self.headers['Host']}/{name}"}, 409)
            else:
                self.hub.repositories[name], self.hub.private[name] = {}, _is_private(wanted)
                self._answer({"url": f"http://{self.headers['Host']}/{name}"})
        elif parts[4:5] == ["preupload"]:
            every = [each["path"] for each in json.loads(body)["files"]]
            modes = [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in every]
            self._answer({"files": modes})
        elif parts[4:5] == ["commit"]:
            lines = [json.loads(line) for line in body.splitlines()]
            files = {each["value"]["path"]: each["value"]["content"] for each in lines if each["key"] == "file"}
            self.hub.repositories["/".join(parts[2:4])] |= {
                name: base64.b64decode(text) for name, text in files.items()
            }
            self._answer(
                {
                    "commitUrl": f"http://{self.headers['Host']}/{'/'.join(parts[2:4])}/commit/{COMMIT}",
                    "commitOid": COMMIT,
                    "success": True,
                }
            )
        else:  # whether the front matter of a card can be read
            self._answer({"errors": [], "warnings": []})


def _is_private(wanted: dict[str, object]) -> bool:
    """The wish for a private repository, in the words of one version of the library or of another."""
    return wanted["visibility"] == "private" if "visibility" in wanted else bool(wanted.get("private"))


def _entry(name: str, content: bytes) -> dict[str, object]:
    return {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}


@contextmanager
def hub_server() -> Iterator[tuple[str, Hub]]:
    """Its address and what it holds, for as long as it answers."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
