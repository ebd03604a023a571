"""Names, paths of the API, and what metrics call a path."""

from collections.abc import Callable

import pytest

from secretset import telemetry
from secretset.domain import names
from secretset.domain.names import Key, Kind
from secretset.domain.workloads import DEPLOYMENT
from secretset.kube import paths

SET, PULL = Kind.SECRET_SET, Kind.IMAGE_PULL_SECRET


@pytest.mark.parametrize("key", ["A", "a-b_C9", "_", "-", "0", "x" * 64])
def test_a_key_may_be_letters_digits_underscore_and_hyphen(key: str) -> None:
    assert names.is_valid_key(key)


@pytest.mark.parametrize("key", ["", "x" * 65, "a.b", "a b", "é", "A\n", "\nA", "a/b", "٣", "a=b"])
def test_anything_else_is_no_key(key: str) -> None:
    assert not names.is_valid_key(key)


def test_each_kind_has_its_plural_label_type_and_twin() -> None:
    assert [(k.plural, k.label, k.secret_type, k.twin) for k in Kind] == [
        ("secretsets", "secretset.dev/set", "Opaque", PULL),
        ("imagepullsecrets", "secretset.dev/pull-secret", "kubernetes.io/dockerconfigjson", SET),
    ]


def test_a_key_prints_as_kind_and_place() -> None:
    assert str(Key(SET, "team", "app")) == "SecretSet team/app"


def test_the_wave_mark_of_the_longest_name_is_a_valid_annotation() -> None:
    prefix, _, name = names.wave_mark("a" * 63).partition("/")
    assert (prefix, len(name)) == ("wave.secretset.dev", 63)


@pytest.mark.parametrize(("namespace", "good"), [("a", 1), ("a" * 63, 1), ("a" * 64, 0), ("-a", 0), ("A", 0), ("", 0)])
def test_namespaces_are_labels_of_rfc_1123(namespace: str, good: int) -> None:
    assert bool(names.NAMESPACE_PATTERN.fullmatch(namespace)) is bool(good)


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        (paths.NAMESPACES, "namespaces"),
        ("/api/v1/namespaces/team", "namespaces"),
        (paths.secrets(), "secrets"),
        (paths.secrets("team"), "secrets"),
        (paths.secrets("team", "app"), "secrets"),
        (paths.core("serviceaccounts", "team", "default"), "serviceaccounts"),
        (paths.custom(Key(SET, "team", "app")), "secretsets"),
        (paths.custom(Key(PULL, "team", "app")) + "/status", "imagepullsecrets/status"),
        (paths.REGIONS, "regions"),
        (f"{paths.REGIONS}/us/status", "regions/status"),
        (paths.workloads(DEPLOYMENT), "deployments"),
        (paths.workloads(DEPLOYMENT, "team", "web"), "deployments"),
        (paths.ACCESS_REVIEWS, "selfsubjectaccessreviews"),
        (paths.events("team"), "events"),
        ("/version", ""),
    ],
)
def test_metrics_name_the_resource_and_never_the_object(path: str, resource: str) -> None:
    assert telemetry.resource_of(path) == resource


def test_paths_are_those_of_the_api() -> None:
    assert paths.custom(Key(SET, "team", "app")) == "/apis/secretset.dev/v1alpha1/namespaces/team/secretsets/app"
    assert paths.workloads(DEPLOYMENT, "team", "web") == "/apis/apps/v1/namespaces/team/deployments/web"
    assert paths.secrets("team") == "/api/v1/namespaces/team/secrets"
    assert paths.secrets() == "/api/v1/secrets"
    assert paths.region("us") == f"{paths.REGIONS}/us"


@pytest.mark.parametrize("name", ["../x", "a/b", "..", ".", "a?watch=1", "a#b", "A", "a%2fb", "a\n", " a", "-a", "é"])
def test_a_name_is_never_more_than_one_segment_of_a_path(name: str) -> None:
    makers: list[Callable[[], str]] = [
        lambda: paths.secrets("team", name),
        lambda: paths.secrets(name),
        lambda: paths.custom(Key(SET, "team", name)),
        lambda: paths.workloads(DEPLOYMENT, "team", name),
        lambda: paths.region(name),
        lambda: paths.events(name),
    ]
    for make in makers:
        with pytest.raises(ValueError, match=r"^not a name of Kubernetes$"):
            make()
