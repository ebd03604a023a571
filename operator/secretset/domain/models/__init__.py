"""The custom resources as pydantic models: what the CRDs are generated from and what the operator parses."""

from secretset.domain.models.common import RestartSpec, RestartWindow, SecretKeyRef, SecretValue, ValueFrom
from secretset.domain.models.image_pull_secret import ImagePullSecret, ImagePullSecretSpec
from secretset.domain.models.region import Region, RegionSpec, RegionStatus
from secretset.domain.models.secret_set import SecretSet, SecretSetSpec
from secretset.domain.models.status import Condition, KeyStatus, SetStatus, WorkloadsStatus

__all__ = [
    "Condition",
    "ImagePullSecret",
    "ImagePullSecretSpec",
    "KeyStatus",
    "Region",
    "RegionSpec",
    "RegionStatus",
    "RestartSpec",
    "RestartWindow",
    "SecretKeyRef",
    "SecretSet",
    "SecretSetSpec",
    "SecretValue",
    "SetStatus",
    "ValueFrom",
    "WorkloadsStatus",
]
