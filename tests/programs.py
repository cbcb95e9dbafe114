"""Makes sure that the tests have the programs they drive: installs them through apt when root, else says what to do.

Chromium for the browser tests, which can't do without; Postfix for the tests against a real mail server, which are
left out where it is missing. Uses nothing but the standard library, because it runs before anything is set up.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    """The path of the browser: $CHROMIUM, or the first of the usual names on the PATH."""
    given = os.environ.get("CHROMIUM")
    if given:
        return given if Path(given).is_file() else None
    return next((path for path in map(shutil.which, NAMES) if path), None)


def _missing() -> list[str]:
    """Debian's packages of what is not there."""
    packages = [] if chromium() else ["chromium"]
    if not shutil.which("postfix", path=os.environ.get("PATH", "") + ":/usr/sbin"):
        packages += ["postfix", "libsasl2-modules"]
    return packages


def can_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(packages: list[str]) -> None:
    """Installs packages of Debian; a Postfix without any configuration, so that no mail server starts with it. Raises
    CalledProcessError."""
    if "postfix" in packages and shutil.which("debconf-set-selections"):
        choice = "postfix postfix/main_mailer_type select No configuration\n"
        subprocess.run(["debconf-set-selections"], input=choice, text=True, check=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
        subprocess.run(
            ["apt-get", *arguments], env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=True
        )


def main() -> str | None:
    packages = _missing()
    if packages and can_install():
        sys.stdout.write(f"Installing {', '.join(packages)} for the tests …\n")
        sys.stdout.flush()
        try:
            install(packages)
        except subprocess.CalledProcessError as problem:
            if not chromium():
                return f"apt-get failed (exit code {problem.returncode}). Install {packages[0]} and run this again."
    if not chromium():
        return (
            "The browser tests need Chromium. Debian, Ubuntu: apt-get install chromium. Else set CHROMIUM=/path/to/it."
        )
    return None


if __name__ == "__main__":
    sys.exit(main())
