"""What a Region says of its cluster: one of three ways, or none for the hub."""

from typing import Any

import pytest

from builders import region
from secretset.domain.models.region import ArgoCDSecretRef, KubeconfigSecretRef
from secretset.domain.regions import RegionRecord

SECRET = {"namespace": "system", "name": "us"}


def on(cluster: Any, name: str = "us") -> RegionRecord:
    return region(name).with_spec(cluster=cluster).record()


def test_the_hub_needs_nothing() -> None:
    hub = region("us").record()
    assert (hub.on_hub, hub.in_cluster, hub.credentials_ref) == (True, False, None)
    assert (hub.cluster, hub.template) == ("hub", "{namespace}-{region}")


def test_a_kubeconfig() -> None:
    found = on({"kubeconfigSecretRef": {**SECRET, "key": "config"}})
    assert (found.on_hub, found.in_cluster, found.template) == (False, False, "{namespace}")
    assert found.credentials_ref == KubeconfigSecretRef(**SECRET, key="config")


def test_without_a_key_it_is_that_of_cluster_api() -> None:
    plain, named = on({"kubeconfigSecretRef": SECRET}), on({"kubeconfigSecretRef": {**SECRET, "key": "value"}})
    assert isinstance(plain.credentials_ref, KubeconfigSecretRef)
    assert plain.credentials_ref.data_key == "value"
    assert plain.cluster == named.cluster


def test_a_secret_of_argo_cd() -> None:
    found = on({"argoCDSecretRef": SECRET})
    assert (found.on_hub, found.in_cluster, found.template) == (False, False, "{namespace}")
    assert found.credentials_ref == ArgoCDSecretRef(**SECRET)


def test_from_inside() -> None:
    found = on({"inCluster": True})
    assert (found.on_hub, found.in_cluster, found.template) == (False, True, "{namespace}")
    assert found.credentials_ref is None


def test_regions_share_a_cluster_if_they_share_a_secret() -> None:
    ways: list[Any] = [
        {"kubeconfigSecretRef": SECRET},
        {"kubeconfigSecretRef": {**SECRET, "key": "other"}},
        {"argoCDSecretRef": SECRET},
    ]
    for way in ways:
        assert on(way, "us").cluster == on(way, "eu").cluster
    inside = {"inCluster": True}
    assert on(inside, "us").cluster != on(inside, "eu").cluster
    clusters = {region("us").record().cluster, on(inside).cluster, *(on(way).cluster for way in ways)}
    assert len(clusters) == 5
    assert on(inside, "hub").cluster != "hub"


@pytest.mark.parametrize(
    "cluster",
    [
        {},
        {"other": 1},
        {"inCluster": False},
        {"inCluster": True, "argoCDSecretRef": SECRET},
        {"kubeconfigSecretRef": SECRET, "argoCDSecretRef": SECRET},
        {"argoCDSecretRef": {"name": "us"}},
        {"kubeconfigSecretRef": {**SECRET, "name": "../x"}},
        {"argoCDSecretRef": {**SECRET, "namespace": "../x"}},
    ],
)
def test_what_is_not_one_way_is_not_read_even_if_it_was_stored(cluster: Any) -> None:
    """A cluster without a way to it must never read as the hub."""
    assert RegionRecord.parse(region("us").with_spec(cluster=cluster).object()) is None
