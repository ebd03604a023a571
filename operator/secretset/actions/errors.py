"""Why something that a user asked for is not done, as a type: each way in has words and codes of its own for it."""

from __future__ import annotations

from enum import StrEnum


class Why(StrEnum):
    """The reasons, a closed list."""

    ABSENT = "absent"
    OTHER_KIND = "other-kind"
    REGION_FIXED = "region-fixed"
    REGION_INVALID = "region-invalid"
    LAST_KEY = "last-key"
    INVALID = "invalid"
    CONFLICT = "conflict"
    NO_KEYS = "no-keys"
    NOT_HELD = "not-held"
    NO_ORGANIZATION = "no-organization"
    NOT_READY = "not-ready"
    TAKEN = "taken"
    IN_USE = "in-use"


class Refused(Exception):
    """It is not done, and nothing was changed; the message is a sentence that names the object and the rule.

    Attributes:
        why: the reason.
    """

    def __init__(self, why: Why, message: str) -> None:
        super().__init__(message)
        self.why = why
