"""Reasons: a closed list, each with one phase and one retry; and how errors of a region become problems."""

from collections.abc import Callable

import pytest

from secretset.controller.translate import region_problem
from secretset.domain import reasons
from secretset.domain.reasons import Phase, Problem, Reason, Retry
from secretset.domain.sealing import Cause
from secretset.kube import errors
from unit.slots import OWNER

P, R, F = Phase.PENDING, Phase.READY, Phase.FAILED
WATCHED, AGAIN, BACKOFF = Retry.WATCHED, Retry.LOOK_AGAIN, Retry.BACKOFF

TABLE = {  # design.md, "Status"
    "Accepted": (P, WATCHED),
    "RegionUnreachable": (P, BACKOFF),
    "RegionNotReady": (P, BACKOFF),
    "SourceMissing": (P, WATCHED),
    "NamespaceMissing": (P, BACKOFF),
    "Retrying": (P, BACKOFF),
    "DeletionBraked": (P, WATCHED),
    "RegionUnknown": (F, WATCHED),
    "RegionForbidden": (F, WATCHED),
    "SourceForbidden": (F, WATCHED),
    "NameConflict": (F, AGAIN),
    "UnsealFailed": (F, WATCHED),
    "TooLarge": (F, WATCHED),
    "InvalidSpec": (F, WATCHED),
    "PermissionDenied": (F, AGAIN),
    "QuotaExceeded": (F, AGAIN),
    "Synced": (R, WATCHED),
}


def test_every_reason_has_its_phase_and_its_retry() -> None:
    assert {reason.value: (reason.phase, reason.retry) for reason in Reason} == TABLE


PROBLEMS: list[tuple[Problem, Reason, tuple[str, ...]]] = [
    (reasons.region_unreachable("us"), Reason.REGION_UNREACHABLE, ("'us'",)),
    (reasons.region_not_ready("us", "why."), Reason.REGION_NOT_READY, ("'us'", "why.")),
    (reasons.region_unknown("us"), Reason.REGION_UNKNOWN, ("'us'",)),
    (reasons.region_unknown(None), Reason.REGION_UNKNOWN, ("spec.region", "secretset.dev/default-region")),
    (reasons.region_forbidden("us", "why."), Reason.REGION_FORBIDDEN, ("'us'", "why.")),
    (reasons.source_missing("ns", "src"), Reason.SOURCE_MISSING, ("Secret 'src'", "'ns'")),
    (reasons.source_missing("ns", "src", "K"), Reason.SOURCE_MISSING, ("Key 'K' of Secret 'src'", "'ns'")),
    (reasons.source_forbidden("ns", "src"), Reason.SOURCE_FORBIDDEN, ("'src'", "'ns'", "secretset.dev/source=true")),
    (reasons.namespace_missing("us", "ns"), Reason.NAMESPACE_MISSING, ("'ns'", "'us'", "does not exist")),
    (reasons.namespace_missing("us", "ns", terminating=True), Reason.NAMESPACE_MISSING, ("is being deleted",)),
    (reasons.secret_taken("us", "ns", "app"), Reason.NAME_CONFLICT, ("'app'", "'ns'", "'us'")),
    (reasons.name_taken(OWNER), Reason.NAME_CONFLICT, ("SecretSet 'app'",)),
    (reasons.unseal_failed("K", Cause.MALFORMED), Reason.UNSEAL_FAILED, ("'K'",)),
    (reasons.value_too_large("K"), Reason.TOO_LARGE, ("'K'", "16,384")),
    (reasons.content_too_large(), Reason.TOO_LARGE, ("900 KiB",)),
    (reasons.invalid_spec("why."), Reason.INVALID_SPEC, ("why.",)),
    (reasons.permission_denied("us", "get", "secrets", "ns"), Reason.PERMISSION_DENIED, ("get secrets", "'ns'")),
    (reasons.quota_exceeded("us", "ns"), Reason.QUOTA_EXCEEDED, ("'ns'", "'us'")),
    (reasons.deletion_braked(), Reason.DELETION_BRAKED, ("spec.deletionPolicy", "--deletions-per-minute")),
    (reasons.retrying("That", after=3.0), Reason.RETRYING, ("That; it is tried again.",)),
    (reasons.left_too_many("us", "team", 1000), Reason.RETRYING, ("'us'", "'team'", "1,000", "spec.deletionPolicy")),
    (reasons.tombstone_denied("create", "sys"), Reason.PERMISSION_DENIED, ("create configmaps", "'sys'", "rbac.yaml")),
]


@pytest.mark.parametrize(("problem", "reason", "named"), PROBLEMS, ids=lambda x: getattr(x, "reason", None))
def test_a_problem_names_the_object_and_the_rule(problem: Problem, reason: Reason, named: tuple[str, ...]) -> None:
    assert problem.reason is reason
    assert all(text in problem.message for text in named), problem.message
    assert str(problem) == problem.message


def test_every_reason_but_the_two_that_are_no_problem_can_be_raised() -> None:
    assert {reason for _, reason, _ in PROBLEMS} == set(Reason) - {Reason.ACCEPTED, Reason.SYNCED}


def test_a_problem_keeps_what_the_server_asked_to_wait() -> None:
    assert reasons.retrying("x", after=3.0).after == 3.0
    assert reasons.retrying("x").after == 0.0


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.NamespaceTerminating(403), Reason.NAMESPACE_MISSING),
        (errors.QuotaExceeded(403), Reason.QUOTA_EXCEEDED),
        (errors.Forbidden(403), Reason.PERMISSION_DENIED),
        (errors.Absent(404), Reason.NAMESPACE_MISSING),
        (errors.Unauthorized(401), Reason.REGION_NOT_READY),
        (errors.Throttled(429, retry_after=7.0), Reason.RETRYING),
        (errors.Invalid(422), Reason.RETRYING),
        (errors.ServerError(500), Reason.REGION_UNREACHABLE),
        (errors.Unreachable(), Reason.REGION_UNREACHABLE),
        (errors.AnswerTooLong(), Reason.RETRYING),
        (errors.ApiError(451, retry_after=2.0), Reason.RETRYING),
    ],
)
def test_what_a_region_answered_becomes_a_problem(error: errors.KubeError, reason: Reason) -> None:
    with pytest.raises(Problem) as raised, region_problem("us", "ns"):
        raise error
    assert raised.value.reason is reason
    assert raised.value.after == getattr(error, "retry_after", 0.0)
    assert raised.value.__suppress_context__


@pytest.mark.parametrize("kind", [errors.Conflict, errors.AlreadyExists])
def test_a_conflict_passes_because_it_only_means_to_look_again(kind: Callable[[int], errors.ApiError]) -> None:
    with pytest.raises(errors.ApiError) as raised, region_problem("us", "ns"):
        raise kind(409)
    assert raised.value.code == 409
