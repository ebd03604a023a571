"""What the operator needs to be allowed, and how a lack of it is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from secretset.domain.workloads import WorkloadKind

_ANY = "*"
_SECRETS = ("get", "list", "watch", "create", "update", "delete")
_WORKLOADS = ("get", "list", "watch", "patch")
# Accounts are read from their watch, and a patch answers with what became of one: none is got by itself.
_ACCOUNTS = ("list", "watch", "patch")


class Right(NamedTuple):
    """One verb on one resource, in RBAC's words; the core group is empty."""

    verb: str
    group: str
    resource: str


class Missing(NamedTuple):
    """A right that we do not have in a namespace; None stands for the whole cluster."""

    right: Right
    namespace: str | None


def needed(kinds: Iterable[WorkloadKind], *, pull_secrets: bool) -> tuple[Right, ...]:
    """What carrying out sets takes in one regional namespace.

    Args:
        kinds: of workloads that the region's cluster serves.
        pull_secrets: whether there are pull secrets to attach to ServiceAccounts.
    """
    rights = [Right(verb, "", "secrets") for verb in _SECRETS]
    rights += [Right(verb, kind.group, kind.plural) for kind in kinds for verb in _WORKLOADS]
    rights += [Right("list", "", "pods")]
    if pull_secrets:
        rights += [Right(verb, "", "serviceaccounts") for verb in _ACCOUNTS]
    return tuple(rights)


def cluster_rights(*, create_namespaces: bool) -> tuple[Right, ...]:
    """What a region takes in all of its cluster.

    To read single namespaces: roles end with their namespace, so that without this one that is gone looks like a role
    that was never granted; and the uid of `kube-system` is the cluster's identity.

    Args:
        create_namespaces: whether the Region says so (`spec.createNamespaces`).
    """
    return tuple(Right(verb, "", "namespaces") for verb in (("get", "create") if create_namespaces else ("get",)))


def shown(rules: Iterable[Mapping[str, Any]], right: Right) -> bool:
    """Whether rules grant a right on every object of the resource.

    A rule for single names (`resourceNames`) does not: it lets nobody list, nor create. A rule for a subresource
    (`secrets/status`) is none for the resource.

    Args:
        rules: of a SelfSubjectRulesReview (`status.resourceRules`); RBAC matches its own in the same way
            (`VerbMatches`, `APIGroupMatches` and `ResourceMatches` in k8s.io/kubernetes/pkg/apis/rbac/v1).
        right: what is looked for.
    """
    return any(
        not rule.get("resourceNames")
        and _has(rule.get("verbs"), right.verb)
        and _has(rule.get("apiGroups"), right.group)
        and _has(rule.get("resources"), right.resource)
        for rule in rules
    )


def tell(missing: Sequence[Missing], *, limit: int = 8) -> str:
    """What the operator may not do, as a sentence without its subject and full stop; empty if nothing is missing.

    The order in which it was found out, and how often, make no difference.

    Args:
        missing: any number.
        limit: how many pairs of namespace and resource are named, at least 1; the rest is only counted.
    """
    clauses = [
        f"may not {', '.join(lack.right.verb for lack in lacks)} {resource} {_where(namespace)}"
        for (namespace, _, resource), lacks in groupby(sorted(set(missing), key=_order), key=_place)
    ]
    rest = len(clauses) - limit
    return "; ".join([*clauses[:limit], f"and {rest} more"] if rest > 0 else clauses)


def _place(lack: Missing) -> tuple[str, str, str]:
    """The whole cluster comes first: what is missing there may be missing everywhere for the same cause."""
    return lack.namespace or "", lack.right.group, lack.right.resource


def _order(lack: Missing) -> tuple[tuple[str, str, str], str]:
    return _place(lack), lack.right.verb


def _where(namespace: str) -> str:
    return f"in namespace '{namespace}'" if namespace else "in the whole cluster"


def _has(listed: Sequence[str] | None, wanted: str) -> bool:
    """Whether a list of a rule names something, or all; the API leaves an empty list out."""
    return listed is not None and (wanted in listed or _ANY in listed)
