"""A real Postfix on loopback: submission with STARTTLS, TLS from the start, and logins through Cyrus SASL.

It has directories of its own and touches nothing of an installed mail server. Postfix has to be started by root.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType
from typing import Self

import trustme

from tests.servers.saslauthd import Saslauthd

USER, PASSWORD, REALM = "ana", "right horse battery", "mail.test"
INBOX_DOMAIN = "acme.example"
_START_S, _MAIL_S = 20.0, 20.0

_MAIN = """
compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/data
maillog_file = {root}/log
maillog_file_prefixes = /tmp, /var
myhostname = {realm}
mydestination =
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
local_recipient_maps =
default_transport = error:5.1.2 this server delivers to {domain} alone
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {root}/mail
virtual_mailbox_maps = static:inbox/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
smtpd_tls_chain_files = {root}/tls.pem
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
smtpd_sasl_local_domain = {realm}
cyrus_sasl_config_path = {root}/config/sasl
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_recipient_restrictions =
"""
_MASTER = """
127.0.0.1:{submission} inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt
  -o smtpd_tls_auth_only=yes
127.0.0.1:{smtps} inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


def missing() -> str:
    """Why Postfix can't be started here, as a sentence; "" when it can."""
    if shutil.which("postfix") is None:
        return "Postfix is not installed (Debian: postfix, libsasl2-modules)."
    if os.geteuid() != 0:
        return "Postfix can only be started by root."
    return ""


class Postfix:
    """Use as a context manager. `submission` and `smtps` are its ports, `ca_pem` the authority of its certificate."""

    def __enter__(self) -> Self:
        self.root = Path(tempfile.mkdtemp(prefix="real-postfix-", dir="/tmp"))  # its own users have to reach it
        self.root.chmod(0o755)
        self.submission, self.smtps = _free_ports(2)
        self._running = ExitStack()
        self._saslauthd = self._running.enter_context(Saslauthd(self.root / "saslauthd", {USER: PASSWORD}))
        try:
            self._lay_out()
            self._run("start")
            self._wait_until_it_listens()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def login_attempts(self) -> list[str]:
        """The user names of all logins that were tried."""
        return self._saslauthd.attempts

    @property
    def log(self) -> str:
        path = self.root / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait_for_mail(self) -> EmailMessage:
        """The first mail that was delivered into the mailbox."""
        message = message_from_bytes(self.wait_for_mails(1)[0], policy=policy.default)
        assert isinstance(message, EmailMessage)
        return message

    def wait_for_mails(self, count: int) -> list[bytes]:
        """The mails in the mailbox, once there are so many and nothing more is on its way."""
        folder, queue = self.root / "mail" / "inbox" / "new", self.root / "queue"
        for _ in _until(_MAIL_S):
            found = sorted(folder.glob("*")) if folder.exists() else []
            waiting = [path for name in ("incoming", "active", "maildrop") for path in (queue / name).glob("*")]
            if len(found) >= count and not waiting:
                return [path.read_bytes() for path in found]
        raise AssertionError(f"Postfix delivered too little:\n{self.log}")

    def _lay_out(self) -> None:
        nobody = 65534
        for name in ("config", "config/sasl", "queue", "data", "mail"):
            (self.root / name).mkdir()
        shutil.chown(self.root / "data", "postfix")
        os.chown(self.root / "mail", nobody, nobody)
        authority = trustme.CA()
        self.ca_pem = authority.cert_pem.bytes().decode()
        issued = authority.issue_cert("127.0.0.1", "localhost")
        chain = self.root / "tls.pem"
        chain.write_bytes(issued.private_key_and_cert_chain_pem.bytes())
        chain.chmod(0o600)
        values = {"root": self.root, "realm": REALM, "domain": INBOX_DOMAIN, "uid": nobody, "gid": nobody}
        (self.root / "config" / "main.cf").write_text(_MAIN.format(**values))
        ports = {"submission": self.submission, "smtps": self.smtps}
        (self.root / "config" / "master.cf").write_text(_MASTER.format(**ports))
        # Debian's Postfix looks for SASL's settings beside its own and nowhere else.
        (self.root / "config" / "sasl" / "smtpd.conf").write_text(
            f"pwcheck_method: saslauthd\nsaslauthd_path: {self._saslauthd.path}\nmech_list: PLAIN LOGIN CRAM-MD5\n"
        )
        for name in ("config", "config/sasl", "queue", "data", "mail"):  # whatever the umask of this process is
            (self.root / name).chmod(0o755)
        for name in ("main.cf", "master.cf", "sasl/smtpd.conf"):
            (self.root / "config" / name).chmod(0o644)

    def _run(self, verb: str) -> None:
        command = ["postfix", "-c", str(self.root / "config"), verb]
        done = subprocess.run(command, capture_output=True, timeout=60, check=False, umask=0o022)
        if done.returncode != 0 and verb == "start":
            raise AssertionError(f"Postfix did not start: {done.stderr.decode(errors='replace')}\n{self.log}")

    def _wait_until_it_listens(self) -> None:
        for _ in _until(_START_S):
            try:
                for port in (self.submission, self.smtps):
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                continue
            return
        raise AssertionError(f"Postfix does not listen:\n{self.log}")

    def _end(self) -> None:
        self._run("stop")
        self._running.close()
        shutil.rmtree(self.root, ignore_errors=True)


def _until(seconds: float) -> Iterator[None]:
    """Comes round every tenth of a second until the time is up."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
