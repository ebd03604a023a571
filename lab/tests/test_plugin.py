"""The fixtures, in a test run of their own, with pytest-xdist."""

import subprocess
import sys
import textwrap
from pathlib import Path


def test_each_worker_has_planes_of_its_own_and_none_is_left(lab_home: Path, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        textwrap.dedent("""
            import pytest

            @pytest.mark.parametrize("number", [0, 1])
            def test_plane(control_planes, number, tmp_path_factory):
                (plane,) = control_planes(1, controllers=False)
                plane.kubectl("create", "configmap", "only")
        """)
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:asyncio", "-n", "2", "-W", "error", "-q", "test_it.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list((lab_home / "planes").iterdir()) == []
