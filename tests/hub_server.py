"""A stand-in of the hub's HTTP interface on 127.0.0.1: what `huggingface_hub` speaks when it makes
a repository, commits regular and LFS files, lists and downloads them."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

LFS = (".safetensors", ".gguf", ".bin")


class Hub(ThreadingHTTPServer):
    """Repositories in memory: commits by id, branches; every request is kept as (method, path)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.token = "hf_" + "s" * 20
        self.private: set[str] = set()
        self.gated: set[str] = set()
        self.commits: dict[str, dict[str, dict[str, bytes]]] = {}
        self.branches: dict[str, dict[str, str]] = {}
        self.blobs: dict[str, bytes] = {}
        self.lfs_uploads: list[str] = []
        self.requests: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def make(self, repo: str) -> None:
        if repo not in self.commits:
            self.commits[repo], self.branches[repo] = {}, {}
            self.commit(repo, "main", {})

    def commit(self, repo: str, branch: str, files: dict[str, bytes]) -> str:
        old = self.commits[repo].get(self.branches[repo].get(branch, ""), {})
        content = {**old, **files}
        sha = hashlib.sha1(
            repr((sorted(content.items()), len(self.commits[repo]))).encode()
        ).hexdigest()
        self.commits[repo][sha] = content
        self.branches[repo][branch] = sha
        return sha

    def files(self, repo: str, revision: str = "main") -> dict[str, bytes]:
        return self.commits[repo][self.branches[repo][revision]]


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _send(self, status: int, body: bytes | dict[str, Any] | list[Any], **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _handle(self) -> None:
        hub, body = self.server, self._body()
        path = unquote(urlsplit(self.path).path)
        hub.requests.append((self.command, path))
        sent = self.headers.get("Authorization")
        if path.startswith("/lfs/"):
            oid = path.removeprefix("/lfs/")
            if self.command == "PUT":
                hub.blobs[oid] = body
                hub.lfs_uploads.append(oid)
            return self._send(200, hub.blobs[oid] if self.command != "PUT" else {})
        if sent not in (None, f"Bearer {hub.token}"):
            return self._send(401, {"error": "Invalid credentials"})
        if self.command in ("POST", "PUT") and sent is None and path != "/api/validate-yaml":
            return self._send(401, {"error": "log in"})
        if path == "/api/validate-yaml":
            return self._send(200, {"errors": [], "warnings": []})
        if path == "/api/repos/create":
            asked = json.loads(body)
            repo = f"{asked['organization']}/{asked['name']}"
            if repo in hub.commits:
                return self._send(409, {"error": "exists", "url": f"{hub.url}/{repo}"})
            hub.make(repo)
            if asked.get("visibility") == "private" or asked.get("private"):
                hub.private.add(repo)
            return self._send(200, {"url": f"{hub.url}/{repo}"})
        parts = path.strip("/").removeprefix("api/models/").split("/")
        repo = "/".join(parts[:2]).removesuffix(".git")
        if repo not in hub.commits or (repo in hub.private and sent is None):
            return self._send(
                401 if sent is None else 404, {"error": "no"}, X_Error_Code="RepoNotFound"
            )
        if repo in hub.gated:
            return self._send(403, {"error": "gated"}, X_Error_Code="GatedRepo")
        return self._repo(repo, parts[2:], body)

    do_GET = do_HEAD = do_POST = do_PUT = _handle

    def _repo(self, repo: str, rest: list[str], body: bytes) -> None:
        hub = self.server
        branches, commits = hub.branches[repo], hub.commits[repo]
        what, arguments = (rest[0], rest[1:]) if rest else ("revision", ["main"])
        if what == "info":
            objects = [
                {**each, "actions": {"upload": {"href": f"{hub.url}/lfs/{each['oid']}"}}}
                for each in json.loads(body)["objects"]
            ]
            return self._send(200, {"transfer": "basic", "objects": objects})
        revision = arguments[0]
        if what == "branch":
            branches.setdefault(revision, branches["main"])
            return self._send(200, {})
        sha = branches.get(revision, revision)
        if sha not in commits:
            return self._send(404, {"error": "no"}, X_Error_Code="RevisionNotFound")
        files = commits[sha]
        if what == "revision":
            names = [{"rfilename": name} for name in files]
            return self._send(200, {"id": repo, "sha": sha, "siblings": names, "private": False})
        if what == "preupload":
            answer = [
                {
                    "path": each["path"],
                    "uploadMode": "lfs" if each["path"].endswith(LFS) else "regular",
                    "shouldIgnore": False,
                }
                for each in json.loads(body)["files"]
            ]
            return self._send(200, {"files": answer})
        if what == "commit":
            added = {}
            for line in body.splitlines():
                said = json.loads(line)
                value = said["value"]
                if said["key"] == "file":
                    added[value["path"]] = base64.b64decode(value["content"])
                elif said["key"] == "lfsFile":
                    added[value["path"]] = hub.blobs[value["oid"]]
            made = hub.commit(repo, revision, added)
            url = f"{hub.url}/{repo}/commit/{made}"
            return self._send(200, {"commitUrl": url, "commitOid": made, "success": True})
        if what == "tree":
            return self._send(200, [_entry(name, content) for name, content in files.items()])
        if what == "resolve":
            return self._file("/".join(arguments[1:]), files, sha)
        return self._send(404, {"error": what})

    def _file(self, name: str, files: dict[str, bytes], sha: str) -> None:
        if name not in files:
            return self._send(404, {"error": "no"}, X_Error_Code="EntryNotFound", X_Repo_Commit=sha)
        content = files[name]
        if name.endswith(LFS):
            digest = hashlib.sha256(content).hexdigest()
            self.server.blobs[digest] = content
            return self._send(
                302, b"", X_Repo_Commit=sha, X_Linked_Etag=f'"{digest}"',
                X_Linked_Size=str(len(content)),
                Location=f"http://localhost:{self.server.server_port}/lfs/{digest}",
            )  # fmt: skip
        return self._send(200, content, X_Repo_Commit=sha, ETag=f'"{_blob(content)}"')


def _blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _entry(name: str, content: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "type": "file", "path": name, "size": len(content), "oid": _blob(content),
    }  # fmt: skip
    if name.endswith(LFS):
        digest = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 130}
    return entry


@contextmanager
def running_hub() -> Iterator[Hub]:
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        thread.join()
        hub.server_close()
