"""The parts that need no cluster: certificates, kubeconfigs, ports, names, state."""

import socket
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import NameOID

import kubelab
from kubelab import InvalidNameError, Options, errors, kubeconfig, layout, pki, ports


def test_a_client_certificate_names_user_and_groups() -> None:
    authority = pki.Authority.create("test")
    certificate = x509.load_pem_x509_certificate(authority.client("jane", ["a", "b"]).certificate)
    subject = certificate.subject
    assert [name.value for name in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["jane"]
    assert [name.value for name in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == ["a", "b"]
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.pair.certificate))


def test_a_serving_certificate_is_for_loopback_and_the_service() -> None:
    certificate = x509.load_pem_x509_certificate(pki.Authority.create("test").serving().certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(address) for address in names.get_values_for_type(x509.IPAddress)} >= {"127.0.0.1", "::1"}
    assert set(names.get_values_for_type(x509.DNSName)) >= {"localhost", "kubernetes.default.svc"}


def test_an_authority_can_be_saved_and_loaded(tmp_path: Path) -> None:
    authority = pki.Authority.create("test")
    pki.save(tmp_path, "ca", authority.pair)
    assert pki.Authority.load(tmp_path).pair == authority.pair
    assert (tmp_path / "ca.key").stat().st_mode & 0o777 == 0o600


def test_a_kubeconfig_carries_everything_inside(tmp_path: Path) -> None:
    path = kubeconfig.write(
        tmp_path / "config",
        plane="demo",
        server="https://127.0.0.1:1",
        ca=b"CA",
        user=kubeconfig.token_user("secret"),
        namespace="team",
    )
    content = yaml.safe_load(path.read_text())
    assert content["clusters"][0]["cluster"] == {
        "server": "https://127.0.0.1:1",
        "certificate-authority-data": "Q0E=",
    }
    assert content["contexts"][0]["context"] == {"cluster": "demo", "user": "demo", "namespace": "team"}
    assert path.stat().st_mode & 0o777 == 0o600


def test_ports_are_free_and_no_client_gets_them() -> None:
    found = ports.free_ports(20)
    assert len(set(found)) == 20
    for port in found:
        with socket.create_server(("127.0.0.1", port)):
            pass
    first_ephemeral = int(ports.RANGE_FILE.read_text().split()[0])
    if first_ephemeral - ports.LOWEST > 1_000:
        assert max(found) < first_ephemeral


def test_a_machine_whose_clients_use_all_ports_gets_them_from_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "range").write_text("1024 65535\n")
    monkeypatch.setattr(ports, "RANGE_FILE", tmp_path / "range")
    assert len(set(ports.free_ports(5))) == 5


@pytest.mark.parametrize("name", ["", "A", "a/b", "..", "-a", "a-", "a" * 64, "a\n"])
def test_a_name_that_is_no_folder_is_refused(name: str) -> None:
    with pytest.raises(InvalidNameError, match="cannot be the name of a plane"):
        Options(name=name)


def test_options_survive_json() -> None:
    options = Options(name="a.b-c", nodes=2, extra_apiserver_args=("--v=2",))
    assert Options.from_json(options.to_json()) == options


def test_a_folder_is_alive_while_its_lock_is_held(lab_home: Path) -> None:
    with layout.create("mine") as (folder, _):
        assert folder.is_alive()
        assert [found.name for found in layout.running()] == ["mine"]
        with pytest.raises(kubelab.NameTakenError), layout.create("mine"):
            pass
    assert not folder.is_alive()
    assert layout.running() == []
    assert not folder.path.exists()


def test_everything_public_is_exported_and_every_error_has_one_base() -> None:
    assert all(hasattr(kubelab, name) for name in kubelab.__all__)
    found = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert found <= set(kubelab.__all__)
    assert all(issubclass(getattr(errors, name), errors.KubelabError) for name in found)
