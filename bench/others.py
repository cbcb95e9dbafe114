"""The programs we are compared with, each set up on first use and run as its own process."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tests import programs

BENCH = Path(__file__).resolve().parent
_LINE = "A line of text of about seventy characters, as mail has many of them.\n"
BODIES = {"text": _LINE * 25, "html": "<p>" + "</p>\n<p>".join([_LINE.strip()] * 38) + "</p>\n"}  # 5 kB in all


@dataclass(frozen=True)
class Run:
    """One measured run over `count` messages."""

    count: int
    seconds: float
    cpu_s: float = 0.0
    peak_mb: float = 0.0
    extra: float = 0.0

    @property
    def per_s(self) -> float:
        return self.count / self.seconds

    @property
    def cpu_per_1000(self) -> float:
        return self.cpu_s / self.count * 1000


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def ensure_smtp_sink() -> None:
    """Installs Postfix's test programs when this is root on Debian; otherwise says what takes their place."""
    if not _sbin("smtp-sink") and programs.can_install():
        print("Installing postfix for its smtp-sink and smtp-source …", flush=True)
        with contextlib.suppress(subprocess.CalledProcessError):
            programs.install(["postfix"])
    if not _sbin("smtp-sink"):
        print("smtp-sink is missing (package postfix): a slower sink of ours takes its place, for all alike.")


def _sbin(name: str) -> str | None:
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/lib/postfix/sbin")


@contextmanager
def fast_sink() -> Iterator[int]:
    """Postfix's smtp-sink on a free port of loopback; where it is missing, our own."""
    if not _sbin("smtp-sink"):
        with slow_sink(0) as port:
            yield port
        return
    port = free_port()
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    with _running([_sbin("smtp-sink") or "", *user, f"127.0.0.1:{port}", "200"], port):
        yield port


@contextmanager
def slow_sink(delay_ms: float, *keywords: str) -> Iterator[int]:
    """Our sink, whose answers take a while. It offers `keywords`, or else PIPELINING and CHUNKING, as Postfix does."""
    port = free_port()
    with _running([sys.executable, str(BENCH / "sink.py"), str(port), str(delay_ms), *keywords], port):
        yield port


@contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        else:
            raise SystemExit(f"{command[0]} did not start.")
        yield
    finally:
        process.terminate()
        process.wait(10)


def nodemailer(port: int, count: int, connections: int) -> Run | None:
    """Nodemailer's pool; None where npm is missing or can't install it."""
    if not _has_nodemailer():
        return None
    return measured(["node", str(BENCH / "nodemailer.mjs"), str(port), str(count), str(connections)], count)


@lru_cache(maxsize=1)
def _has_nodemailer() -> bool:
    if not shutil.which("npm") or not shutil.which("node"):
        print("npm or node is missing: Nodemailer is left out.")
        return False
    if (BENCH / "node_modules" / "nodemailer").exists():
        return True
    print("Installing nodemailer …", flush=True)
    command = ["npm", "install", "--silent", "--no-save", "--prefix", str(BENCH), "nodemailer"]
    return _installed(command, "Nodemailer")


def _installed(command: list[str], name: str) -> bool:
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    if done.returncode:
        print(f"{name} can't be installed: it is left out.")
    return done.returncode == 0


def post_office(port: int, count: int, threads: int, singles: int, folder: Path) -> Run | None:
    """django-post_office; `extra` is its rate of single accepts. None where it can't be installed."""
    if not _has_post_office():
        return None
    python = str(_POST_OFFICE / "bin" / "python")
    command = [python, str(BENCH / "post_office_case.py"), str(port), str(count), str(threads), str(singles)]
    return measured(command, count, BENCH_DIR=str(folder))


_POST_OFFICE = BENCH / "results" / "post_office"


@lru_cache(maxsize=1)
def _has_post_office() -> bool:
    if (_POST_OFFICE / "ready").exists():
        return True
    print("Setting up django-post_office …", flush=True)
    venv.create(_POST_OFFICE, with_pip=True)
    command = [str(_POST_OFFICE / "bin" / "python"), "-m", "pip", "install", "-q", "django>=5.2,<5.3"]
    if not _installed([*command, "django-post_office"], "django-post_office"):
        return False
    (_POST_OFFICE / "ready").touch()
    return True


def smtp_source(port: int, count: int, connections: int) -> Run | None:
    """Postfix's generator: the same bytes again and again from C, nothing kept. The limit of the sink. None where it
    is missing."""
    program = _sbin("smtp-source")
    if program is None:
        return None
    begun = time.perf_counter()
    subprocess.run(
        [program, "-s", str(connections), "-l", "5400", "-m", str(count), "-d", f"127.0.0.1:{port}"], check=True
    )
    return Run(count, time.perf_counter() - begun)


def measured(command: list[str], count: int, **environment: str) -> Run:
    """Runs a program that prints its figures as a line of JSON. Its peak of memory is read from outside: what getrusage
    tells of a process begins with the size of the one that started it."""
    pipe = subprocess.PIPE
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=errors, text=True, env={**os.environ, **environment}
        )
        with ThreadPoolExecutor(1) as pool:
            peak = pool.submit(_watched, process)
            printed, _ = process.communicate(json.dumps(BODIES))
        if process.returncode:
            errors.seek(0)
            raise SystemExit(f"{command[1]} failed:\n{errors.read()[-2000:]}")
    found = json.loads(printed.strip().splitlines()[-1])
    return Run(count, found["seconds"], found["cpu_s"], peak.result(), found.get("single_per_s", 0.0))


def peak_mb(pid: int) -> float:
    """The most memory a process has held; 0 where it is gone or Linux's /proc is missing."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def _watched(process: "subprocess.Popen[str]") -> float:
    most = 0.0
    while process.poll() is None:
        most = max(most, peak_mb(process.pid))
        time.sleep(0.05)
    return most
