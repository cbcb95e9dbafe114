"""`python manage.py …` typed with any Python, as the pages of the product tell people to."""

import shutil
import subprocess
import sys
from pathlib import Path

import manage


def typed(folder: Path) -> subprocess.CompletedProcess[str]:
    shutil.copy(manage.__file__, folder / "manage.py")
    command = [sys.executable, "-S", "manage.py", "doctor", "--json"]  # -S: without the packages
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30, check=False)


def test_a_python_without_the_packages_hands_over_to_the_one_of_the_installation(tmp_path: Path) -> None:
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "installed: $@"\n')
    python.chmod(0o755)
    assert typed(tmp_path).stdout == "installed: manage.py doctor --json\n"


def test_before_anything_is_installed_it_says_what_to_run(tmp_path: Path) -> None:
    ended = typed(tmp_path)
    assert ended.returncode == 1
    assert ended.stderr == "Admin App is not set up here yet. Run “make run” in this folder first.\n"
