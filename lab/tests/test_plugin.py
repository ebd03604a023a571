"""The fixtures, in a test run of their own."""

import subprocess
import sys
import textwrap
from pathlib import Path


def test_each_worker_has_planes_of_its_own_and_none_is_left(lab_home: Path, tmp_path: Path) -> None:
    _write(
        tmp_path / "test_it.py",
        """
        import pytest

        @pytest.mark.parametrize("number", [0, 1])
        def test_plane(control_planes, number, tmp_path_factory):
            (plane,) = control_planes(1, controllers=False)
            plane.kubectl("create", "configmap", "only")
        """,
    )
    _run(tmp_path, "-n", "2")
    assert list((lab_home / "planes").iterdir()) == []


def test_planes_end_with_what_they_were_started_for(lab_home: Path, tmp_path: Path) -> None:
    _write(
        tmp_path / "conftest.py",
        """
        import os
        import pathlib
        import pytest

        @pytest.fixture
        def planes():
            folder = pathlib.Path(os.environ["KUBELAB_HOME"], "planes")
            return lambda: sorted(each.name.split("-")[2] for each in folder.iterdir())
        """,
    )
    _write(
        tmp_path / "test_a.py",
        """
        import pytest

        @pytest.fixture(scope="module", autouse=True)
        def plane(module_control_planes):
            module_control_planes(["module"], controllers=False)

        def test_function(function_control_planes, planes):
            function_control_planes(["function"], controllers=False)
            assert planes() == ["function", "module"]

        def test_module(planes):
            assert planes() == ["module"]
        """,
    )
    _write(
        tmp_path / "test_b.py",
        """
        def test_none(planes):
            assert planes() == []
        """,
    )
    _run(tmp_path)


def _write(path: Path, text: str) -> None:
    path.write_text(textwrap.dedent(text))


def _run(folder: Path, *options: str) -> None:
    """Run the tests of a folder, which succeed."""
    command = [sys.executable, "-m", "pytest", "-p", "no:asyncio", "-W", "error", "-q", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
