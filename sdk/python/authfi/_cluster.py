"""One way to ask the nodes of a cluster, over REST.

Which node is asked, repetition, conditions, pages and errors. The operations are rows of
the API's document.
"""

import asyncio
import http.client
import json
import os
import random
import secrets
import socket
import ssl
import threading
import time
import urllib.parse
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

_PATIENCE = 30.0  # seconds, as all times here; a leader is found in a few
_REPLY_TIMEOUT = 10.0  # of one node: twice what a node waits for the others
_PAUSE_FIRST = 0.05
_PAUSE_MAX = 1.0
_ANSWER_MAX = 128 * 1024 * 1024  # bytes; a page of 1,000 users, each with all it may have
_PIECE = 64 * 1024  # bytes that are read at once
_INDEX = "X-Authfi-Index"
_FAILURES = (OSError, http.client.HTTPException)


@dataclass(frozen=True)
class Operation:
    """A row of the API's document."""

    name: str
    method: str
    path: str  # with {names} of fields
    body: str = ""  # "*": what the path does not hold; a name: that field alone; empty: none
    read: bool = False  # changes nothing
    conditional: bool = False  # takes If-Match
    anonymous: bool = False  # what it holds is the credential
    local: bool = False  # about the node that answers: the next one would do it to itself


class Fault(TypedDict):
    """Why one of several was not done."""

    code: str
    field: str


class Problem(Exception):
    """What a node answers when it does not do what it was asked, or that none has answered."""

    def __init__(self, operation: str, status: int, said: Mapping[str, Any], request_id: str = "") -> None:
        self.operation = operation
        self.status = status  # zero: nobody has answered
        self.code = _text(said, "code")  # a stable word for programs
        self.title = _text(said, "title")
        self.detail = _text(said, "detail")  # one sentence for people
        self.field = _text(said, "field")  # of the request, which is at fault; empty when no single one is
        self.request_id = request_id  # names the request in the node's logs
        first = f"authfi: {operation}: {status or 'no answer'} {self.code}".rstrip()
        super().__init__(": ".join(part for part in (first, self.field, self.detail) if part))


class NotFound(Problem):
    """There is no such object."""


class Conflict(Problem):
    """With what is there."""


class Condition(Problem):
    """A condition of the change failed."""


class Changed(Condition):
    """The object has changed since the version of if_version."""


class Denied(Problem):
    """To this caller."""


class Unavailable(Problem):
    """It cannot be now, within the patience."""


# Unavailable says that the same request may be answered otherwise soon.
_KINDS: dict[int, type[Problem]] = {
    0: Unavailable, 403: Denied, 404: NotFound, 409: Conflict, 412: Condition, 502: Unavailable, 503: Unavailable, 504: Unavailable,
}  # fmt: skip


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    return value if isinstance(value, str) else ""


def _problem(operation: Operation, status: int, body: bytes, request_id: str) -> Problem:
    """Reads an answer that is no success. What stands between may answer in a form of its own."""
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    said = said if isinstance(said, dict) else {}
    kind = _KINDS.get(status, Problem)
    if kind is Condition and said.get("field") == "version":
        kind = Changed
    return kind(operation.name, status, said, request_id)


@dataclass(frozen=True)
class _Request:
    path: str  # with the query
    body: bytes | None


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _prepare(operation: Operation, given: Mapping[str, object]) -> _Request:
    """Puts the fields where the operation has them. One that is None is absent.

    Behind a name that is a word of Python there is an underscore: from_.
    """
    fields = {name.removesuffix("_"): value for name, value in given.items() if value is not None}
    path = operation.path
    for name in [part.partition("}")[0] for part in path.split("{")[1:]]:
        value = _word(fields.pop(name, ""))
        if value in ("", ".", ".."):  # it would be the path of something else
            raise ValueError(f"authfi: {operation.name} needs {name}")
        path = path.replace("{" + name + "}", urllib.parse.quote(value, safe=""), 1)
    if operation.body == "*":
        return _Request(path, json.dumps(fields).encode())
    body = None
    if operation.body:
        body = json.dumps({operation.body: fields.pop(operation.body, [])}).encode()  # such a body is a list
    query = [(n, _word(v)) for n, held in sorted(fields.items()) for v in (held if isinstance(held, (list, tuple)) else [held])]
    return _Request(path + ("?" + urllib.parse.urlencode(query) if query else ""), body)


def _headers(operation: Operation, if_version: int | None, idempotency_key: str | None, newest: bool, seen: int) -> dict[str, str]:
    """What is sent besides the fields. What an operation does not take is not left out silently."""
    headers = {"Accept": "application/json"}
    if newest or seen > 0:
        headers[_INDEX] = "newest" if newest else str(seen)
    if if_version is not None:
        if not operation.conditional:
            raise ValueError(f"authfi: {operation.name} takes no version")
        if if_version < 1:
            raise ValueError(f"authfi: {if_version} is no version")
        headers["If-Match"] = f'"{if_version}"'
    if operation.read and idempotency_key is not None:
        raise ValueError(f"authfi: {operation.name} changes nothing and takes no key")
    if not operation.read:
        headers["Idempotency-Key"] = idempotency_key or secrets.token_hex(16)
    return headers


class _Nodes:
    """The nodes as who asks sees them: one, and the next when it does not answer."""

    def __init__(
        self, nodes: Sequence[str] | None, token: str | None, credential: Callable[[], str] | None, ca_file: str | None, patience: float
    ) -> None:
        urls = os.environ.get("AUTHFI_URL", "")
        nodes = (urls.split(",") if urls else []) if nodes is None else nodes
        self._bases = [node.strip().rstrip("/") for node in nodes]
        if not self._bases or not all(base.startswith("https://") for base in self._bases):
            raise ValueError(f"authfi: {self._bases} are not https URLs of nodes; AUTHFI_URL has them, with commas")
        token = os.environ.get("AUTHFI_TOKEN", "") if token is None else token
        if credential is None and not token:
            raise ValueError("authfi: there is no credential; AUTHFI_TOKEN has an operator's token, that of a session, or an API key")
        if not patience > 0:
            raise ValueError(f"authfi: a patience of {patience} s")
        self._credential = credential or (lambda: token)
        self._patience = patience
        self._tls = ssl.create_default_context(cafile=ca_file or os.environ.get("AUTHFI_CACERT") or None)
        self._lock = threading.Lock()
        self._turn = 0  # guarded by the lock, as is the index
        self.index = 0

    def reached(self, index: int) -> None:
        with self._lock:
            self.index = max(self.index, index)

    def call(
        self, operation: Operation, fields: Mapping[str, object], gone: threading.Event,
        if_version: int | None = None, idempotency_key: str | None = None, newest: bool = False,
    ) -> Any:  # fmt: skip
        """Repeats a request until it is answered for good, the patience ends or the caller is gone."""
        if operation.local and len(self._bases) > 1:
            raise ValueError(f"authfi: {operation.name} is about the node that answers: ask with that one alone")
        asked = _prepare(operation, fields)
        headers = _headers(operation, if_version, idempotency_key, newest, self.index)
        until = time.monotonic() + self._patience
        pause = _PAUSE_FIRST
        while True:
            turn = self._turn
            try:
                return self._once(self._bases[turn % len(self._bases)], operation, asked, headers, until)
            except Unavailable:
                wait = pause * (1 + random.random()) / 2
                if operation.local or time.monotonic() + wait >= until or gone.wait(wait):
                    raise
            with self._lock:
                self._turn += self._turn == turn  # unless another call has moved on already
            pause = min(2 * pause, _PAUSE_MAX)

    def _once(self, base: str, operation: Operation, asked: _Request, headers: Mapping[str, str], until: float) -> Any:
        sent = dict(headers)
        if asked.body is not None:
            sent["Content-Type"] = "application/json"
        if not operation.anonymous:
            sent["Authorization"] = f"Bearer {self._credential()}"
        end = min(until, time.monotonic() + _REPLY_TIMEOUT)
        url = urllib.parse.urlsplit(base)
        connection = http.client.HTTPSConnection(url.netloc, timeout=_left(end), context=self._tls)
        try:
            connection.request(operation.method, url.path + asked.path, asked.body, sent)
            sock = connection.sock
            sock.settimeout(_left(end))
            response = connection.getresponse()
            body = _read(response, sock, end)
        except _FAILURES as error:
            raise Unavailable(operation.name, 0, {"code": "unavailable", "detail": str(error)}) from error
        finally:
            connection.close()
        if response.status != 200:
            raise _problem(operation, response.status, body, response.headers.get("X-Request-Id", ""))
        if len(body) > _ANSWER_MAX:
            raise ValueError(f"authfi: the answer to {operation.name} has more than {_ANSWER_MAX} bytes")
        index = response.headers.get(_INDEX, "")
        if index.isascii() and index.isdigit():
            self.reached(int(index))
        return json.loads(body) or None


def _left(end: float) -> float:
    return max(0.001, end - time.monotonic())


def _read(response: http.client.HTTPResponse, sock: socket.socket, end: float) -> bytes:
    """The body, or one byte more than an answer may have."""
    body = bytearray()
    while len(body) <= _ANSWER_MAX:
        if time.monotonic() >= end:
            raise TimeoutError("the answer does not end")
        sock.settimeout(_left(end))
        piece = response.read1(_PIECE)
        if not piece:
            if response.length:
                raise http.client.IncompleteRead(bytes(body), response.length)
            return bytes(body)
        body += piece
    return bytes(body)


def _further(page: Mapping[str, Any], cursor: object) -> object:
    following: object = page.get("cursor")
    if following and following == cursor:
        raise ValueError("authfi: a page names itself as the next")
    return following


class _Cluster:
    def __init__(
        self, *, nodes: Sequence[str] | None = None, token: str | None = None, credential: Callable[[], str] | None = None,
        ca_file: str | None = None, patience: float = _PATIENCE,
    ) -> None:  # fmt: skip
        """Asks nobody yet.

        What is left out is taken from AUTHFI_URL, with commas, AUTHFI_TOKEN and
        AUTHFI_CACERT. credential gives the token instead, before each request, as when
        sessions are renewed; patience is how many seconds one call goes on repeating.
        """
        self._nodes = _Nodes(nodes, token, credential, ca_file, patience)

    @property
    def index(self) -> int:
        """The newest that an answer has told."""
        return self._nodes.index

    def reached(self, index: int) -> None:
        """Demands of every further answer that it is at least as new."""
        self._nodes.reached(index)


class Cluster(_Cluster):
    """Asks and waits. It may be used by many threads."""

    def _call(self, operation: Operation, fields: Mapping[str, object], **wishes: Any) -> Any:
        return self._nodes.call(operation, fields, threading.Event(), **wishes)

    def _all(self, operation: Operation, items: str, fields: Mapping[str, object], **wishes: Any) -> Iterator[Any]:
        cursor = fields.get("cursor")
        while True:
            page = self._call(operation, {**fields, "cursor": cursor}, **wishes)
            yield from page[items]
            cursor = _further(page, cursor)
            if not cursor:
                return


class AsyncCluster(_Cluster):
    """Asks in threads, so that the event loop is never held."""

    async def _call(self, operation: Operation, fields: Mapping[str, object], **wishes: Any) -> Any:
        gone = threading.Event()
        try:
            return await asyncio.to_thread(self._nodes.call, operation, fields, gone, **wishes)
        finally:
            gone.set()  # a call that is cancelled is not repeated

    async def _all(self, operation: Operation, items: str, fields: Mapping[str, object], **wishes: Any) -> AsyncIterator[Any]:
        cursor = fields.get("cursor")
        while True:
            page = await self._call(operation, {**fields, "cursor": cursor}, **wishes)
            for item in page[items]:
                yield item
            cursor = _further(page, cursor)
            if not cursor:
                return
