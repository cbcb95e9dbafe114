"""`manage.py serve` as a real process: start, ready, ports, signals, and starts that are impossible."""

import os
import re
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path

import pytest
import trustme

from adminapp.environment import own_addresses

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


def environment(data_dir: Path, **changes: str) -> dict[str, str]:
    http, https = free_ports()
    ours = {"DATA_DIR": str(data_dir), "HTTP_PORT": str(http), "HTTPS_PORT": str(https), "BIND": "127.0.0.1"}
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | ours | changes


def manage(*arguments: str, environment: dict[str, str], stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, input=stdin, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    text: str


def ask(connection: HTTPConnection, path: str, method: str) -> Answer:
    with closing(connection):
        connection.request(method, path)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read().decode(errors="replace"))


@dataclass
class Served:
    """A running program, ready to be asked."""

    process: subprocess.Popen[str]
    environment: dict[str, str]
    printed: str

    def http(self, path: str, method: str = "GET", address: str = "127.0.0.1") -> Answer:
        return ask(HTTPConnection(address, int(self.environment["HTTP_PORT"]), timeout=PATIENCE_S), path, method)

    def https(self, path: str, context: ssl.SSLContext) -> Answer:
        port = int(self.environment["HTTPS_PORT"])
        return ask(HTTPSConnection("localhost", port, context=context, timeout=PATIENCE_S), path, "GET")

    def stop(self, signum: int = signal.SIGTERM) -> int:
        self.process.send_signal(signum)
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def start() -> Iterator[Callable[[dict[str, str]], Served]]:
    """Starts the program and returns once it says that it is ready; ends it with the test."""
    running: list[subprocess.Popen[str]] = []

    def act(env: dict[str, str]) -> Served:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "serve"],
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        running.append(process)
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("  Data "):
                break
        else:
            raise AssertionError("ended before it was ready: " + "".join(lines))
        return Served(process, env, "".join(lines))

    yield act
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE_S)
        if process.stdout is not None:
            process.stdout.close()


def test_the_first_start_sets_everything_up_and_prints_a_link_that_works(
    start: Callable[..., Served], tmp_path: Path
) -> None:
    served = start(environment(tmp_path / "data"))
    assert "Bringing the database up to date" in served.printed
    assert served.process.stdout is not None
    link = next(line.strip() for line in served.process.stdout if "/setup/?token=" in line)
    assert link.startswith(f"http://localhost:{served.environment['HTTP_PORT']}/setup/?token=")
    page = served.http(link.split(served.environment["HTTP_PORT"])[1])
    assert page.status == 200
    assert re.search(r'name="token"\s+value="[\w-]{43}"', page.text)

    keys = tmp_path / "data" / "keys"
    assert {path.name: path.stat().st_mode & 0o777 for path in keys.iterdir() if path.suffix in (".key", ".keys")} == {
        "secret.key": 0o600,
        "encryption.keys": 0o600,
        "fingerprint.key": 0o600,
    }

    context = ssl.create_default_context(cafile=tmp_path / "data" / "tls" / "certificate.pem")
    login = served.https("/setup/", context)  # verified against the certificate that was made
    static = re.findall(r'(?:src|href)="(/static/[^"]+)"', login.text)
    assert len(static) >= 6
    for path in static:
        answer = served.https(path, context)
        assert answer.status == 200, path
        assert "immutable" in answer.headers["Cache-Control"], path

    wait_until(lambda: "2 web and 1 outbound" in served.http("/readyz").text)
    assert [str(path) for path in (tmp_path / "data").rglob("*") if path.stat().st_mode & 0o077] == []
    assert served.stop() == 0

    again = start(served.environment)
    assert "Bringing the database" not in again.printed
    assert "Gathering" not in again.printed
    assert again.http("/healthz").status == 200
    assert again.stop(signal.SIGINT) == 0


SLOW_CHILD = """
import signal, sys, threading, time
import django
django.setup()
from adminapp.serve import Child, _Supervisor

def slow():
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    print("up", flush=True)
    told.wait()
    time.sleep(0.5)
    print("finished", flush=True)

sys.exit(_Supervisor([Child("slow", slow, 30.0)], stopping=lambda: None).run(lambda: None))
"""


def test_a_request_to_stop_that_is_told_twice_in_a_moment_still_lets_everything_finish(tmp_path: Path) -> None:
    """As `timeout` does: to the process, and to its group."""
    env = {**environment(tmp_path), "DJANGO_SETTINGS_MODULE": "adminapp.settings"}
    with subprocess.Popen([sys.executable, "-c", SLOW_CHILD], cwd=ROOT, env=env, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        for _ in range(2):
            process.send_signal(signal.SIGTERM)
            time.sleep(0.1)
        assert process.stdout.read() == b"finished\n"
        assert process.wait(PATIENCE_S) == 0


def test_it_can_be_set_up_on_the_command_line(tmp_path: Path, start: Callable[..., Served]) -> None:
    env = environment(tmp_path)
    served = start(env)
    made = manage("createadmin", "--email", "Ana@acme.example", environment=env, stdin="correct horse battery\n")
    assert (made.returncode, made.stdout) == (0, "ana@acme.example can log in now.\n")
    with closing(sqlite3.connect(tmp_path / "db.sqlite3")) as database:
        (stored,) = database.execute("SELECT password FROM auth_user").fetchone()
    assert stored.startswith("argon2$argon2id$")
    assert served.http("/setup/").status == 404
    assert served.http("/accounts/login/").status == 200
    too_large = HTTPConnection("127.0.0.1", int(env["HTTP_PORT"]), timeout=PATIENCE_S)
    too_large.request("POST", "/api/v1/messages", bytes(17 * 1024 * 1024))
    assert too_large.getresponse().status == 401  # by the API in its own words, not by the server with a bare 400
    too_large.close()
    refused = manage("setup_token", environment=env)
    assert refused.returncode == 1
    assert "--reset" in refused.stderr
    weak = manage("createadmin", "--email", "bob@acme.example", environment=env, stdin="short\n")
    assert weak.returncode == 1
    assert "12 characters" in weak.stderr
    assert "Traceback" not in weak.stderr


@pytest.mark.parametrize("words", [["createadmin", "--email", "ana@acme.example"], ["doctor"], ["token", "list"]])
def test_a_command_before_the_first_start_says_what_to_run(tmp_path: Path, words: list[str]) -> None:
    ended = manage(*words, environment=environment(tmp_path), stdin="correct horse battery\n")
    assert ended.returncode == 1
    assert "“make run”" in ended.stderr + ended.stdout
    assert "Traceback" not in ended.stderr


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks the processes up in Linux's /proc")
def test_a_process_that_dies_is_replaced_and_none_outlives_the_program(
    start: Callable[..., Served], tmp_path: Path
) -> None:
    served = start(environment(tmp_path))
    pid = served.process.pid
    before = children_of(pid)
    assert len(before) == 3  # two for the web, and the one that delivers
    wait_until(lambda: "2 web and 1 outbound" in served.http("/readyz").text)
    for child in before:
        os.kill(child, signal.SIGKILL)
        wait_until(lambda gone=child: gone not in children_of(pid) and len(children_of(pid)) == len(before))  # type: ignore[misc]
        assert served.http("/healthz").status == 200

    left = children_of(pid)
    os.kill(pid, signal.SIGKILL)
    served.process.wait(PATIENCE_S)
    wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in left))


def test_every_page_is_imported_before_the_web_processes_are_forked(tmp_path: Path) -> None:
    """So that the first request is as quick as the next, every process tells the same time of the start, and they share
    the memory: no collection touches what is frozen."""
    code = """
import gc, sys, django; django.setup()
from pathlib import Path
from hypercorn.config import Sockets
from adminapp import serve
serve._Supervisor.run = lambda self, ready: print("adminapp.status" in sys.modules, gc.get_freeze_count() > 50_000)
serve.serve(Sockets([], [], []), certificate=Path("no"), key=Path("no"), ready=lambda: None)
"""
    env = environment(tmp_path, DJANGO_SETTINGS_MODULE="adminapp.settings")
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.returncode) == ("True True\n", 0), ran.stderr


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks the processes up in Linux's /proc")
def test_all_processes_restart_one_after_the_other_when_asked(start: Callable[..., Served], tmp_path: Path) -> None:
    served = start(environment(tmp_path))
    before = children_of(served.process.pid)
    wait_until(lambda: "2 web and 1 outbound" in served.http("/readyz").text)
    ask_all = "from outbound import restart; from emailcfg.actor import Actor; restart.ask(actor=Actor(name='ana'))"
    assert manage("shell", "--no-imports", "-c", ask_all, environment=served.environment).returncode == 0

    fewest, answers = len(before), set()

    def restarted() -> bool:
        nonlocal fewest
        now = children_of(served.process.pid)
        fewest = min(fewest, len(now))
        answers.add(served.http("/healthz").status)
        return len(now) == len(before) and not set(now) & set(before)

    wait_until(restarted)
    assert fewest >= len(before) - 1  # never two at once
    assert answers == {200}  # and never a moment without an answer
    wait_until(lambda: "2 web and 1 outbound" in served.http("/readyz").text)
    look = "from outbound import restart; print(restart.look().sentence)"
    shown = manage("shell", "--no-imports", "-c", look, environment=served.environment)
    assert shown.stdout.strip() == "All 3 processes restarted."
    assert served.stop() == 0


def refused(environment: dict[str, str]) -> str:
    """The one line of a start that is impossible."""
    result = manage("serve", environment=environment)
    assert result.returncode == 1, result.stdout + result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("Admin App can't start: ")
    return lines[0]


@pytest.mark.parametrize("name", ["HTTP_PORT", "HTTPS_PORT"])
def test_a_port_in_use_is_said_in_one_line(tmp_path: Path, name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = refused(environment(tmp_path, **{name: str(port)}))
    assert str(port) in line
    assert name in line


def test_a_data_folder_that_cannot_be_made_or_written_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "DATA_DIR" in refused(environment(tmp_path / "file"))
    # Root may write to a folder of any mode, but not where the kernel keeps one.
    assert "DATA_DIR" in refused(environment(Path("/proc/data") if os.geteuid() == 0 else _read_only(tmp_path)))


def _read_only(folder: Path) -> Path:
    folder.chmod(0o500)
    return folder


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_PORT", "many"),
        ("TRUSTED_PROXIES", "proxy"),
        ("HTTP_PROT", "8080"),
        ("BIND", "203.0.113.1"),
        ("EMAILCFG__SMTP__PORT", "0"),
    ],
)
def test_a_malformed_environment_is_said_in_one_line(tmp_path: Path, name: str, value: str) -> None:
    assert name in refused(environment(tmp_path, **{name: value}))


def test_a_database_that_does_not_answer_is_said_in_one_line(tmp_path: Path) -> None:
    nobody = free_ports()[0]
    line = refused(environment(tmp_path, DATABASE_URL=f"postgresql://ana:secret-1@127.0.0.1:{nobody}/name"))
    assert "database" in line
    assert "secret-1" not in line


def test_a_missing_key_with_secrets_in_the_database_is_said_in_one_line(
    tmp_path: Path, start: Callable[..., Served]
) -> None:
    env = environment(tmp_path)
    assert start(env).stop() == 0
    insert = (
        "from emailcfg.models import Secret; Secret.objects.create(ciphertext='x', fingerprint='y', created_by='z')"
    )
    assert manage("shell", "--no-imports", "-c", insert, environment=env).returncode == 0
    (tmp_path / "keys" / "encryption.keys").unlink()
    assert "backup" in refused(env)
    assert not (tmp_path / "keys" / "encryption.keys").exists()


def test_plain_http_from_another_address_is_sent_to_https(tmp_path: Path, start: Callable[..., Served]) -> None:
    """The machine's own outer address stands in for another machine: its packets carry no loopback address."""
    outer = next((a for a in own_addresses() if ":" not in a and not a.startswith("127.")), None)
    if outer is None:
        pytest.skip("this machine has no address but loopback")
    served = start(environment(tmp_path, BIND="0.0.0.0", ALLOWED_HOSTS=outer))
    answer = served.http("/accounts/login/", address=outer)
    assert (answer.status, answer.headers["Location"]) == (
        307,
        f"https://{outer}:{served.environment['HTTPS_PORT']}/accounts/login/",
    )
    assert served.http("/accounts/login/", "POST", address=outer).status == 403


def test_an_own_certificate_is_served_on_ipv6_and_values_come_from_files(
    tmp_path: Path, start: Callable[..., Served]
) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("::1")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "bind").write_text("::1\n")
    env = environment(
        tmp_path / "data",
        TLS_CERT_FILE=str(tmp_path / "cert.pem"),
        TLS_KEY_FILE=str(tmp_path / "key.pem"),
        BIND="",
        BIND_FILE=str(tmp_path / "bind"),
    )
    served = start(env)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    over_tls = HTTPSConnection("::1", int(env["HTTPS_PORT"]), context=context, timeout=PATIENCE_S)
    assert ask(over_tls, "/setup/", "GET").status == 200
    assert served.http("/healthz", address="::1").text == "ok\n"
    with pytest.raises(ConnectionRefusedError):
        served.http("/healthz")
    assert not (tmp_path / "data" / "tls").exists()
