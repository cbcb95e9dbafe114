"""The program as it really runs, web, service and commands: what the server repeats is in no file and no line."""

import json
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.adminapp.canary import Canary
from tests.adminapp.test_serve import Served, environment, manage, start
from tests.conftest import PASSWORD
from tests.outbound.engine.running import until
from tests.servers.scripted import ScriptedSmtp, ehlo

__all__ = ["start"]

SECRET = Canary('Zx9=q/+canary "horse" <battery>', "ana")
ADMIN = "ana@acme.example"


class Program:
    """The running program and its commands; all that any of them wrote or answered is in `told`."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.told = [served.printed]

    def command(self, *arguments: str, stdin: str = "") -> str:
        done = manage(*arguments, environment=self.served.environment, stdin=stdin)
        self.told.append(done.stdout + done.stderr)
        return done.stdout.strip()

    def api(self, method: str, path: str, token: str, body: Any = None) -> Any:
        connection = HTTPConnection("127.0.0.1", int(self.served.environment["HTTP_PORT"]), timeout=30)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request(method, f"/api/v1{path}", json.dumps(body) if body is not None else None, headers)
        text = connection.getresponse().read().decode()
        connection.close()
        self.told.append(text)
        return json.loads(text)


def test_nothing_that_it_writes_holds_the_password_or_the_token(
    start: Callable[[dict[str, str]], Served], tmp_path: Path, scripted_smtp: Callable[..., ScriptedSmtp]
) -> None:
    server = scripted_smtp(keywords=["AUTH PLAIN LOGIN"])
    server.script["connect"] = f"220 mail.test {SECRET.said()}"
    server.script["EHLO"] = ehlo("AUTH PLAIN LOGIN", f"X-SAID {SECRET.secret}")
    server.script["AUTH"] = SECRET.reply("535")
    data = tmp_path / "data"
    program = Program(start(environment(data, OUTBOUND_ALLOWED_PORTS="*")))
    program.command("createadmin", "--email", ADMIN, stdin=f"{PASSWORD}\n")
    scopes = ["config:write", "config:activate", "config:read", "messages:send", "messages:read"]
    asked_for = [part for scope in scopes for part in ("--scope", scope)]
    token = program.command("token", "create", "--name", "ci", *asked_for)
    program.told.pop()  # printed this once, on purpose
    config = {
        "schema_version": 1,
        "general": {"sender_email": "no-reply@acme.example"},
        "delivery": {"selected": "smtp"},
        "smtp": {
            "host": "127.0.0.1",
            "port": server.port,
            "security": "none",
            "username": SECRET.user,
            "password": {"set": SECRET.secret},
        },
        "sendgrid": {},
    }
    assert program.api("POST", "/config/test", token, {"config": config, "to": ADMIN})["ok"] is False
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config))
    program.command("emailcfg", "save", str(file), "--description", "The relay of Berlin")
    program.command("emailcfg", "activate", "1", "--reason", "For a test")
    program.command("emailcfg", "test", "--to", ADMIN)
    program.command("healthcheck")
    program.command("doctor")
    mail = {"kind": "raw", "to": [ADMIN], "subject": "Hello", "text": "Good morning."}
    accepted = program.api("POST", "/messages", token, mail)
    log = data / "logs" / "adminapp.log"
    until(lambda: log.exists() and "Mail is held: login_refused" in log.read_text(), timeout_s=30)
    program.api("GET", f"/messages/{accepted['id']}", token)
    for path in ("/readyz", "/metrics", "/healthz"):
        program.told.append(program.served.http(path).text)
    assert program.served.stop() == 0
    output = program.served.process.stdout
    assert output is not None
    program.told.append(output.read())
    assert "[removed]" in log.read_text()
    assert "[removed]" in program.told[-1]
    for text in program.told:
        assert [*SECRET.found_in(text), *Canary(token).found_in(text), *Canary(PASSWORD).found_in(text)] == []
    looked_at = [path for path in data.rglob("*") if path.is_file()]
    assert any(path.suffix == ".sqlite3" for path in looked_at)
    for path in looked_at:
        text = path.read_bytes().decode("latin-1")
        assert [*SECRET.found_in(text), *Canary(token).found_in(text), *Canary(PASSWORD).found_in(text)] == [], path
