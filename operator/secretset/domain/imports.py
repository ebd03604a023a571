"""What moves in from elsewhere: Secrets as sets or pull secrets, under the rules that sets have beyond Secrets'. Pure.

Everything that is in the way is found at once and named; nothing tells a value.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from secretset.domain import names, payload
from secretset.domain.names import PASSWORD, Kind
from secretset.domain.reasons import Problem

TYPE_DOCKERCFG = "kubernetes.io/dockercfg"
"""The older form of a pull secret, without `auths`; its one key is `.dockercfg`."""
NO_SETS = {
    "kubernetes.io/service-account-token": "Kubernetes keeps a token of an account in it",
    "bootstrap.kubernetes.io/token": "nodes join the cluster with it",
    "helm.sh/release.v1": "Helm keeps a release in it",
}
"""Types of Secrets that a program keeps for itself, and why they are no sets."""

_DOCKER = {names.TYPE_DOCKER: names.DOCKER_KEY, TYPE_DOCKERCFG: ".dockercfg"}


class Unfit(Exception):
    """Something cannot be imported as it is.

    Attributes:
        problems: all that is in the way, a closed sentence each.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, kw_only=True)
class KeyRules:
    """What becomes of keys.

    Attributes:
        rename: new names by old ones.
        skip: keys that are left out.
        reserved: names that no key may have.
        allow_empty: values without a byte are taken.
    """

    rename: Mapping[str, str] = field(default_factory=dict)
    skip: Collection[str] = ()
    reserved: Collection[str] = names.RESERVED_KEYS
    allow_empty: bool = False

    @property
    def named(self) -> frozenset[str]:
        """The keys that it says something about."""
        return frozenset(self.rename) | frozenset(self.skip)

    def becomes(self, key: str) -> str | None:
        """The name that a key gets; None: it is left out."""
        return None if key in self.skip else self.rename.get(key, key)


@dataclass(frozen=True, kw_only=True, repr=False)
class Item:
    """One set to make.

    Attributes:
        origin: where it comes from, in words.
        values: by key; of a pull secret, its ``password``.
        host: of a pull secret: its registry.
        username: of a pull secret: its user there.
    """

    kind: Kind
    name: str
    origin: str
    values: Mapping[str, bytes]
    host: str | None = None
    username: str | None = None

    def no_text(self) -> list[str]:
        """Keys whose values no environment variable can hold."""
        return sorted(key for key, value in self.values.items() if not _is_text(value))


def from_secret(origin: str, name: str, kind: str, data: Mapping[str, bytes], rules: KeyRules) -> Item:
    """Make an item of a Secret.

    Args:
        origin: where it is, in words.
        name: of the set.
        kind: the Secret's type.
        data: its values.
        rules: for its keys.

    Raises:
        Unfit: it cannot be a set.
    """
    if (why := NO_SETS.get(kind)) is not None:
        raise Unfit(f"it is of the type {kind}: {why}")
    problems = [] if names.is_valid_name(name) else [_NAME_RULE]
    item: Item | None = None
    try:
        item = _pull_secret(origin, name, data.get(_DOCKER[kind])) if kind in _DOCKER else None
        values = {} if item else renamed(data, rules)
    except Unfit as error:
        raise Unfit(*problems, *error.problems) from None
    if problems:
        raise Unfit(*problems)
    return item or Item(kind=Kind.SECRET_SET, name=name, origin=origin, values=values)


def renamed(data: Mapping[str, bytes], rules: KeyRules) -> dict[str, bytes]:
    """The values that are taken, by their new keys.

    Raises:
        Unfit: names every key that a set cannot have, and every value that it cannot hold.
    """
    found: dict[str, bytes] = {}
    problems: list[str] = []
    for key, value in data.items():
        wanted = rules.becomes(key)
        if wanted is None:
            continue
        if wanted in found:
            problems.append(f"two keys would be '{wanted}': --rename one of them, or --skip-key it")
        found[wanted] = value
        problems += _problems(key, wanted, value, rules)
    if not found and not problems:
        problems.append("it has no values to take")
    if len(found) > names.KEYS_MAX:
        problems.append(f"a set has at most {names.KEYS_MAX} keys, and it has {len(found)}")
    if problems:
        raise Unfit(*problems)
    return found


def _problems(key: str, wanted: str, value: bytes, rules: KeyRules) -> Iterator[str]:
    """What is wrong with one entry."""
    if not names.is_valid_key(wanted):
        yield (f"'{key}' is no key of a set ({names.KEY_RULE}): --rename {key}={_suggested(key)}, or --skip-key {key}")
    elif wanted in rules.reserved:
        yield f"the platform itself sets '{wanted}': --skip-key {key}, or --rename {key}=NEW"
    if len(value) > names.VALUE_MAX_BYTES:
        yield (
            f"the value of '{key}' is {len(value):,} bytes long, and one of a set {names.VALUE_MAX_BYTES:,} at most: "
            f"--skip-key {key}, and keep it in a Secret of its own"
        )
    if not value and not rules.allow_empty:
        yield f"the value of '{key}' is empty: --allow-empty, or --skip-key {key}"


def _pull_secret(origin: str, name: str, raw: bytes | None) -> Item:
    host, username, password = registry(raw or b"")
    return Item(
        kind=Kind.IMAGE_PULL_SECRET,
        name=name,
        origin=origin,
        values={PASSWORD: password},
        host=host,
        username=username,
    )


def registry(raw: bytes) -> tuple[str, str, bytes]:
    """The one registry of a docker configuration, of either form: host, user name, password.

    Raises:
        Unfit: it holds none, several, or no user and password.
    """
    try:
        config: Any = json.loads(raw)
        entries: Any = [*config.get("auths", config).items()]
        username, password = _login(entries[0][1] if len(entries) == 1 else {})
    except (ValueError, TypeError, AttributeError):
        raise Unfit("its docker configuration cannot be read") from None
    hosts = [_host(written) for written, _ in entries]
    if not hosts:
        raise Unfit("its docker configuration has no registry")
    if len(hosts) > 1:
        listed = ", ".join(f"'{host}'" for host in sorted(set(hosts)))
        raise Unfit(
            f"it has {len(hosts)} registries, and a pull secret has one: {listed}; make one of each with `secretset "
            "image-pull-secrets set`"
        )
    if not (username and password):
        raise Unfit(f"it has no user and password for '{hosts[0]}'")
    if ":" in username or len(username) > names.USERNAME_MAX:
        raise Unfit(f"its user name for '{hosts[0]}' holds a ':', or is longer than {names.USERNAME_MAX:,} characters")
    if len(password) > names.VALUE_MAX_BYTES:
        raise Unfit(f"its password for '{hosts[0]}' is longer than {names.VALUE_MAX_BYTES:,} bytes")
    return hosts[0], username, password


def _host(written: str) -> str:
    """A registry in its one form, which alone is shown.

    Raises:
        Unfit: it is none, or holds credentials: it is not shown.
    """
    try:
        if "@" not in written:  # nor in its path, where `https:/user:token@host` has them
            return payload.normalize_host(written)
    except Problem:
        pass
    raise Unfit(
        "one of its registries is none, or holds credentials: it should be a host such as ghcr.io, or a URI such as "
        "https://index.docker.io/v1/"
    )


def _login(entry: Any) -> tuple[str, bytes]:
    """User name and password of an entry: from `auth`, which kubelet prefers, else from their own fields.

    Raises:
        ValueError, TypeError, AttributeError: it has another form.
    """
    if auth := entry.get("auth"):
        try:
            raw = base64.b64decode(auth + "=" * (-len(auth) % 4), validate=True)
            username, _, password = raw.decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise ValueError from None
        return username, password.strip("\0").encode()  # docker pads passwords so
    return str(entry.get("username") or ""), str(entry.get("password") or "").encode()


_NAME_RULE = (
    "its name is none for a set (3 to 63 lower-case letters, digits, '-' and '.'): import it alone, with another NAME"
)


def _suggested(key: str) -> str:
    """A key that a set can have, like one that it cannot."""
    found = "".join(each if each.isascii() and each.isalnum() else "_" for each in key).upper()
    return found[:64] if found.strip("_") else "NEW"


def _is_text(value: bytes) -> bool:
    try:
        return "\0" not in value.decode()
    except UnicodeDecodeError:
        return False
