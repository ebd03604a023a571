"""From what an API server of a region answered to the reason that a user reads. By type, never by text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from secretset.domain import reasons
from secretset.kube import errors


@contextmanager
def region_problem(region: str, namespace: str, credentials: str = "its credentials") -> Iterator[None]:
    """Turn errors of a region's API server into problems; conflicts pass, because they only mean: look again.

    Raises:
        Problem: in place of the error.
    """
    try:
        yield
    except errors.NamespaceTerminating:
        raise reasons.namespace_missing(region, namespace, terminating=True) from None
    except errors.QuotaExceeded:
        raise reasons.quota_exceeded(region, namespace) from None
    except errors.Forbidden as error:
        raise reasons.permission_denied(region, error.verb, error.resource, namespace) from None
    except errors.NotFound:
        raise reasons.namespace_missing(region, namespace) from None
    except errors.Unauthorized:
        raise reasons.region_not_ready(region, f"{credentials} are not accepted.") from None
    except errors.Throttled as error:
        raise reasons.retrying(f"Region '{region}' asks to wait", after=error.retry_after) from None
    except errors.Invalid:
        raise reasons.retrying(f"Region '{region}' refuses the Secret") from None
    except (errors.Unreachable, errors.ServerError):
        raise reasons.region_unreachable(region) from None
