"""What can go wrong between the operator and an API server, as data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

Where = Literal["write", "read", "watch"]
# What a request may be refused with.
CODES = (401, 403, 404, 409, 422, 429, 500, 503, 504)
RETRY_AFTER = 1  # seconds, of each 429

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}
# Stands in every answer that is made up; it must turn up in no status, event or log.
SAID = "said-by-a-fault-0f2d"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        where: with what kind of request.
        act: what happens; see `ACTS`.
        number: at which of those that match, from 1. For watches: at which event.
        times: for so many of them, one after the other.
        code: HTTP status of `answer`, `refuse` and `error`.
        resource: plural, with its subresource (`secretsets/status`); empty: any.
        plane: `hub`, or `far` for the region on another cluster.
    """

    where: Where
    act: str
    number: int = 1
    times: int = 1
    code: int = 0
    resource: str = ""
    plane: str = "hub"

    def __post_init__(self) -> None:
        if self.act not in ACTS[self.where]:
            raise ValueError(f"no such fault of a {self.where}: {self.act}")

    @property
    def crash(self) -> bool:
        """Whether the operator dies of it."""
        return self.act.startswith("crash")

    @property
    def loses_events(self) -> bool:
        """Whether only a comparison of everything (a resync) can make up for it: no API server does this by itself."""
        return self.act in {"swallow", "hang"}

    def __str__(self) -> str:
        """As `parse` reads it."""
        parts = [self.plane, self.where, self.resource or "any", f"{self.act}{self.code or ''}", str(self.number)]
        return ":".join(parts) + (f"x{self.times}" if self.times > 1 else "")


# The acts of each kind of request.
ACTS: dict[Where, dict[str, str]] = {
    "write": {
        "crash-before": "the operator is killed, and the request is lost",
        "crash-lost": "the API server does it, then the operator is killed without an answer",
        "crash-after": "the operator is killed when it has the answer",
        "answer": "refused with a code, and not done",
        "drop": "the connection is cut, and it is not done",
        "lose": "it is done, and the connection is cut without an answer",
        "duplicate": "it is sent twice, the first answer counts",
        "duplicate-second": "it is sent twice, the second answer counts",
        "delay": "it is sent two seconds later",
        "truncate": "it is done, and half of the answer comes",
    },
    "read": {
        "answer": "refused with a code",
        "drop": "the connection is cut",
        "delay": "it is sent two seconds later",
        "truncate": "half of the answer comes, as if that were all",
        "cut": "half of the answer comes, then the connection is cut",
    },
    "watch": {
        "cut": "the connection is cut instead of an event",
        "cut-after": "the connection is cut after an event",
        "hang": "from an event on, nothing comes",
        "swallow": "an event does not come",
        "repeat": "an event comes twice",
        "repeat-late": "an event comes again after the next one",
        "error": "an ERROR event with a code comes instead of an event, and the stream ends",
        "truncate": "half of an event comes, then the connection is cut",
        "refuse": "the connection is cut, and the next watch is refused with a code",
    },
}


@cache
def parse(text: str) -> Fault:
    """Read what ``str`` of a fault gave."""
    plane, where, resource, act, number = text.split(":")
    name = act.rstrip("0123456789")
    first, _, times = number.partition("x")
    kind: Any = where
    return Fault(
        plane=plane,
        where=kind,
        resource="" if resource == "any" else resource,
        act=name,
        code=int(act[len(name) :] or 0),
        number=int(first),
        times=int(times or 1),
    )


def of_write(number: int, plane: str = "hub") -> Iterator[Fault]:
    """All that can go wrong with one write, but crashes."""
    base = Fault(where="write", act="drop", number=number, plane=plane)
    for code in CODES:
        yield replace(base, act="answer", code=code)
    for act in ("drop", "lose", "duplicate", "duplicate-second", "delay", "truncate"):
        yield replace(base, act=act)


def crashes(number: int, plane: str = "hub") -> Iterator[Fault]:
    """The operator dies before, while and after one write."""
    for act in ("crash-before", "crash-lost", "crash-after"):
        yield Fault(where="write", act=act, number=number, plane=plane)


def of_read(resource: str, plane: str = "hub") -> Iterator[Fault]:
    """All that can go wrong with the next read of a resource."""
    base = Fault(where="read", act="drop", resource=resource, plane=plane)
    for code in (*CODES, 410):
        yield replace(base, act="answer", code=code)
    for act in ("drop", "delay", "truncate", "cut"):
        yield replace(base, act=act)


def of_watch(resource: str, plane: str = "hub") -> Iterator[Fault]:
    """All that can go wrong with a watch of a resource."""
    base = Fault(where="watch", act="cut", resource=resource, plane=plane)
    for act in ("cut", "cut-after", "hang", "swallow", "repeat", "repeat-late", "truncate"):
        yield replace(base, act=act)
    for code in (400, *CODES, 410):
        yield replace(base, act="error", code=code)
    for code in (403, 410, 429, 500, 503):
        yield replace(base, act="refuse", code=code)


def status(code: int) -> dict[str, Any]:
    """A metav1.Status of a refusal, as API servers word them."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": SAID,
        "reason": _REASONS[code],
        "code": code,
    }
    return body | ({"details": {"retryAfterSeconds": RETRY_AFTER}} if code == 429 else {})
