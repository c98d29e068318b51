"""WSGI and ASGI: what ends a response whose token would be refused."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, MutableMapping
from typing import Any

from ._problem import Refusal
from ._watch import Watch

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
WSGIApp = Callable[..., Iterable[Any]]

# Of a scope: takes the Watch of its connection.
ATTEND = "authfi.attend"

_POLICY = 1008  # the code of a WebSocket that a policy closes, RFC 6455


class Checked:
    """Parts of a response. After the end none is given, and the server breaks off."""

    def __init__(self, parts: Iterable[Any], watch: Watch) -> None:
        self._parts = parts
        self._watch = watch

    def __iter__(self) -> Iterator[Any]:
        try:
            for part in self._parts:
                self._watch.check()
                yield part
        finally:
            self._watch.release()

    def close(self) -> None:
        self._watch.release()
        if hasattr(self._parts, "close"):
            self._parts.close()


async def checked_async(parts: AsyncIterator[Any], watch: Watch) -> AsyncIterator[Any]:
    """The same for a response that is awaited, which the end interrupts."""
    connection = Connection()
    try:
        connection.attend(watch)
        async for part in parts:
            watch.check()
            yield part
    except asyncio.CancelledError:
        if not connection.interrupted():
            raise
        watch.check()
    finally:
        connection.leave()


class Connection:
    """One task, which is interrupted when the Watch of it ends."""

    def __init__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("authfi: outside of a task")
        self._task = task
        self._loop = asyncio.get_running_loop()
        self._inside = True
        self._cancelled = False
        self._watches: list[Watch] = []

    def attend(self, watch: Watch) -> None:
        """May be called in any thread, and again."""
        self._watches.append(watch)
        watch.on_end(self._end)

    def _end(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._interrupt)
        except RuntimeError:
            pass  # the loop is closed, and with it the connection

    def _interrupt(self) -> None:
        if self._inside and not self._cancelled:
            self._cancelled = True
            self._task.cancel()

    @property
    def ended(self) -> Refusal | None:
        return next((watch.ended for watch in self._watches if watch.ended is not None), None)

    def interrupted(self) -> bool:
        """Whether a cancellation was the end of the Watch, and nothing else."""
        return self._cancelled and self._task.uncancel() == 0

    def complete(self) -> None:
        """Nothing is interrupted any more."""
        self._inside = False

    def leave(self) -> None:
        self.complete()
        for watch in self._watches:
            watch.release()


async def attended(app: ASGIApp, scope: Scope, receive: Receive, send: Send, watch: Watch | None = None) -> None:
    """Runs an application that is interrupted at the end of its Watch.

    Without one, whoever finds the caller out gives it to scope[ATTEND].
    """
    connection = Connection()
    began = streams = False

    async def sending(message: MutableMapping[str, Any]) -> None:
        nonlocal began, streams
        part = message["type"] == "http.response.body"
        whole = part and began and not streams and not message.get("more_body")
        if whole:
            connection.complete()  # an answer in one piece that has begun is not cut in two
        if connection.ended is None or whole:  # else the interruption is on its way
            began, streams = True, part
            await send(message)

    try:
        if watch is not None:
            connection.attend(watch)
        await app({**scope, ATTEND: connection.attend}, receive, sending)
    except asyncio.CancelledError:
        ended = connection.ended
        if ended is None or not connection.interrupted():
            raise
        if not began or scope["type"] == "websocket":
            await refuse(ended, scope, send)
        # Else it stays incomplete, and the server breaks off.
    finally:
        connection.leave()


async def refuse(refusal: Refusal, scope: Scope, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": _POLICY})  # before it was accepted: 403
        return
    headers = [(name.encode(), value.encode()) for name, value in refusal.headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": refusal.body})
