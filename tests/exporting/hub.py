"""A stand-in of the Hugging Face Hub's HTTP interface, as far as uploads and downloads of small files need it."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_TOKEN = "hf_stand_in"
_REVISION = "0" * 40


class _Handler(BaseHTTPRequestHandler):
    files: dict[str, dict[str, bytes]]  # of each repository

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def answer(self, content: Any, status: int = 200, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != f"Bearer {_TOKEN}":
            self.answer({"error": "Invalid username or password."}, 401)
        elif self.path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        elif self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'someone'}/{asked['name']}"
            self.files.setdefault(name, {})
            self.answer({"url": f"http://{self.headers['Host']}/{name}", "name": name})
        elif "/preupload/" in self.path:
            wanted = json.loads(body)["files"]
            self.answer(
                {"files": [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in wanted]}
            )
        elif match := re.match(r"/api/models/([^/]+/[^/]+)/commit/", self.path):
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "deletedFile":
                    self.files[match[1]].pop(line["value"]["path"])
                if line["key"] == "file":
                    self.files[match[1]][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self.answer(
                {"commitUrl": f"http://{self.headers['Host']}/{match[1]}/commit/{_REVISION}", "commitOid": _REVISION}
            )
        else:
            self.answer({"error": f"the stand-in does not know {self.path}"}, 404)

    def do_GET(self) -> None:
        if match := re.match(r"/api/models/([^/]+/[^/?]+)(/(?:revision|tree)/[^?]+)?", self.path):
            name = match[1]
            if name in self.files and "/tree/" in self.path:
                self.answer(
                    [
                        {"type": "file", "path": file, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                        for file, content in self.files[name].items()
                    ]
                )
                return
            if name in self.files:
                siblings = [{"rfilename": file} for file in sorted(self.files[name])]
                self.answer({"id": name, "sha": _REVISION, "siblings": siblings})
                return
        if match := re.match(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", self.path):
            content = self.files.get(match[1], {}).get(match[2])
            if content is not None:
                self.answer(content, X_Repo_Commit=_REVISION, ETag=f'"{hashlib.sha1(content).hexdigest()}"')
                return
        self.answer({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")

    def do_HEAD(self) -> None:
        self.do_GET()


@contextmanager
def stand_in() -> Iterator[tuple[dict[str, str], dict[str, dict[str, bytes]]]]:
    """Context with the environment of a program that talks to the stand-in, and its repositories' files."""
    handler = type("Handler", (_Handler,), {"files": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_TOKEN": _TOKEN}, handler.files
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
