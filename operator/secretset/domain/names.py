"""Every name that is written to, or read from, the API: groups, labels, annotations and the rules for names."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

GROUP = "secretset.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

FIELD_MANAGER = "secretset-operator"
FINALIZER = f"{GROUP}/cleanup"

# In metrics and logs, where otherwise the name of a region stands: none can be named so.
AT_HUB = "(hub)"
AT_HERE = "(here)"  # the webhook's own cluster
AT_NONE = "(unresolved)"  # of no usable region

# On the Leases of the operator's replicas.
LABEL_REPLICA = f"{GROUP}/replica"
ANNOTATION_REGIONS = f"{GROUP}/regions"

# On custom resources and namespaces of the hub, set by people.
ANNOTATION_DEFAULT_REGION = f"{GROUP}/default-region"
ANNOTATION_RECONCILE = f"{GROUP}/reconcile"
ANNOTATION_ABANDON = f"{GROUP}/abandon"
ANNOTATION_EXPLAIN = f"{GROUP}/explain-restart"
ANNOTATION_RESTART_NOW = f"{GROUP}/restart-now"
LABEL_SOURCE = f"{GROUP}/source"

# On namespaces of a region, set by the operator on those that it creates, and by people: the ready gate is on there.
LABEL_GATE = f"{GROUP}/gate"
GATE_ENABLED = "enabled"

# On managed Secrets, set by the operator.
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL_SET = f"{GROUP}/set"
LABEL_PULL_SECRET = f"{GROUP}/pull-secret"
LABEL_ORGANIZATION = f"{GROUP}/organization"
ANNOTATION_INSTALLATION = f"{GROUP}/installation"
ANNOTATION_OWNER_KIND = f"{GROUP}/owner-kind"
ANNOTATION_OWNER_NAMESPACE = f"{GROUP}/owner-namespace"
ANNOTATION_OWNER_NAME = f"{GROUP}/owner-name"
ANNOTATION_OWNER_UID = f"{GROUP}/owner-uid"
ANNOTATION_REVISION = f"{GROUP}/revision"
ANNOTATION_KEYS = f"{GROUP}/keys"
ANNOTATION_UPDATED = f"{GROUP}/updated"
ANNOTATION_INPUTS = f"{GROUP}/inputs"
ANNOTATION_WAVE = f"{GROUP}/wave"
ANNOTATION_ASKED = f"{GROUP}/asked"

# On ConfigMaps of the operator's namespace that remember a managed Secret which was left behind.
LABEL_TOMBSTONE = f"{GROUP}/tombstone"
LABEL_REGION = f"{GROUP}/region"

# On workloads, set by people: in the pod template, and on the workload itself.
ANNOTATION_BIND = f"{GROUP}/bind"
ANNOTATION_PAUSED = f"{GROUP}/paused"
ANNOTATION_RESTART = f"{GROUP}/restart"

# On workloads, set by us: in the pod template (what makes it roll) and on the workload itself (what remembers it).
ANNOTATION_RESTARTED_FOR = f"{GROUP}/restarted-for"
WAVE_MARK_PREFIX = f"wave.{GROUP}/"

# On ServiceAccounts of people and pipelines, and their RoleBindings: the role; and when the last token ends, RFC 3339.
LABEL_ROLE = f"{GROUP}/role"
ANNOTATION_TOKEN_EXPIRES = f"{GROUP}/token-expires"

# On Deployments that the REST API made as services, and on their pods: which they are. On the Deployments alone: the
# managed Secrets that they were given by it, beside which others may stand.
LABEL_SERVICE = f"{GROUP}/service"
ANNOTATION_SERVICE_SET = f"{GROUP}/service-set"
ANNOTATION_SERVICE_PULL_SECRET = f"{GROUP}/service-pull-secret"

# On ServiceAccounts: which pull secrets of theirs the operator attached, and so may detach.
PULL_MARK_PREFIX = f"pull.{GROUP}/"

MANAGED_SELECTOR = f"{LABEL_MANAGED_BY}={FIELD_MANAGER}"
SOURCE_SELECTOR = f"{LABEL_SOURCE}=true"
TOMBSTONE_SELECTOR = f"{LABEL_TOMBSTONE}=true"

TYPE_OPAQUE = "Opaque"
TYPE_DOCKER = "kubernetes.io/dockerconfigjson"
DOCKER_KEY = ".dockerconfigjson"
# The one value in the spec of an ImagePullSecret: the name of its field, and of its key where values are sealed.
PASSWORD = "password"  # noqa: S105

# seeds/000: letters, digits, underscore and hyphen, at most 64 characters.
KEY_PATTERN = r"^[a-zA-Z0-9_-]{1,64}$"
KEY_RULE = "1 to 64 letters, digits, '_' and '-'"
KEYS_MAX = 256
# seeds/004: 16 KB a value. The others are design.md's.
VALUE_MAX_BYTES = 16_384
SEALED_MAX_BYTES = 1_000_000
CONTENT_MAX_BYTES = 900 * 1024
# seeds/004: LiveKit's own; the installer can add to them.
RESERVED_KEYS = frozenset({"LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"})

# RFC 7617: a ':' ends it. The length is design.md's, in characters.
USERNAME_MAX = 1024

# RFC 1123 label: what a namespace may be called.
NAMESPACE_PATTERN = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
NAMESPACE_RULE = "1 to 63 lower-case letters, digits and '-', with a letter or digit at both ends"
# RFC 1123 subdomain, but for its length: what an object may be called.
NAME_PATTERN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


class Kind(StrEnum):
    """The two kinds that become a managed Secret."""

    SECRET_SET = "SecretSet"  # noqa: S105  (the name of a kind)
    IMAGE_PULL_SECRET = "ImagePullSecret"  # noqa: S105

    @property
    def plural(self) -> str:
        """The resource's name in a URL."""
        return "secretsets" if self is Kind.SECRET_SET else "imagepullsecrets"

    @property
    def label(self) -> str:
        """The label of a managed Secret that carries the name of its owner."""
        return LABEL_SET if self is Kind.SECRET_SET else LABEL_PULL_SECRET

    @property
    def secret_type(self) -> str:
        """The type of the managed Secret: never anything that a user chooses (CVE-2026-42876)."""
        return TYPE_OPAQUE if self is Kind.SECRET_SET else TYPE_DOCKER

    @property
    def twin(self) -> Kind:
        """The other kind, whose objects share the names of this one's."""
        return Kind.IMAGE_PULL_SECRET if self is Kind.SECRET_SET else Kind.SECRET_SET


class Key(NamedTuple):
    """What the queue holds: one custom resource by its kind, organization and name."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


def wave_mark(secret_name: str) -> str:
    """The annotation on a workload that tells for which wave of a managed Secret it was restarted last."""
    return WAVE_MARK_PREFIX + secret_name


def is_valid_name(name: str) -> bool:
    """Whether a set may bear a name (design.md, "SecretSet"): 3 to 63 characters of an RFC 1123 subdomain."""
    return 3 <= len(name) <= 63 and NAME_PATTERN.fullmatch(name) is not None


def is_valid_key(name: str) -> bool:
    """Whether a key may stand in ``spec.data`` (seeds/000, "Important Notes")."""
    return re.fullmatch(KEY_PATTERN[1:-1], name) is not None
