"""The closed list of reasons that a status can give, with what each means for the next look at the object.

A message is built from names alone. It never carries a value, nor the text of an exception or of an API server's
answer: those may echo what was sent to them (CVE-2026-10101). `docs/reasons.md` has one row for each reason, and a
test compares it with this file.
"""

from __future__ import annotations

from enum import Enum, StrEnum

from secretset.domain import names
from secretset.domain.sealing import Cause


class Phase(StrEnum):
    """The three readiness states of the seeds (seeds/001, "Status")."""

    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"


class Retry(Enum):
    """When an object with a reason is looked at again, besides when something that we watch changes."""

    WATCHED = "when something it depends on changes"
    LOOK_AGAIN = "every 60 s, with jitter"
    BACKOFF = "with backoff, from 0.5 s up to 60 s"


class Reason(StrEnum):
    """Why an object is in its phase. The order is that of design.md."""

    ACCEPTED = "Accepted"
    REGION_UNREACHABLE = "RegionUnreachable"
    REGION_NOT_READY = "RegionNotReady"
    SOURCE_MISSING = "SourceMissing"
    NAMESPACE_MISSING = "NamespaceMissing"
    RETRYING = "Retrying"
    DELETION_BRAKED = "DeletionBraked"
    REGION_UNKNOWN = "RegionUnknown"
    REGION_FORBIDDEN = "RegionForbidden"
    SOURCE_FORBIDDEN = "SourceForbidden"
    NAME_CONFLICT = "NameConflict"
    UNSEAL_FAILED = "UnsealFailed"
    TOO_LARGE = "TooLarge"
    INVALID_SPEC = "InvalidSpec"
    PERMISSION_DENIED = "PermissionDenied"
    QUOTA_EXCEEDED = "QuotaExceeded"
    SYNCED = "Synced"

    @property
    def phase(self) -> Phase:
        """The phase that this reason belongs to; it has no other."""
        return _RULES[self][0]

    @property
    def retry(self) -> Retry:
        """When an object with this reason is looked at again."""
        return _RULES[self][1]


_RULES: dict[Reason, tuple[Phase, Retry]] = {
    Reason.ACCEPTED: (Phase.PENDING, Retry.WATCHED),
    Reason.REGION_UNREACHABLE: (Phase.PENDING, Retry.BACKOFF),
    Reason.REGION_NOT_READY: (Phase.PENDING, Retry.BACKOFF),
    Reason.SOURCE_MISSING: (Phase.PENDING, Retry.WATCHED),
    Reason.NAMESPACE_MISSING: (Phase.PENDING, Retry.BACKOFF),
    Reason.RETRYING: (Phase.PENDING, Retry.BACKOFF),
    Reason.DELETION_BRAKED: (Phase.PENDING, Retry.WATCHED),
    Reason.REGION_UNKNOWN: (Phase.FAILED, Retry.WATCHED),
    Reason.REGION_FORBIDDEN: (Phase.FAILED, Retry.WATCHED),
    Reason.SOURCE_FORBIDDEN: (Phase.FAILED, Retry.WATCHED),
    Reason.NAME_CONFLICT: (Phase.FAILED, Retry.LOOK_AGAIN),
    Reason.UNSEAL_FAILED: (Phase.FAILED, Retry.WATCHED),
    Reason.TOO_LARGE: (Phase.FAILED, Retry.WATCHED),
    Reason.INVALID_SPEC: (Phase.FAILED, Retry.WATCHED),
    Reason.PERMISSION_DENIED: (Phase.FAILED, Retry.LOOK_AGAIN),
    Reason.QUOTA_EXCEEDED: (Phase.FAILED, Retry.LOOK_AGAIN),
    Reason.SYNCED: (Phase.READY, Retry.WATCHED),
}


class Problem(Exception):
    """Why an object cannot be synced now. Its type is one; its reason decides phase, condition, event and retry.

    Attributes:
        reason: one of the closed list.
        message: a sentence that names the object, the rule and the way out; never a value.
        after: seconds to wait at least, where an API server asked for it (Retry-After).
        complete: the message tells by itself how a deletion that waits for this can be finished.
    """

    def __init__(self, reason: Reason, message: str, *, after: float = 0.0, complete: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.after = after
        self.complete = complete


def region_unreachable(region: str, *, answers: bool = False) -> Problem:
    """The region's API server does not answer, or, with ``answers``, says that it is not ready."""
    why = "answers, but says that it is not ready" if answers else "cannot be reached"
    return Problem(Reason.REGION_UNREACHABLE, f"Region '{region}' {why}; it is tried again.")


def region_not_ready(region: str, why: str) -> Problem:
    """The region is known but cannot be used: ``why`` is a closed sentence of the region's own status."""
    return Problem(Reason.REGION_NOT_READY, f"Region '{region}' is not ready: {why}")


def region_not_served(region: str) -> Problem:
    """No replica of the operator that lives can serve the region."""
    return region_not_ready(region, "no replica of the operator serves it; start one with --regions that names it.")


def region_unknown(region: str | None) -> Problem:
    """No region of this name, or none named and no default to fall back on."""
    if region is None:
        return Problem(
            Reason.REGION_UNKNOWN,
            "No region is named and there is no default: set spec.region, annotate the namespace with "
            f"'{names.ANNOTATION_DEFAULT_REGION}', or mark a Region with spec.default.",
        )
    return Problem(
        Reason.REGION_UNKNOWN, f"Region '{region}' does not exist; `kubectl get regions` lists those that do."
    )


def region_forbidden(region: str, why: str) -> Problem:
    """The platform team's rules do not let this organization use the region, or use that namespace there."""
    return Problem(Reason.REGION_FORBIDDEN, f"Region '{region}' is not open to this set: {why}")


def source_missing(namespace: str, name: str, key: str | None = None) -> Problem:
    """A source Secret, or the key in it, does not exist (yet)."""
    what = f"Secret '{name}'" if key is None else f"Key '{key}' of Secret '{name}'"
    return Problem(
        Reason.SOURCE_MISSING,
        f"{what} does not exist in namespace '{namespace}'; the set goes on as soon as it does.",
    )


def source_forbidden(namespace: str, name: str) -> Problem:
    """A source Secret exists but its owner did not offer it."""
    return Problem(
        Reason.SOURCE_FORBIDDEN,
        f"Secret '{name}' in namespace '{namespace}' is not offered as a source: label it {names.LABEL_SOURCE}=true.",
    )


def namespace_missing(region: str, namespace: str, *, terminating: bool = False) -> Problem:
    """The namespace in the region is not there, or is being deleted."""
    state = "is being deleted" if terminating else "does not exist"
    return Problem(
        Reason.NAMESPACE_MISSING,
        f"Namespace '{namespace}' {state} in region '{region}': create it, or let the Region create namespaces "
        "(spec.createNamespaces).",
    )


def secret_taken(region: str, namespace: str, name: str) -> Problem:
    """A Secret that is not ours stands where the managed Secret should."""
    return Problem(
        Reason.NAME_CONFLICT,
        f"Secret '{name}' in namespace '{namespace}' of region '{region}' belongs to somebody else and is left "
        "untouched: rename the set, or remove that Secret.",
    )


def name_taken(other: names.Key) -> Problem:
    """The other kind already has an object of this name (names are unique over both kinds)."""
    return Problem(
        Reason.NAME_CONFLICT,
        f"The name is taken by the older {other.kind} '{other.name}' in this namespace: both kinds share names.",
    )


_UNOPENED = {
    Cause.MALFORMED: "is damaged: seal it anew.",
    Cause.UNKNOWN_KEY: "was sealed for a key that this installation does not hold: seal it anew, or have the platform "
    "team restore that key; the set goes on as soon as it is back.",
    Cause.NOT_FOR_HERE: "was sealed for another installation, kind, namespace, name or key, or was altered: seal it "
    "anew for this place.",
}


def unseal_failed(key: str, why: Cause) -> Problem:
    """A sealed value cannot be opened."""
    return Problem(Reason.UNSEAL_FAILED, f"The sealed value of '{key}' {_UNOPENED[why]}")


def value_too_large(key: str) -> Problem:
    """One value is over the limit of the seeds (seeds/004, "Secret values")."""
    return Problem(Reason.TOO_LARGE, f"The value of '{key}' is longer than {names.VALUE_MAX_BYTES:,} bytes.")


def content_too_large() -> Problem:
    """All values together are over what a Secret can hold."""
    return Problem(
        Reason.TOO_LARGE, f"The values of the set are together longer than {names.CONTENT_MAX_BYTES // 1024} KiB."
    )


def invalid_spec(why: str) -> Problem:
    """A rule that the schema cannot express was broken; ``why`` names it, never a value."""
    return Problem(Reason.INVALID_SPEC, why)


def invalid_window(field: str, value: str, rule: str) -> Problem:
    """A field of ``spec.restart.window`` cannot be used; what it says is no secret, and is shown.

    Args:
        field: its name in the spec.
        value: what it says.
        rule: what it breaks, and how to do it right: the end of the sentence.
    """
    return invalid_spec(f"spec.restart.window.{field} '{value}' {rule}.")


def permission_denied(region: str, verb: str, resource: str, namespace: str) -> Problem:
    """The operator may not do what it must."""
    return Problem(
        Reason.PERMISSION_DENIED,
        f"The operator may not {verb} {resource} in namespace '{namespace}' of region '{region}': "
        "grant it the role that the region's namespaces need.",
    )


def quota_exceeded(region: str, namespace: str) -> Problem:
    """A ResourceQuota of the region refuses another Secret."""
    return Problem(
        Reason.QUOTA_EXCEEDED,
        f"The quota of namespace '{namespace}' in region '{region}' leaves no room for the Secret.",
    )


def retrying(what: str, *, after: float = 0.0) -> Problem:
    """Something that time may mend; ``what`` is a closed phrase."""
    return Problem(Reason.RETRYING, f"{what}; it is tried again.", after=after)


def deletion_braked() -> Problem:
    """Too many sets were deleted at once. No number in the text: it stays the same for as long as the set waits."""
    return Problem(
        Reason.DELETION_BRAKED,
        "Many sets were deleted at once, and this one waits for its turn. To keep its Secret in the region set "
        "spec.deletionPolicy to Retain; to let all go sooner raise --deletions-per-minute of the operator.",
        complete=True,
    )


def tombstone_denied(verb: str, namespace: str) -> Problem:
    """The operator may not remember what is left behind: a right on the hub is missing, none of the region."""
    return Problem(
        Reason.PERMISSION_DENIED,
        f"The operator may not {verb} configmaps in its own namespace '{namespace}' of the hub, where it remembers "
        "what is left behind: apply the Role in deploy/rbac.yaml (of a replica inside of a region: agent-hub.yaml).",
        complete=True,
    )


def left_too_many(region: str, organization: str, limit: int) -> Problem:
    """No more is remembered of what an organization leaves behind in a region."""
    return Problem(
        Reason.RETRYING,
        f"Organization '{organization}' has left {limit:,} Secrets in region '{region}' already, and no more are "
        "remembered: this set waits for its region. To let it go and keep its Secret there set spec.deletionPolicy to "
        "Retain; to let all go the platform team sets spec.decommissioned on the Region.",
        complete=True,
    )


def ways_out(problem: Problem) -> str:
    """Why an object that is being deleted is still there, and how its deletion can be finished all the same."""
    if problem.complete:
        return problem.message
    return (
        f"{problem.message} To let the object go without waiting annotate it with {names.ANNOTATION_ABANDON}=true, or "
        "set spec.decommissioned on its Region: what is left there is remembered, and removed when the region is back."
    )
