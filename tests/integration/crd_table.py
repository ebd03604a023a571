"""Objects that users write, and what kubectl tells them: the table of test_crds.py.

A message is compared from the path of the field on, because that is what leads a user to the line to mend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from secretset.domain.sealing import TEXT_MIN

Object = dict[str, Any]

# Stands wherever a secret could; digits, so that it can be a string and a number. No message may show it.
CANARY = "7239441058"
SEALED = {"sealed": f"hpke1.{CANARY}".ljust(TEXT_MIN, "x")}
REFERENCE = {"valueFrom": {"secretKeyRef": {"name": "source.v1", "key": "token"}}}

PLAIN_TEXT = (
    "Forbidden: plain text is never stored: seal it with 'secretset seal', reference a Secret with valueFrom, "
    "or install the sealing webhook"
)
EXACTLY_ONE = "Invalid value: needs exactly one of sealed, valueFrom and value"
NOT_SEALED = "Forbidden: must begin with 'hpke1.' and be 1,879 characters long at least: make it with 'secretset seal'"
NOT_A_SECRET = "Forbidden: must be the name of a Secret: lower-case letters, digits, '-' and '.'"
BAD_KEY = "spec.data: Invalid value: a key is 1 to 64 letters, digits, '_' and '-'"
BAD_TEMPLATE = "the template knows {namespace} and {region} only"
DURATION_RULE = "must be a time from 1m to 168h, such as '4h' or '1h30m'"
SUBDOMAIN = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'"


class Row(NamedTuple):
    """One object and the part of kubectl's answer that is compared; None if it is accepted."""

    id: str
    object: Object
    says: str | None = None
    only_server_side: bool = False  # a client-side apply keeps a copy in an annotation, which ends at 256 KiB


def secret_set(name: str = "web", **spec: Any) -> Object:
    """A valid SecretSet, but for what `spec` changes."""
    return _object("SecretSet", name, {"data": {"A": SEALED}, **spec})


def pull_secret(name: str = "ghcr", *, without: str = "", **spec: Any) -> Object:
    """A valid ImagePullSecret, but for what `spec` changes and `without` leaves out."""
    whole = {"host": "ghcr.io", "username": "bot", "password": SEALED, **spec}
    return _object("ImagePullSecret", name, {field: value for field, value in whole.items() if field != without})


def region(name: str = "us-west", **spec: Any) -> Object:
    """A Region."""
    return _object("Region", name, spec)


def _object(kind: str, name: str, spec: Object) -> Object:
    return {"apiVersion": "secretset.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def many(count: int, *, size: int = TEXT_MIN, value: Object | None = None) -> Object:
    """`count` values; sealed ones of `size` characters, unless a value is given."""
    return {f"KEY_{number}": value or {"sealed": "hpke1.".ljust(size, "x")} for number in range(count)}


def required(path: str) -> str:
    return f"{path}: Required value"


def unknown(path: str) -> str:
    return f'unknown field "{path}"'


def not_a(wanted: str, got: str, path: str) -> str:
    return f'{path}: Invalid value: "{got}": {path} in body must be of type {wanted}'


def too_long(path: str, limit: int) -> str:
    return f"{path}: Too long: may not be more than {limit} bytes"  # so says the API server; it counts characters


def _value_rows(prefix: str, make: Callable[[Any], Object], path: str, cel: str) -> Iterator[Row]:
    """What holds for every value, in a set and in a pull secret.

    Args:
        prefix: of the rows' ids.
        make: an object with this value.
        path: of the value, as the schema's messages write it.
        cel: the same, as the messages of CEL rules write it.
    """

    def row(name: str, value: Any, says: str | None) -> Row:
        return Row(f"{prefix}-{name}", make(value), says)

    def ref(**fields: Any) -> Object:
        return {"valueFrom": {"secretKeyRef": fields}}

    source = f"{path}.valueFrom.secretKeyRef"
    yield row("sealed", SEALED, None)
    yield row("reference", REFERENCE, None)
    yield row("none", {}, f"{cel}: {EXACTLY_ONE}")
    yield row("sealed-and-reference", {**SEALED, **REFERENCE}, f"{cel}: {EXACTLY_ONE}")
    yield row("plain", {"value": CANARY}, f"{cel}.value: {PLAIN_TEXT}")
    yield row("plain-empty", {"value": ""}, f"{cel}.value: {PLAIN_TEXT}")
    yield row("plain-and-sealed", {"value": CANARY, **SEALED}, f"{cel}.value: {PLAIN_TEXT}")
    yield row("plain-and-reference", {"value": CANARY, **REFERENCE}, f"{cel}: {EXACTLY_ONE}")
    yield row("all-three", {"value": CANARY, **SEALED, **REFERENCE}, f"{cel}: {EXACTLY_ONE}")
    yield row("sealed-plain", {"sealed": CANARY}, f"{cel}.sealed: {NOT_SEALED}")
    yield row(
        "sealed-upper-case", {"sealed": SEALED["sealed"].replace("hpke1", "HPKE1")}, f"{cel}.sealed: {NOT_SEALED}"
    )
    yield row("sealed-after-space", {"sealed": f" {SEALED['sealed']}"}, f"{cel}.sealed: {NOT_SEALED}")
    yield row("sealed-empty", {"sealed": ""}, f"{cel}.sealed: {NOT_SEALED}")
    yield row("sealed-prefixed", {"sealed": f"hpke1.0123456789abcdef.{CANARY}"}, f"{cel}.sealed: {NOT_SEALED}")
    yield row("sealed-cut", {"sealed": SEALED["sealed"][:-1]}, f"{cel}.sealed: {NOT_SEALED}")
    yield row("plain-number", {"value": int(CANARY)}, f"{cel}.value: Forbidden: must be text: put the number in quotes")
    yield row("plain-fraction", {"value": float(f"0.{CANARY}")}, not_a("integer,string", "number", f"{path}.value"))
    yield row("plain-boolean", {"value": True}, not_a("integer,string", "boolean", f"{path}.value"))
    yield row("plain-list", {"value": [CANARY]}, not_a("integer,string", "array", f"{path}.value"))
    yield row("plain-map", {"value": {"x": CANARY}}, unknown(f"{path}.value.x"))
    yield row("sealed-number", {"sealed": int(CANARY)}, not_a("string", "integer", f"{path}.sealed"))
    yield row("sealed-list", {"sealed": [CANARY]}, not_a("string", "array", f"{path}.sealed"))
    yield row("bare-string", CANARY, not_a("object", "string", path))
    yield row("bare-number", int(CANARY), not_a("object", "integer", path))
    yield row("bare-list", [CANARY], not_a("object", "array", path))
    yield row("misspelled", {"Value": CANARY, **SEALED}, unknown(f"{path}.Value"))
    yield row("reference-string", {"valueFrom": CANARY}, not_a("object", "string", f"{path}.valueFrom"))
    yield row("reference-empty", {"valueFrom": {}}, required(source))
    yield row("reference-without-name", ref(key="token"), required(f"{source}.name"))
    yield row("reference-without-key", ref(name="source"), required(f"{source}.key"))
    yield row("reference-key-empty", ref(name="source", key=""), f"{source}.key in body should be at least 1 chars")
    yield row("reference-upper-case", ref(name="Source", key="token"), NOT_A_SECRET)
    yield row("reference-long", ref(name="s" * 254, key="token"), too_long(f"{source}.name", 253))
    yield row("reference-elsewhere", ref(name="../../b/secrets/x", key="k"), f"{cel}.valueFrom.secretKeyRef.name: ")
    yield row("reference-namespace", ref(name="x", key="k", namespace="b"), unknown(f"{source}.namespace"))


def _common_rows(prefix: str, make: Callable[..., Object]) -> Iterator[Row]:
    """What holds for both kinds, apart from their values."""

    def row(name: str, says: str | None = None, /, **spec: Any) -> Row:
        return Row(f"{prefix}-{name}", make(**spec), says)

    restart = "spec.restart"
    yield row("name-of-3", name="abc")
    yield row("name-of-63", name="n" * 63)
    yield row("name-with-dots", name="team-a.web.v1")
    yield row("name-of-digits", name="007")
    yield row("name-of-2", "metadata.name: Invalid value: must be 3 to 63 characters long", name="ab")
    yield row("name-of-64", "metadata.name: Invalid value: must be 3 to 63 characters long", name="n" * 64)
    for bad in ("Web", "-web", "web-", "web_prod", "web..prod", "web.-prod"):
        yield row(f"name-{bad}", f'metadata.name: Invalid value: "{bad}": {SUBDOMAIN}', name=bad)
    yield row("description-1024", description="é" * 1024)
    yield row("description-1025", too_long("spec.description", 1024), description="d" * 1025)
    yield row("metadata", metadata={"owner": "payments", "ticket": "OPS-7"})
    yield row("metadata-number", not_a("string", "integer", "spec.metadata.ticket"), metadata={"ticket": 7})
    yield row("region-63", region="r" * 63)
    yield row("region-64", too_long("spec.region", 63), region="r" * 64)
    yield row("region-empty", "spec.region in body should be at least 1 chars long", region="")
    yield row("restart", restart={"policy": "Auto", "quietSeconds": 0, "maxWaitSeconds": 86400, "maxConcurrent": 1})
    yield row(
        "restart-policy",
        f'{restart}.policy: Unsupported value: "auto": supported values: "Auto", "Never"',
        restart={"policy": "auto"},
    )
    for field, number, rule in (
        ("quietSeconds", -1, "greater than or equal to 0"),
        ("quietSeconds", 3601, "less than or equal to 3600"),
        ("maxWaitSeconds", -1, "greater than or equal to 0"),
        ("maxConcurrent", 0, "greater than or equal to 1"),
    ):
        says = f"{restart}.{field}: Invalid value: {number}: {restart}.{field} in body should be {rule}"
        yield row(f"{field}-{number}", says, restart={field: number})
    yield row("seconds-text", not_a("integer", "string", f"{restart}.quietSeconds"), restart={"quietSeconds": "5s"})
    yield row("restart-misspelled", unknown("spec.restart.quietSecond"), restart={"quietSecond": 5})
    yield from _window_rows(prefix, make)
    yield row("deletion-retain", deletionPolicy="Retain")
    yield row(
        "deletion-orphan",
        'spec.deletionPolicy: Unsupported value: "Orphan": supported values: "Delete", "Retain"',
        deletionPolicy="Orphan",
    )
    yield row("string-data", unknown("spec.stringData"), stringData={"A": CANARY})


def _window_rows(prefix: str, make: Callable[..., Object]) -> Iterator[Row]:
    """Restart windows. What a schedule and a time zone are is for the operator to say."""

    def row(name: str, says: str | None = None, /, *, without: str = "", **changes: Any) -> Row:
        window = {"schedule": "0 2 * * 6", "duration": "4h", **changes}
        window.pop(without, None)
        return Row(f"{prefix}-window-{name}", make(restart={"window": window}), says)

    path = "spec.restart.window"
    yield row("plain")
    yield row("zone", timeZone="Europe/Berlin", schedule="@daily")
    for duration in ("1m", "60s", "90m", "1h30m", "604800s", "168h", "167h59m60s"):
        yield row(duration, duration=duration)
    for duration in ("", "0s", "59s", "168h1s", "999999h999999h9h", "-1h", "1.5h", "1d", "4", "4 h", "4h\n", "PT4H"):
        says = f'{path}.duration: Invalid value: "{duration}": {DURATION_RULE}'.replace("\n", "\\n")
        yield row(f"duration-{duration!r}", says, duration=duration)
    yield row("duration-long", too_long(f"{path}.duration", 16), duration="1h".zfill(17))
    yield row("duration-number", not_a("string", "integer", f"{path}.duration"), duration=3600)
    yield row("schedule-128", schedule="0 2 * * 6".ljust(128))
    yield row("schedule-129", too_long(f"{path}.schedule", 128), schedule="0 2 * * 6".ljust(129))
    yield row("schedule-empty", f"{path}.schedule in body should be at least 1 chars long", schedule="")
    yield row("zone-empty", f"{path}.timeZone in body should be at least 1 chars long", timeZone="")
    yield row("zone-65", too_long(f"{path}.timeZone", 64), timeZone="z" * 65)
    yield row("misspelled", unknown(f"{path}.timezone"), timezone="Europe/Berlin")
    for field in ("schedule", "duration"):
        yield row(f"without-{field}", required(f"{path}.{field}"), without=field)


def _set_rows() -> Iterator[Row]:
    def key(name: str, key: str, says: str | None = BAD_KEY) -> Row:
        return Row(f"key-{name}", secret_set(data={key: SEALED}), says)

    yield key("of-64", "K" * 64, None)
    yield key("of-any-sort", "aZ09_-", None)
    yield Row("keys-differ-in-case", secret_set(data={"TOKEN": SEALED, "token": SEALED}))
    yield key("of-65", "K" * 65)
    for name, bad in (("dot", "a.b"), ("space", "A B"), ("equals", "A=B"), ("umlaut", "KÄY"), ("line", "A\n")):
        yield key(name, bad)
    yield key("empty", "")
    yield Row("keys-256", secret_set(data=many(256, value=REFERENCE)))
    yield Row("keys-256-sealed", secret_set(data=many(256)), only_server_side=True)
    yield Row(
        "keys-257", secret_set(data=many(257, value=REFERENCE)), "spec.data: Too many: 257: must have at most 256 items"
    )
    yield Row(
        "keys-300",
        secret_set(data=many(300, value={"value": CANARY})),
        "spec.data: Too many: 300: must have at most 256 items",
    )
    yield Row("keys-none", secret_set(data={}), "spec.data in body should have at least 1 properties")
    yield Row("data-missing", _object("SecretSet", "web", {}), required("spec.data"))
    yield Row("data-list", secret_set(data=[CANARY]), not_a("object", "array", "spec.data"))
    yield Row("spec-missing", {**secret_set(), "spec": None}, required("spec"))
    yield Row("data-beside-spec", {**secret_set(), "data": {"A": CANARY}}, unknown("data"))
    yield Row("sealed-1000000", secret_set(data=many(100, size=10_000)), None, only_server_side=True)
    yield Row(
        "sealed-1000001",
        secret_set(data={**many(99, size=10_000), "LAST": {"sealed": "hpke1.".ljust(10_001, "x")}}),
        "spec.data: Invalid value: the sealed values are together longer than 1,000,000 bytes: split the set",
        only_server_side=True,
    )
    yield Row(
        "value-null",
        secret_set(data={"A": None, "B": SEALED}),
        'spec.data.A: Invalid value: "null": spec.data.A in body must be of type object',
        only_server_side=True,
    )


def _pull_rows() -> Iterator[Row]:
    def row(name: str, says: str | None = None, *, without: str = "", **spec: Any) -> Row:
        return Row(f"pull-{name}", pull_secret(without=without, **spec), says)

    for field in ("host", "username", "password"):
        yield row(f"without-{field}", required(f"spec.{field}"), without=field)
    yield row("host-uri", host="https://index.docker.io/v1/")
    yield row("host-port", host="registry.local:5000/team")
    yield row("host-empty", "spec.host: Forbidden: must be 1 to 2,048 characters long", host="")
    yield row("host-long", "spec.host: Forbidden: must be 1 to 2,048 characters long", host="h" * 2049 + CANARY)
    yield row(
        "host-with-password",
        "spec.host: Forbidden: must not carry credentials: they belong into username and password",
        host=f"https://bot:{CANARY}@ghcr.io",
    )
    yield row("host-list", not_a("string", "array", "spec.host"), host=[CANARY])
    yield row("username-robot", username="robot$team+ci@example.com")
    yield row(
        "username-colon",
        "spec.username: Forbidden: must not contain ':' (registries split user and password there)",
        username=f"bot:{CANARY}",
    )
    yield row("username-empty", "spec.username: Forbidden: must be 1 to 1,024 characters long", username="")
    yield row("username-long", "spec.username: Forbidden: must be 1 to 1,024", username="u" * 1024 + CANARY)
    yield row("username-number", not_a("string", "integer", "spec.username"), username=int(CANARY))
    yield row("token", unknown("spec.token"), token=CANARY)
    accounts = "spec.serviceAccounts"
    yield row("accounts-64", serviceAccounts=[f"account-{number}" for number in range(64)])
    yield row(
        "accounts-65",
        f"{accounts}: Too many: 65: must have at most 64 items",
        serviceAccounts=[f"account-{number}" for number in range(65)],
    )
    yield row("accounts-twice", f'{accounts}[1]: Duplicate value: "default"', serviceAccounts=["default"] * 2)
    yield row("accounts-empty", f"{accounts}[0] in body should be at least 1 chars long", serviceAccounts=[""])
    yield row("accounts-long", too_long(f"{accounts}[0]", 253), serviceAccounts=["a" * 254])
    yield row("accounts-string", not_a("array", "string", accounts), serviceAccounts="default")


def _region_rows() -> Iterator[Row]:
    def row(name: str, says: str | None = None, /, **fields: Any) -> Row:
        return Row(f"region-{name}", region(**fields), says)

    def selector(operator: str, **values: Any) -> Object:
        return {"matchExpressions": [{"key": "tier", "operator": operator, **values}]}

    secret = {"namespace": "operators", "name": "us-west", "key": "kubeconfig"}
    ref = "spec.cluster.kubeconfigSecretRef"
    expression = "spec.organizations.matchExpressions[0]"
    yield row("empty")
    yield row("name-63", name="r" * 63)
    yield row("name-64", "metadata.name: Invalid value: must be at most 63 characters long", name="r" * 64)
    yield row("name-upper-case", f'metadata.name: Invalid value: "US": {SUBDOMAIN}', name="US")
    yield Row("region-without-spec", {**region(), "spec": None}, required("spec"))
    for template in ("shared", "{namespace}", "{namespace}-in-{region}-{region}"):
        yield row(f"template-{template}", namespace=template)
    for template in ("{org}", "{namespace}-{Region}", "{namespace", "team}", "{name{region}space}"):
        says = f'spec.namespace: Invalid value: "{template}": {BAD_TEMPLATE}'
        yield row(f"template-{template}", says, namespace=template)
    yield row("template-empty", "spec.namespace in body should be at least 1 chars long", namespace="")
    yield row("template-long", too_long("spec.namespace", 128), namespace="n" * 129)
    yield row("display-name-128", displayName="é" * 128)
    yield row("display-name-129", too_long("spec.displayName", 128), displayName="d" * 129)
    one = "needs exactly one of kubeconfigSecretRef, argoCDSecretRef and inCluster"
    plain = {"namespace": "operators", "name": "us-west"}
    yield row("cluster", cluster={"kubeconfigSecretRef": secret})
    yield row("cluster-default-key", cluster={"kubeconfigSecretRef": plain})
    yield row("cluster-argo-cd", cluster={"argoCDSecretRef": plain})
    yield row("cluster-inside", cluster={"inCluster": True})
    yield row(
        "cluster-inside-not",
        'inCluster: Unsupported value: false: supported values: "true"',
        cluster={"inCluster": False},
    )
    yield row("cluster-empty", one, cluster={})
    yield row("cluster-two", one, cluster={"kubeconfigSecretRef": secret, "argoCDSecretRef": plain})
    yield row("cluster-and-inside", one, cluster={"argoCDSecretRef": plain, "inCluster": True})
    for way, part in (("kubeconfigSecretRef", secret), ("argoCDSecretRef", plain)):
        for field in ("namespace", "name"):
            rest = {other: value for other, value in part.items() if other != field}
            yield row(f"cluster-{way}-without-{field}", required(f"spec.cluster.{way}.{field}"), cluster={way: rest})
            says = f"spec.cluster.{way}.{field} in body should match"
            yield row(f"cluster-{way}-{field}-path", says, cluster={way: {**part, field: "../other"}})
    yield row("cluster-argo-cd-key", unknown("spec.cluster.argoCDSecretRef.key"), cluster={"argoCDSecretRef": secret})
    yield row(
        "cluster-empty-key",
        f"{ref}.key in body should be at least 1",
        cluster={"kubeconfigSecretRef": {**secret, "key": ""}},
    )
    yield row("cluster-inline", unknown("spec.cluster.kubeconfig"), cluster={"kubeconfig": CANARY})
    yield row("cluster-string", not_a("object", "string", ref), cluster={"kubeconfigSecretRef": CANARY})
    yield row("default-text", not_a("boolean", "string", "spec.default"), default="yes")
    yield row("organizations-labels", organizations={"matchLabels": {"tier": "prod"}})
    yield row("organizations-in", organizations=selector("In", values=["prod"]))
    yield row("organizations-exists", organizations=selector("Exists"))
    yield row("organizations-list", not_a("object", "array", "spec.organizations"), organizations=["team-a"])
    yield row("organizations-name", unknown("spec.organizations.team"), organizations={"team": "a"})
    yield row(
        "organizations-operator",
        f'{expression}.operator: Unsupported value: "Equals": supported values: "In", "NotIn", "Exists"',
        organizations=selector("Equals"),
    )
    for operator in ("In", "NotIn"):
        says = f"{expression}.values: Required value: must be specified when `operator` is 'In' or 'NotIn'"
        yield row(f"organizations-{operator}-nothing", says, organizations=selector(operator, values=[]))
    yield row(
        "organizations-exists-values",
        f"{expression}.values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        organizations=selector("Exists", values=["prod"]),
    )


ROWS = [
    *_common_rows("set", secret_set),
    *_value_rows("set", lambda value: secret_set(data={"A": value}), "spec.data.A", "spec.data[A]"),
    *_set_rows(),
    *_common_rows("pull", pull_secret),
    *_value_rows("pull", lambda value: pull_secret(password=value), "spec.password", "spec.password"),
    *_pull_rows(),
    *_region_rows(),
]
