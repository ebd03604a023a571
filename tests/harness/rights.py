"""Rights: what the chart grants to its accounts, what they did with it, and how the two compare. No IO here.

A right is the smallest part of a rule: one account may do one verb to one resource, by one role.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

NAMESPACE = "secretset-system"
# Each region that is served from inside has an account of its own, all with the same roles.
AGENT = "secretset-agent"

Manifest = Mapping[str, Any]


class Right(NamedTuple):
    """What an account may do, or did.

    Attributes:
        account: name of the ServiceAccount; `secretset-agent` stands for those of all agents.
        role: that allows it: `ClusterRole secretset-operator`.
        group: API group; empty for the core's.
        resource: plural, with its subresource: `secretsets/status`.
        verb: as RBAC has it.
        name: of the object, where the rule names it; else empty.
    """

    account: str
    role: str
    group: str
    resource: str
    verb: str
    name: str

    def __str__(self) -> str:
        return f"{self.account} by {self.role}: {told(self)}"


class Refusal(NamedTuple):
    """What an account tried, and was not allowed.

    Attributes:
        account: as above.
        namespaced: whether it was in one namespace.
        group: as above.
        resource: as above.
        verb: as above.
        name: as above.
    """

    account: str
    namespaced: bool
    group: str
    resource: str
    verb: str
    name: str

    def __str__(self) -> str:
        return f"{self.account}: {told(self)} in {'a namespace' if self.namespaced else 'the whole cluster'}"


@dataclass(frozen=True, kw_only=True)
class Granted:
    """What a rendered chart grants.

    Attributes:
        rights: each right of each account of the chart.
        everywhere: those of them that hold in the whole cluster.
        shared: roles that are bound to groups of users, to which the accounts may belong.
    """

    rights: frozenset[Right]
    everywhere: frozenset[Right]
    shared: frozenset[str]


class Known(NamedTuple):
    """An entry of tests/rights-exceptions.yaml, for one verb.

    Attributes:
        account: as in a right.
        role: as in a right; empty in an entry about refusals.
        resource: with its group, as kubectl writes it: `leases.coordination.k8s.io`.
        verb: one of its verbs.
        reason: why it stands there.
    """

    account: str
    role: str
    resource: str
    verb: str
    reason: str

    def covers(self, right: Right) -> bool:
        """Whether this right is meant."""
        return (self.account, self.role, self.resource, self.verb) == (
            *(right.account, right.role),
            *(qualified(right.group, right.resource), right.verb),
        )

    def explains(self, refusal: Refusal) -> bool:
        """Whether this refusal is meant."""
        return (self.account, self.resource, self.verb) == (
            *(refusal.account, qualified(refusal.group, refusal.resource)),
            refusal.verb,
        )


@dataclass(frozen=True, kw_only=True)
class Exceptions:
    """What is known.

    Attributes:
        unused: rights that no test uses.
        sometimes: rights that only a race uses: one run of the tests may, and the next may not.
        refused: requests that are refused, and should be.
    """

    unused: Sequence[Known] = ()
    sometimes: Sequence[Known] = ()
    refused: Sequence[Known] = ()


def qualified(group: str, resource: str) -> str:
    """A resource as kubectl writes it: `secretsets.secretset.dev/status`."""
    plural, slash, sub = resource.partition("/")
    return f"{plural}{'.' if group else ''}{group}{slash}{sub}"


def told(what: Right | Refusal) -> str:
    """A verb and a resource, for people."""
    return f"{what.verb} {qualified(what.group, what.resource)}{f' {what.name!r}' if what.name else ''}"


def account_of(username: str) -> str | None:
    """The account of the chart that a user name stands for, or None.

    Args:
        username: as the API server knows it.
    """
    prefix = f"system:serviceaccount:{NAMESPACE}:"
    name = username.removeprefix(prefix)
    if name == username:
        return None
    return AGENT if name.startswith(f"{AGENT}-") else name


def rules_of(role: Manifest) -> Iterator[tuple[str, str, str, str]]:
    """(group, resource, verb, name or nothing) of each part of a role's rules.

    Raises:
        ValueError: a rule has a wildcard, or is about paths: neither can be compared.
    """
    for rule in role.get("rules") or ():
        parts = (rule.get("apiGroups") or (), rule.get("resources") or (), rule["verbs"])
        if not all(parts) or "*" in {each for part in parts for each in part}:
            raise ValueError(f"{role['metadata']['name']}: a rule with wildcards or without resources")
        names = rule.get("resourceNames") or [""]
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                yield from ((group, resource, verb, name) for verb in rule["verbs"] for name in names)


def granted(manifests: Iterable[Manifest]) -> Granted:
    """What manifests grant to ServiceAccounts of the operator's namespace; what all users get is not theirs.

    Raises:
        ValueError: a role is bound that is not there, or that nobody can compare.
    """
    roles: dict[str, Manifest] = {}
    bindings: list[Manifest] = []
    for each in manifests:
        if each["kind"] in {"Role", "ClusterRole"}:
            roles[f"{each['kind']} {each['metadata']['name']}"] = each
        elif each["kind"] in {"RoleBinding", "ClusterRoleBinding"}:
            bindings.append(each)
    rights: set[Right] = set()
    everywhere: set[Right] = set()
    shared: set[str] = set()
    for binding in bindings:
        role = f"{binding['roleRef']['kind']} {binding['roleRef']['name']}"
        for subject in binding["subjects"]:
            if subject["kind"] == "Group":
                shared.add(role)
            if subject["kind"] != "ServiceAccount" or subject["namespace"] != NAMESPACE:
                continue
            account = account_of(f"system:serviceaccount:{NAMESPACE}:{subject['name']}")
            if account is None or role not in roles:
                raise ValueError(f"{binding['metadata']['name']} binds the {role}, which is not there")
            found = {Right(account, role, *part) for part in rules_of(roles[role])}
            rights |= found
            if binding["kind"] == "ClusterRoleBinding":
                everywhere |= found
    return Granted(rights=frozenset(rights), everywhere=frozenset(everywhere), shared=frozenset(shared))


def exceptions(document: Mapping[str, Any]) -> Exceptions:
    """Read the entries of tests/rights-exceptions.yaml.

    Raises:
        ValueError: an entry lacks something, or has something that is unknown.
    """
    if document.keys() != {"unused", "sometimes", "refused"}:
        raise ValueError("three lists are wanted: unused, sometimes, refused")

    def read(entries: Sequence[Mapping[str, Any]] | None, fields: set[str]) -> list[Known]:
        found = []
        for entry in entries or ():
            if entry.keys() != fields or not all(entry.values()):
                raise ValueError(f"an entry has {sorted(fields)}, each with a value: {dict(entry)}")
            known = {"role": "", **{name: entry[name] for name in fields - {"verbs"}}}
            found += [Known(verb=verb, **known) for verb in entry["verbs"]]
        return found

    common = {"account", "resource", "verbs", "reason"}
    return Exceptions(
        unused=read(document["unused"], common | {"role"}),
        sometimes=read(document["sometimes"], common | {"role"}),
        refused=read(document["refused"], common),
    )


def used_of(grants: Granted, uses: Collection[Right]) -> frozenset[Right]:
    """The rights that were made use of.

    What a role of everybody allows as well is logged as allowed by either, whichever the API server came upon first
    (it has no order). So it counts for both: an account has its own, for where nobody gives it to everybody.

    Args:
        grants: what the chart grants.
        uses: what was done; each has the name of its object, or none.
    """
    roles = {(right.account, right.role) for right in grants.rights}
    alike = {
        each._replace(role=role)
        for each in uses
        if each.role in grants.shared
        for account, role in roles
        if account == each.account
    }
    done = alike.union(uses)
    bare = {each._replace(name="") for each in done}
    return frozenset(right for right in grants.rights if right in done or (not right.name and right in bare))


def too_many(grants: Granted, uses: Collection[Right], known: Exceptions) -> list[str]:
    """Rights that nothing used, but for those that are known; and known ones that something used, or that are gone."""
    used = used_of(grants, uses)
    idle = sorted(grants.rights - used)
    excepted = (*known.unused, *known.sometimes)
    said = [f"granted, and never used: {each}" for each in idle if not any(e.covers(each) for e in excepted)]
    for entry in excepted:
        if not any(entry.covers(each) for each in (grants.rights if entry in known.sometimes else idle)):
            about = f"{entry.account} by {entry.role}: {entry.verb} {entry.resource}"
            there = any(entry.covers(each) for each in grants.rights)
            said.append(f"an exception that is not needed, for it {'is used' if there else 'is not granted'}: {about}")
    return said


def too_few(grants: Granted, refusals: Iterable[Refusal], known: Exceptions) -> list[str]:
    """What accounts tried, and the chart grants nowhere; but for what is known.

    What the chart would grant in a namespace, and was not granted in that one, is for the platform team to give or
    not: tests about that take roles away.
    """
    return [
        f"tried, and never granted: {each}"
        for each in sorted(set(refusals))
        if not _could(grants, each) and not any(entry.explains(each) for entry in known.refused)
    ]


def not_refused(refusals: Collection[Refusal], known: Exceptions) -> list[str]:
    """Known refusals that did not happen."""
    return [
        f"an exception that is not needed, for it is not refused: {entry.account}: {entry.verb} {entry.resource}"
        for entry in known.refused
        if not any(entry.explains(each) for each in refusals)
    ]


def _could(grants: Granted, refusal: Refusal) -> bool:
    possible = grants.rights if refusal.namespaced else grants.everywhere
    wanted = (refusal.account, refusal.group, refusal.resource, refusal.verb)
    return any(
        (right.account, right.group, right.resource, right.verb) == wanted and right.name in {"", refusal.name}
        for right in possible
    )
