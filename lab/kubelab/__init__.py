"""Kubernetes without containers: real control planes as processes, for tests, demos and benchmarks."""

from kubelab.errors import (
    ApiError,
    BinaryMissingError,
    BuildError,
    ControlError,
    InvalidNameError,
    KubectlError,
    KubelabError,
    NameTakenError,
    StartError,
    UnknownPlaneError,
)
from kubelab.options import Options
from kubelab.plane import ControlPlane

__all__ = [
    "ApiError",
    "BinaryMissingError",
    "BuildError",
    "ControlError",
    "ControlPlane",
    "InvalidNameError",
    "KubectlError",
    "KubelabError",
    "NameTakenError",
    "Options",
    "StartError",
    "UnknownPlaneError",
]
