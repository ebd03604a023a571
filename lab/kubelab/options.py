"""What a control plane can be asked to be."""

import dataclasses
import re
from dataclasses import dataclass
from typing import Any, TypedDict

from kubelab.errors import InvalidNameError

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?")


@dataclass(frozen=True, kw_only=True)
class Options:
    """The settings of one plane; all but the name have a default that suits a test."""

    name: str
    """Letters, digits, `-` and `.`, at most 63: it names a folder, a context and a user."""
    nodes: int = 0
    """How many kwok nodes there are. With none, neither scheduler nor kwok run and no pod ever starts."""
    controllers: bool = True
    """Whether kube-controller-manager runs. Without: no rollouts, no default ServiceAccounts, no cascades."""
    audit: bool = False
    """Whether writes by anyone but the plane's own programs are logged (`ControlPlane.audit_events`)."""
    audit_reads: tuple[str, ...] = ()
    """Groups of users whose reads are logged as well, if anything is; `audit_events` leaves them out."""
    durable: bool = False
    """Whether etcd waits for the disk. Only a test of lost power needs it: what a killed program wrote is not lost."""
    extra_apiserver_args: tuple[str, ...] = ()
    """Flags that are added after, and so win over, the lab's own for kube-apiserver."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidNameError(
                f"'{self.name}' cannot be the name of a plane: use at most 63 small letters, digits, '-' and '.', "
                "beginning and ending with a letter or digit"
            )
        if self.nodes < 0:
            raise ValueError("a plane cannot have fewer than 0 nodes")
        if self.nodes and not self.controllers:
            raise ValueError(
                "nodes need the controllers: pods are admitted only with a ServiceAccount that they create"
            )

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(self).items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Options":
        """Reads what `to_json` gave."""
        plain: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        return cls(**plain)


class OptionFields(TypedDict, total=False):
    """The fields of `Options` but the name, for functions that take them as keyword arguments."""

    nodes: int
    controllers: bool
    audit: bool
    audit_reads: tuple[str, ...]
    durable: bool
    extra_apiserver_args: tuple[str, ...]
