"""Makes sure that the browser tests have a Chromium: installs it through apt when root, else says what to do.

Uses nothing but the standard library, because it runs before anything is set up.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find() -> str | None:
    """The path of the browser: $CHROMIUM, or the first of the usual names on the PATH."""
    given = os.environ.get("CHROMIUM")
    if given:
        return given if Path(given).is_file() else None
    return next((path for path in map(shutil.which, NAMES) if path), None)


def install() -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "chromium"]):
        subprocess.run(
            ["apt-get", *arguments], env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=True
        )


def main() -> str | None:
    if find():
        return None
    if os.geteuid() == 0 and shutil.which("apt-get"):
        sys.stdout.write("Installing Chromium for the browser tests …\n")
        sys.stdout.flush()
        try:
            install()
        except subprocess.CalledProcessError as problem:
            return (
                f"apt-get could not install Chromium (exit code {problem.returncode}). Install it and run this again."
            )
        return None
    return "The browser tests need Chromium. Debian, Ubuntu: apt-get install chromium. Else set CHROMIUM=/path/to/it."


if __name__ == "__main__":
    sys.exit(main())
