"""From what an API server of a region answered to the reason that a user reads. By type, never by text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from secretset.domain import reasons
from secretset.domain.reasons import Problem
from secretset.kube import errors

UNTRUSTED = "the certificate that its API server shows is not to be trusted."


class _Place(NamedTuple):
    """Where it happened."""

    region: str
    namespace: str
    credentials: str


# They only mean to look again, and pass.
_PASSING = (errors.Conflict, errors.AlreadyExists)
# The first that fits counts. What is not here, passes: it is not about the region (credentials that were replaced).
_PROBLEMS: tuple[tuple[type[errors.KubeError], Callable[[Any, _Place], Problem]], ...] = (
    (
        errors.NamespaceTerminating,
        lambda _, at: reasons.namespace_missing(at.region, at.namespace, terminating=True),
    ),
    (errors.QuotaExceeded, lambda _, at: reasons.quota_exceeded(at.region, at.namespace)),
    (
        errors.Forbidden,
        lambda error, at: reasons.permission_denied(at.region, error.verb, error.resource, at.namespace),
    ),
    (errors.Absent, lambda _, at: reasons.namespace_missing(at.region, at.namespace)),
    (errors.Unauthorized, lambda _, at: reasons.region_not_ready(at.region, f"{at.credentials} are not accepted.")),
    (
        errors.Throttled,
        lambda error, at: reasons.retrying(f"Region '{at.region}' asks to wait", after=error.retry_after),
    ),
    (errors.Invalid, lambda _, at: reasons.retrying(f"Region '{at.region}' refuses the Secret")),
    (errors.Untrusted, lambda _, at: reasons.region_not_ready(at.region, UNTRUSTED)),
    (errors.NoCredentials, lambda error, at: reasons.region_not_ready(at.region, f"{error}.")),
    (errors.Unreachable, lambda _, at: reasons.region_unreachable(at.region)),
    (errors.ServerError, lambda _, at: reasons.region_unreachable(at.region)),
    (errors.AnswerTooLong, lambda _, at: reasons.retrying(f"Region '{at.region}' gives an answer that is too long")),
    (
        errors.ApiError,  # from a proxy in between: 405, 451
        lambda error, at: reasons.retrying(
            f"Region '{at.region}' answers with HTTP {error.code}", after=error.retry_after
        ),
    ),
)


def problem_of(error: errors.KubeError, region: str, namespace: str, credentials: str) -> Problem | None:
    """What an error of a region's API server means; None if it only means to look again. See `region_problem`."""
    if isinstance(error, _PASSING):
        return None
    at = _Place(region, namespace, credentials)
    return next((make(error, at) for kind, make in _PROBLEMS if isinstance(error, kind)), None)


@contextmanager
def region_problem(
    region: str,
    namespace: str,
    credentials: str = "its credentials",
    on_denied: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Turn errors of a region's API server into problems.

    Args:
        region: its name.
        namespace: that the work is in.
        credentials: where they are from, for messages.
        on_denied: called when a right turns out to be missing.

    Raises:
        Problem: in place of the error.
        KubeError: what only means to look again: conflicts, and credentials that were replaced meanwhile.
    """
    try:
        yield
    except errors.KubeError as error:
        problem = problem_of(error, region, namespace, credentials)
        if problem is None:
            raise
        if problem.reason is reasons.Reason.PERMISSION_DENIED:
            on_denied()
        raise problem from None
