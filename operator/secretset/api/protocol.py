"""The server's side of HTTP: uvicorn's, with bounds on what comes before a request's body, and errors as JSON.

uvicorn itself takes headers of any length, for any time, and answers in plain text what is no HTTP.
"""

from __future__ import annotations

import asyncio
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEADERS_MAX = 65_536
"""Bytes of an address and headers that are waited for, beside what came with their beginning."""

_HEADER_SECONDS = 15.0
_REFUSAL = b'{"error":"Invalid request format","code":"GENERIC_BAD_REQUEST"}'


class Protocol(HttpToolsProtocol):
    """One connection."""

    _waited_for = 0
    _just_begun = False
    _due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connects: it has to ask something soon."""
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._expect_nothing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes, which may be the end of one request and the beginning of the next."""
        super().data_received(data)
        if self._due is not None and not self._just_begun:
            self._waited_for += len(data)
            if self._waited_for > HEADERS_MAX:
                self.send_400_response("")
        self._just_begun = False

    def on_message_begin(self) -> None:
        """A request begins."""
        self._expect()
        self._just_begun = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """All of its headers are there."""
        self._expect_nothing()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP; while another request is answered, the connection only ends."""
        del msg
        # At first there is none, whatever uvicorn's annotation says.
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is None or cycle.response_complete:
            self.transport.write(
                b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncache-control: no-store\r\n"
                b"connection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(_REFUSAL), _REFUSAL)
            )
        self.transport.close()

    def _expect(self) -> None:
        self._expect_nothing()
        self._due = self.loop.call_later(_HEADER_SECONDS, self.transport.close)

    def _expect_nothing(self) -> None:
        self._waited_for = 0
        if self._due is not None:
            self._due.cancel()
            self._due = None
