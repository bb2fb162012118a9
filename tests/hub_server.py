# Copyright 2026 The brainllm authors. All rights reserved.
# SPDX-License-Identifier: Apache-2.0
"""A Hub on this machine: the endpoints that `huggingface_hub` calls to push and to pull, in memory, over real HTTP.

The tests push and load by id through the unmodified client. The client reads its settings when it is imported, so it
must run in a process of its own:

```python
with LocalHub() as hub:
    subprocess.run([sys.executable, "-c", script], env=hub.environment(tmp_path), check=True)
```
"""

import base64
import hashlib
import json
import os
import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit


__all__ = ["LocalHub"]

# What the real Hub stores through LFS whatever its size, as far as our tests push it.
LFS_SUFFIXES = (".safetensors", ".bin", ".h5", ".npz", ".parquet", ".arrow", ".onnx", ".zip")
TIMESTAMP = "2026-01-01T00:00:00.000Z"


class _Refusal(Exception):
    """Becomes an HTTP error with the headers from which the client chooses its exception."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass
class _Reply:
    body: bytes
    headers: dict[str, str]
    status: int = 200


def _json(payload: Any, status: int = 200) -> _Reply:
    return _Reply(json.dumps(payload).encode(), {"Content-Type": "application/json"}, status)


@dataclass
class _File:
    """One file of one commit."""

    content: bytes
    is_lfs: bool

    @property
    def git_oid(self) -> str:
        return hashlib.sha1(b"blob %d\0" % len(self.content) + self.content).hexdigest()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.is_lfs else self.git_oid

    def described(self, path: str) -> dict[str, Any]:
        """The entry of this file in a tree listing."""
        entry: dict[str, Any] = {"type": "file", "path": path, "size": len(self.content), "oid": self.git_oid}
        if self.is_lfs:
            entry["lfs"] = {"oid": self.sha256, "size": len(self.content), "pointerSize": 127}
        return entry


@dataclass
class _Repository:
    """A linear history: commit id to the files as they stood after that commit, oldest first."""

    repo_id: str
    private: bool
    commits: dict[str, dict[str, _File]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.commit({}, "initial commit")

    @property
    def head(self) -> str:
        return next(reversed(self.commits))

    def resolve(self, revision: str) -> str:
        """The commit id of a segment name or of a (full) commit id."""
        commit_id = self.head if revision == "main" else revision
        if commit_id not in self.commits:
            raise _Refusal(404, "RevisionNotFound", f"{self.repo_id} has no revision {revision}")
        return commit_id

    def commit(self, files: dict[str, _File], summary: str) -> str:
        state = "".join(f"{path}{file.etag}" for path, file in sorted(files.items()))
        oid = hashlib.sha1(f"{len(self.commits)}{self.repo_id}{summary}{state}".encode()).hexdigest()
        self.commits[oid] = files
        return oid

    def described(self, commit_id: str) -> dict[str, Any]:
        """The answer to "what is this repository?" (`model_info`, `dataset_info`)."""
        return {
            "_id": hashlib.sha1(self.repo_id.encode()).hexdigest()[:24],
            "id": self.repo_id,
            "modelId": self.repo_id,
            "sha": commit_id,
            "private": self.private,
            "gated": False,
            "disabled": False,
            "tags": [],
            "downloads": 0,
            "likes": 0,
            "createdAt": TIMESTAMP,
            "lastModified": TIMESTAMP,
            "siblings": [{"rfilename": path} for path in sorted(self.commits[commit_id])],
        }


def _tree(files: dict[str, _File], folder: str, recursive: bool) -> list[dict[str, Any]]:
    """The entries below `folder` ("" is the root); folders are listed before what they hold."""
    prefix = f"{folder}/" if folder else ""
    entries: dict[str, dict[str, Any]] = {}
    for path in sorted(path for path in files if path.startswith(prefix)):
        parents = path[len(prefix) :].split("/")[:-1]
        for depth in range(1, len(parents) + 1 if recursive else min(len(parents), 1) + 1):
            name = prefix + "/".join(parents[:depth])
            oid = hashlib.sha1(name.encode()).hexdigest()
            entries.setdefault(name, {"type": "directory", "path": name, "size": 0, "oid": oid})
        if recursive or not parents:
            entries[path] = files[path].described(path)
    return list(entries.values())


class _Handler(BaseHTTPRequestHandler):
    """One request. A route is a method, a pattern of the path and the name of the method that answers."""

    protocol_version = "HTTP/1.1"  # keep-alive, as the client expects
    server: "_Server"

    REPOSITORY = r"(?P<repo_type>models|datasets)/(?P<repo_id>[^/]+/[^/]+?)"
    ROUTES = [
        ("GET", r"/api/whoami-v2", "whoami"),
        ("POST", r"/api/repos/create", "create_repository"),
        ("POST", r"/api/validate-yaml", "validate_card"),
        ("POST", rf"/api/{REPOSITORY}/preupload/(?P<revision>[^/]+)", "preupload"),
        ("POST", rf"/api/{REPOSITORY}/commit/(?P<revision>[^/]+)", "commit"),
        ("POST", rf"/api/{REPOSITORY}/paths-info/(?P<revision>[^/]+)", "paths_info"),
        ("GET", rf"/api/{REPOSITORY}/tree/(?P<revision>[^/]+)(?:/(?P<folder>.+))?", "tree"),
        ("GET", rf"/api/{REPOSITORY}(?:/revision/(?P<revision>[^/]+))?", "information"),
        ("POST", r"/(?:datasets/)?[^/]+/[^/]+\.git/info/lfs/objects/batch", "lfs_batch"),
        ("PUT", r"/lfs/(?P<oid>[0-9a-f]{64})", "lfs_upload"),
        (
            "GET",
            r"/(?:(?P<repo_type>datasets)/)?(?P<repo_id>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)",
            "file",
        ),
    ]

    # ------------------------------------------------------------------------------------------- transport
    def _dispatch(self) -> None:
        chunked = self.headers.get("Transfer-Encoding") == "chunked"
        self.body = self._read_chunks() if chunked else self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        self.query = parse_qs(url.query)
        try:
            with self.server.lock:
                reply = self._answer(unquote(url.path))
        except _Refusal as refusal:
            reply = _json({"error": refusal.message}, refusal.status)
            reply.headers |= {"X-Error-Code": refusal.code, "X-Error-Message": refusal.message}
        self.send_response(reply.status)
        for name, value in {**reply.headers, "Content-Length": str(len(reply.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    do_GET = do_HEAD = do_POST = do_PUT = _dispatch

    def _answer(self, path: str) -> _Reply:
        self.server.requests.append((self.command, path))
        method = "GET" if self.command == "HEAD" else self.command
        for route_method, pattern, name in self.ROUTES:
            match = re.fullmatch(pattern, path)
            if match and method == route_method:
                return getattr(self, name)(**match.groupdict())
        raise _Refusal(404, "RouteNotFound", f"the local Hub has no endpoint {self.command} {path}")

    def _read_chunks(self) -> bytes:
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent: `LocalHub.requests` is the log."""

    def _at(self, repo_type: str | None, repo_id: str, revision: str | None) -> tuple[_Repository, str]:
        """The repository and the commit that a request names."""
        repository = self.server.repositories.get((repo_type or "models", repo_id))
        if repository is None:
            raise _Refusal(404, "RepoNotFound", f"there is no repository {repo_id}")
        return repository, repository.resolve(revision or "main")

    def _files(self, repo_type: str | None, repo_id: str, revision: str | None) -> dict[str, _File]:
        repository, commit_id = self._at(repo_type, repo_id, revision)
        return repository.commits[commit_id]

    # ---------------------------------------------------------------------------------------- repositories
    def whoami(self) -> _Reply:
        return _json({"type": "user", "name": "tester", "fullname": "tester", "orgs": [], "auth": {}})

    def create_repository(self) -> _Reply:
        request = json.loads(self.body)
        repo_type = request.get("type", "model") + "s"
        repo_id = f"{request.get('organization') or 'tester'}/{request['name']}"
        url = f"{self.server.url}/{repo_id if repo_type == 'models' else f'{repo_type}/{repo_id}'}"
        if (repo_type, repo_id) in self.server.repositories:
            return _json({"url": url, "error": "You already created this repository"}, status=409)
        is_private = bool(request.get("private")) or request.get("visibility") == "private"
        self.server.repositories[repo_type, repo_id] = _Repository(repo_id, is_private)
        return _json({"url": url, "name": repo_id, "id": repo_id})

    def validate_card(self) -> _Reply:
        return _json({"errors": [], "warnings": []})

    def information(self, repo_type: str, repo_id: str, revision: str | None) -> _Reply:
        repository, commit_id = self._at(repo_type, repo_id, revision)
        return _json(repository.described(commit_id))

    def tree(self, repo_type: str, repo_id: str, revision: str, folder: str | None) -> _Reply:
        recursive = self.query.get("recursive", ["false"])[0].lower() in ("true", "1")
        entries = _tree(self._files(repo_type, repo_id, revision), folder or "", recursive)
        if folder and not entries:
            raise _Refusal(404, "EntryNotFound", f"{repo_id} has no folder {folder}")
        return _json(entries)

    def paths_info(self, repo_type: str, repo_id: str, revision: str) -> _Reply:
        files = self._files(repo_type, repo_id, revision)
        form = self.body.decode()
        wanted = json.loads(form)["paths"] if form.startswith("{") else parse_qs(form)["paths"]
        return _json([files[path].described(path) for path in wanted if path in files])

    # ---------------------------------------------------------------------------------------------- upload
    def preupload(self, repo_type: str, repo_id: str, revision: str) -> _Reply:
        present = self._files(repo_type, repo_id, revision)
        answers = []
        for path in (file["path"] for file in json.loads(self.body)["files"]):
            mode = "lfs" if path.endswith(LFS_SUFFIXES) else "regular"
            oid = present[path].etag if path in present else None
            answers.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return _json({"files": answers})

    def lfs_batch(self) -> _Reply:
        answers = []
        for wanted in json.loads(self.body)["objects"]:
            answer = {"oid": wanted["oid"], "size": wanted["size"], "authenticated": True}
            if wanted["oid"] not in self.server.lfs_objects:
                answer["actions"] = {"upload": {"href": f"{self.server.url}/lfs/{wanted['oid']}", "header": {}}}
            answers.append(answer)
        return _json({"transfer": "basic", "objects": answers, "hash_algo": "sha256"})

    def lfs_upload(self, oid: str) -> _Reply:
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise _Refusal(400, "BadHash", f"the bytes sent for {oid} have another SHA-256")
        self.server.lfs_objects[oid] = self.body
        return _Reply(b"", {})

    def commit(self, repo_type: str, repo_id: str, revision: str) -> _Reply:
        repository, parent = self._at(repo_type, repo_id, revision)
        operations = [json.loads(line) for line in self.body.splitlines() if line.strip()]
        (header,) = _values(operations, "header")
        if header.get("parentCommit") not in (None, parent):
            raise _Refusal(412, "PreconditionFailed", "a commit has happened since the parent commit")
        oid = repository.commit(self._applied(repository.commits[parent], operations), header["summary"])
        url = f"{self.server.url}/{repo_id}/commit/{oid}"
        return _json({"success": True, "commitUrl": url, "commitOid": oid, "hookOutput": ""})

    def _applied(self, files: dict[str, _File], operations: list[dict[str, Any]]) -> dict[str, _File]:
        """A copy of `files` after the operations of one commit."""
        gone = {value["path"] for value in _values(operations, "deletedFile")}
        folders = tuple(value["path"].rstrip("/") + "/" for value in _values(operations, "deletedFolder"))
        files = {path: file for path, file in files.items() if path not in gone and not path.startswith(folders)}
        for value in _values(operations, "file"):
            files[value["path"]] = _File(base64.b64decode(value["content"]), is_lfs=False)
        for value in _values(operations, "lfsFile"):
            if value["oid"] not in self.server.lfs_objects:
                raise _Refusal(400, "MissingObject", f"{value['path']} was never uploaded")
            files[value["path"]] = _File(self.server.lfs_objects[value["oid"]], is_lfs=True)
        return files

    # -------------------------------------------------------------------------------------------- download
    def file(self, repo_type: str | None, repo_id: str, revision: str, path: str) -> _Reply:
        repository, commit_id = self._at(repo_type, repo_id, revision)
        stored = repository.commits[commit_id].get(path)
        if stored is None:
            raise _Refusal(404, "EntryNotFound", f"{repo_id} has no file {path} at {revision}")
        headers = {"X-Repo-Commit": commit_id, "ETag": f'"{stored.etag}"', "Accept-Ranges": "bytes"}
        headers["Content-Type"] = "application/octet-stream"
        total = len(stored.content)
        if stored.is_lfs:
            headers |= {"X-Linked-Size": str(total), "X-Linked-Etag": f'"{stored.etag}"'}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if wanted is None:
            return _Reply(stored.content, headers)
        first, last = int(wanted[1]), min(int(wanted[2] or total), total - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{total}"
        return _Reply(stored.content[first : last + 1], headers, status=206)


def _values(operations: Iterable[dict[str, Any]], key: str) -> Iterator[dict[str, Any]]:
    return (operation["value"] for operation in operations if operation["key"] == key)


class _Server(ThreadingHTTPServer):
    """What every request shares."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.lock = threading.Lock()
        self.repositories: dict[tuple[str, str], _Repository] = {}
        self.lfs_objects: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []


class LocalHub:
    """A Hub for as long as the `with` block lasts, on a free port of the loopback interface.

    Attributes:
        url (`str`): the endpoint, as in `HF_ENDPOINT`.
    """

    def __init__(self) -> None:
        self._server = _Server()
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.url = self._server.url

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def requests(self) -> list[tuple[str, str]]:
        """Every request so far, as `(method, path)`."""
        with self._server.lock:
            return list(self._server.requests)

    def files(self, repo_id: str, repo_type: str = "model", revision: str = "main") -> dict[str, bytes]:
        """The files of a repository, path to content, seen from the server's side."""
        with self._server.lock:
            repository = self._server.repositories[(f"{repo_type}s", repo_id)]
            return {path: file.content for path, file in repository.commits[repository.resolve(revision)].items()}

    def repositories(self) -> dict[tuple[str, str], bool]:
        """Kind and id of every repository, and whether it is private."""
        with self._server.lock:
            return {key: repository.private for key, repository in self._server.repositories.items()}

    def received(self) -> dict[tuple[str, str, str], bytes]:
        """Every file of every commit, by repository, commit and path, and whatever else was sent through LFS."""
        with self._server.lock:
            found = {("lfs", "", oid): content for oid, content in self._server.lfs_objects.items()}
            for (_, repo_id), repository in self._server.repositories.items():
                for oid, files in repository.commits.items():
                    found |= {(repo_id, oid, path): file.content for path, file in files.items()}
            return found

    def environment(self, home: str | os.PathLike[str]) -> dict[str, str]:
        """The environment of a client process whose Hub is this one and whose cache is below `home`.

        Xet is off: with it the client would send large files to another service, past this one.
        """
        ours = {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(Path(home) / "hf_home"),
            "HF_TOKEN": "hf_local",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HF_", "HUGGINGFACE_", "TRANSFORMERS_"))
        }
        return {**inherited, **ours}
