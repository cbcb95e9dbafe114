"""A kept-open session with SendGrid's v3 HTTPS API.

A 202 says that SendGrid has accepted a mail, not that it was delivered. There is no idempotency key: once a
request has gone out, only a readable answer other than 5xx tells its outcome."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from pydantic import SecretStr

from emailcfg.network import NetworkPolicy
from emailcfg.providers import certificate, connect, sendgrid_answer, sendgrid_senders
from emailcfg.providers.base import (
    ErrorClass,
    Failure,
    Mail,
    Observer,
    RecipientResult,
    Reply,
    Result,
    SessionError,
    Stage,
    Step,
    Wait,
    ignore_steps,
)
from emailcfg.providers.classify import STOPS, classify_http
from emailcfg.providers.https import ExchangeError, HttpConnection, Response
from emailcfg.providers.reply import Redactor, words
from emailcfg.providers.sendgrid_payload import Unfit, body
from emailcfg.providers.stages import Note, StageFailed, Stages
from emailcfg.schema import SendGrid

BASE_URLS = {"global": "https://api.sendgrid.com", "eu": "https://api.eu.sendgrid.com"}
_CONNECT_TIMEOUT_S = 30.0
_IDLE_S = 30.0  # after this a kept connection may be gone without our having heard of it
_ASK_S = 5.0  # for each list of senders: a test must not lose its time to them


@dataclass(frozen=True, slots=True)
class _Answer:
    response: Response
    reply: Reply


class SendGridSession:
    """Implements `base.Session`. `config.api_key` must be the resolved secret.

    `api_url` is the operator's override of the API's address, and may be plain http. `deadline_s` bounds opening
    as a whole and each request. `trust_file` is a PEM file of further authorities (SSL_CERT_FILE)."""

    def __init__(
        self,
        config: SendGrid,
        *,
        api_url: str | None = None,
        deadline_s: float = 120.0,
        trust_file: str | None = None,
    ) -> None:
        if not isinstance(config.api_key, SecretStr):
            raise TypeError("the API key must be resolved before a session is made")
        url = urlsplit(api_url or BASE_URLS[config.region])
        if url.scheme not in ("https", "http") or not url.hostname:
            raise ValueError("the address of the API must start with https:// or http://")
        self._config = config
        self._key = config.api_key
        self._redact = Redactor(config.api_key.get_secret_value(), user="apikey")
        self._encrypted = url.scheme == "https"
        self._host = url.hostname
        self._port = url.port or (443 if self._encrypted else 80)
        self._host_header = url.netloc.rpartition("@")[2]
        self._prefix = url.path.rstrip("/")
        self._deadline_s = deadline_s
        self._trust_file = trust_file
        self._http: HttpConnection | None = None
        self._used_at = 0.0
        self.server = f"{self._host}:{self._port}"
        self.tls = ""
        self.wait: Wait | None = None

    def __repr__(self) -> str:
        return f"SendGridSession({self.server})"

    # Opening

    def open(self, observer: Observer = ignore_steps) -> None:
        """Connects and looks at the key's scopes; raises SessionError."""
        self.close()
        stages = Stages(observer)
        deadline = time.monotonic() + self._deadline_s
        try:
            self._connect(stages, deadline)
            with stages.stage(Stage.KEY) as note:
                self._check_key(note, deadline)
        except BaseException:
            self.close()
            raise

    def _connect(self, stages: Stages, deadline: float) -> None:
        # The policy's networks and ports are for SMTP; the addresses that are never reached hold here too.
        policy = NetworkPolicy(ports=None)
        with stages.stage(Stage.RESOLVE) as note:
            addresses = connect.resolve(self._host, self._port, policy=policy, deadline=deadline, facts=note.facts)
            note.detail = ", ".join(address.ip for address in addresses)
        with stages.stage(Stage.CONNECT) as note:
            sock = connect.connect(addresses, timeout_s=_CONNECT_TIMEOUT_S, deadline=deadline, facts=note.facts)
            note.detail = f"{note.facts['address']}, port {self._port}"
        with stages.stage(Stage.TLS) as note:
            if self._encrypted:
                try:
                    context = connect.tls_context(trust_file=self._trust_file)
                except StageFailed:
                    sock.close()
                    raise
                encrypted = connect.encrypt(
                    sock, self._host, context=context, timeout_s=_CONNECT_TIMEOUT_S, deadline=deadline
                )
                note.facts.update(certificate.tls_facts(encrypted))
                self.tls = str(note.facts["version"])
                note.detail = certificate.in_words(note.facts)
                sock = encrypted
            else:
                note.ok, note.detail = None, "Not encrypted, as the operator configured."
        self._http = HttpConnection(sock, self._host_header)
        self._used_at = time.monotonic()

    def _check_key(self, note: Note, deadline: float) -> None:
        try:
            answer = self._exchange("GET", "/v3/scopes", b"", deadline)
        except ExchangeError as error:
            raise StageFailed(self._cleaned(error.failure(Stage.KEY))) from None
        note.reply = answer.reply
        status = answer.response.status
        if status in (403, 404):
            # A key that may only send is not told its scopes everywhere: that says nothing against it.
            note.ok, note.detail = None, "SendGrid does not tell the scopes of this key."
            return
        scopes = sendgrid_answer.scopes(answer.response.body, self._redact) if status == 200 else None
        if scopes is None:
            failure = self._refusal(Stage.KEY, answer)
            raise StageFailed(failure)
        note.facts["scopes"] = scopes
        if "mail.send" not in scopes:
            raise StageFailed(
                Failure(
                    Stage.KEY,
                    ErrorClass.CONFIGURATION,
                    "scope_missing",
                    detail=words(f"The key has these scopes: {', '.join(scopes) or 'none'}.", self._redact),
                )
            )
        note.detail = "The key may send mail."

    # Mail

    def deliver(
        self,
        mails: Iterable[Mail],
        *,
        before_data: Callable[[Mail], None],
        on_result: Callable[[Result], None],
        observer: Observer = ignore_steps,
    ) -> None:
        """See `base.Session.deliver`; DATA is the request, ACCEPTED its answer. Only a session that is watched asks
        for the verified senders first (SENDER)."""
        for mail in mails:
            if observer is not ignore_steps:
                self._check_sender(mail, observer, decides=False)
            start = time.perf_counter()
            deadline = time.monotonic() + self._deadline_s
            try:
                document = body(mail, click_tracking=self._config.click_tracking)
            except Unfit as unfit:
                failure = Failure(Stage.DATA, ErrorClass.MESSAGE_HARD, unfit.reason, detail=str(unfit))
                self._report(mail, None, failure, "", start, on_result, observer)
                continue
            self._ready(deadline)
            before_data(mail)
            try:
                answer = self._exchange("POST", "/v3/mail/send", document, deadline)
            except ExchangeError as error:
                failure = self._cleaned(error.failure(Stage.ACCEPTED))
                self._report(mail, None, failure, "", start, on_result, observer)
                raise SessionError(replace(failure, error_class=ErrorClass.HOST)) from None
            self._judge(mail, answer, start, on_result, observer)

    def probe(self, mail: Mail, observer: Observer = ignore_steps) -> None:
        """Looks the sender up, as far as the key may and somebody watches, and has SendGrid check the mail's form (its
        sandbox mode): nothing is sent, and the recipient is not proven. Raises SessionError for a refusal."""
        if observer is not ignore_steps:
            self._check_sender(mail, observer, decides=True)
        start = time.perf_counter()
        deadline = time.monotonic() + self._deadline_s
        try:
            document = body(mail, click_tracking=self._config.click_tracking, sandbox=True)
            self._ready(deadline)
            answer = self._exchange("POST", "/v3/mail/send", document, deadline)
        except Unfit as unfit:
            failure: Failure | None = Failure(Stage.DATA, ErrorClass.MESSAGE_HARD, unfit.reason, detail=str(unfit))
            reply = None
        except ExchangeError as error:
            failure, reply = self._cleaned(replace(error.failure(Stage.DATA), error_class=ErrorClass.HOST)), None
        else:
            reply = answer.reply
            failure = None if answer.response.status == 200 else self._refusal(Stage.DATA, answer)
        ms = (time.perf_counter() - start) * 1000
        if failure is not None:
            observer(Step(Stage.DATA, False, ms, failure.words, {}, reply, failure))
            raise SessionError(failure)
        observer(Step(Stage.RECIPIENT, None, 0.0, "SendGrid checks this only when a mail is sent."))
        observer(Step(Stage.DATA, True, ms, "SendGrid finds the form of the mail valid. Nothing was sent.", {}, reply))

    def _check_sender(self, mail: Mail, observer: Observer, *, decides: bool) -> None:
        with Stages(observer).stage(Stage.SENDER) as note:
            sendgrid_senders.note_sender(note, mail.mail_from, self._asked, self._redact, decides=decides)

    def _asked(self, path: str) -> Response | None:
        deadline = time.monotonic() + min(_ASK_S, self._deadline_s)
        try:
            self._ready(deadline)
            return self._exchange("GET", path, b"", deadline).response
        except (ExchangeError, SessionError):
            return None

    def close(self) -> None:
        if self._http is not None:
            self._http.close()
        self._http = None
        self.tls = ""

    def _ready(self, deadline: float) -> None:
        """Connects again when the kept connection was closed, before anything of a mail is sent."""
        http = self._http
        if http is not None and http.usable and time.monotonic() - self._used_at < _IDLE_S and not http.is_stale():
            return
        self.close()
        self._connect(Stages(ignore_steps), deadline)

    def _judge(
        self, mail: Mail, answer: _Answer, start: float, on_result: Callable[[Result], None], observer: Observer
    ) -> None:
        response = answer.response
        message_id = words(response.headers.get("x-message-id", ""), self._redact)[:255]
        if response.status == 202:
            self._report(mail, answer.reply, None, message_id, start, on_result, observer)
            return
        failure = self._refusal(Stage.ACCEPTED, answer)
        self._report(mail, None, failure, "", start, on_result, observer)
        if failure.error_class is ErrorClass.IN_DOUBT:  # the next mail would only be in doubt as well
            raise SessionError(replace(failure, error_class=ErrorClass.HOST))
        if failure.error_class in STOPS:
            raise SessionError(failure)

    def _report(
        self,
        mail: Mail,
        reply: Reply | None,
        failure: Failure | None,
        message_id: str,
        start: float,
        on_result: Callable[[Result], None],
        observer: Observer,
    ) -> None:
        ms = (time.perf_counter() - start) * 1000
        if failure is None:
            observer(Step(Stage.DATA, True, ms, "The request was sent."))
            observer(Step(Stage.ACCEPTED, True, 0.0, message_id, {"message_id": message_id}, reply))
        else:
            observer(Step(failure.stage, False, ms, failure.words, {}, failure.reply, failure))
        entries = tuple(RecipientResult(address, reply) for address in mail.recipients)
        on_result(Result(mail, entries, reply, failure, message_id, ms))

    # The exchange

    def _exchange(self, method: str, path: str, body: bytes, deadline: float) -> _Answer:
        if self._http is None:
            raise ExchangeError("connection_lost", "The session is closed.", may_be_out=False)
        headers = {"Authorization": f"Bearer {self._key.get_secret_value()}", "Accept": "application/json"}
        if body:
            headers["Content-Type"] = "application/json"
        response = self._http.exchange(method, self._prefix + path, headers, body, deadline=deadline)
        self._used_at = time.monotonic()
        text = words(sendgrid_answer.message(response.body), self._redact)
        return _Answer(response, Reply(response.status, text))

    def _refusal(self, stage: Stage, answer: _Answer) -> Failure:
        verdict = classify_http(stage, answer.reply.code, answer.reply.text)
        retry_after = sendgrid_answer.retry_after_s(answer.response) if verdict.error_class is ErrorClass.RATE else None
        return Failure(stage, verdict.error_class, verdict.reason, answer.reply, retry_after_s=retry_after)

    def _cleaned(self, failure: Failure) -> Failure:
        return replace(failure, detail=words(failure.detail, self._redact))
