"""Each variable of the environment: what it accepts, and the one sentence for what it does not."""

import re
from ipaddress import ip_network
from pathlib import Path

import pytest
import trustme

from adminapp import environment, environment_values
from adminapp.environment import NAMES, Refused, read

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    result = read({})
    assert (result.http_port, result.https_port, result.bind) == (8080, 8443, "0.0.0.0")
    assert result.data_dir == environment.BASE_DIR / "var"
    assert result.database_url == f"sqlite:///{result.data_dir}/db.sqlite3"
    assert result.network_policy.nets is None
    assert result.network_policy.ports == {25, 465, 587, 2465, 2525, 2587}
    assert (result.broker_url, result.sendgrid_api_url, result.trusted_proxies) == (None, None, ())
    assert {"localhost", "127.0.0.1", "[::1]"} <= set(result.allowed_hosts)


def test_an_empty_value_counts_as_not_given() -> None:
    assert read({"HTTP_PORT": "", "DATABASE_URL": " "}) == read({})


def test_values_are_parsed() -> None:
    result = read(
        {
            "HTTP_PORT": "80",
            "HTTPS_PORT": "443",
            "BIND": "::",
            "PUBLIC_BASE_URL": "https://Mail.Example.com/",
            "TRUSTED_PROXIES": "10.0.0.0/8, fd00::/8,192.0.2.1",
            "OUTBOUND_ALLOWED_NETS": "127.0.0.0/8",
            "OUTBOUND_ALLOWED_PORTS": "25, 1025",
            "DATABASE_URL": "postgresql://u:p@db:5432/name",
            "BROKER_URL": "amqp://guest@mq//",
            "RETRY_FIRST_S": "0.5",
            "ENCRYPTION_KEY_FILES": "/keys/new, /keys/old",
        }
    )
    assert (result.http_port, result.https_port, result.bind) == (80, 443, "::")
    assert result.public_base_url == "https://mail.example.com"
    assert "mail.example.com" in result.allowed_hosts
    assert result.trusted_proxies == tuple(map(ip_network, ("10.0.0.0/8", "fd00::/8", "192.0.2.1/32")))
    assert result.network_policy.nets == (ip_network("127.0.0.0/8"),)
    assert result.network_policy.ports == {25, 1025}
    assert result.retry_first_s == 0.5
    assert result.encryption_key_files == (Path("/keys/new"), Path("/keys/old"))


def test_a_star_allows_every_port() -> None:
    assert read({"OUTBOUND_ALLOWED_PORTS": "*"}).network_policy.ports is None


def test_a_value_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://u:p@db/name\n")
    assert read({"DATABASE_URL_FILE": str(tmp_path / "url")}).database_url == "postgresql://u:p@db/name"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("SSL_CERT_FILE", __file__, "holds no certificates"),
        ("HTTP_PORT", "0", "from 1 to 65535"),
        ("HTTP_PORT", "65536", "from 1 to 65535"),
        ("HTTP_PORT", "http", "from 1 to 65535"),
        ("HTTP_PORT", "-1", "from 1 to 65535"),
        ("HTTP_PORT", "８０", "from 1 to 65535"),
        ("HTTP_PORT", "9" * 5000, "from 1 to 65535"),
        ("HTTP_PORT", "8443", "two different ports"),
        ("HTTP_PORT", "tcp://10.0.0.1:80", "from 1 to 65535"),
        ("BIND", "localhost", "must be an IP address"),
        ("BIND", "10.0.0", "must be an IP address"),
        ("PUBLIC_BASE_URL", "mail.example.com", "must be a URL"),
        ("PUBLIC_BASE_URL", "ftp://mail.example.com", "must be a URL"),
        ("PUBLIC_BASE_URL", "https://", "must be a URL"),
        ("PUBLIC_BASE_URL", "https://a:b@host", "must be a URL"),
        ("PUBLIC_BASE_URL", "https://host:99999", "must be a URL"),
        ("PUBLIC_BASE_URL", "https://host/path", "without a path"),
        ("PUBLIC_BASE_URL", "https://[::1", "must be a URL"),
        ("ALLOWED_HOSTS", "https://host", "a host name alone"),
        ("ALLOWED_HOSTS", "a,,b", "empty entry"),
        ("TRUSTED_PROXIES", "10.0.0.1/8", "must be a network"),
        ("TRUSTED_PROXIES", "proxy", "must be a network"),
        ("OUTBOUND_ALLOWED_NETS", "10.0.0.0/33", "must be a network"),
        ("OUTBOUND_ALLOWED_PORTS", "25,smtp", "from 1 to 65535"),
        ("OUTBOUND_ALLOWED_PORTS", "25,*", "from 1 to 65535"),
        ("DATABASE_URL", "mysql://db/name", "must start with"),
        ("DATABASE_URL", "postgresql://u:p@db", "names no database"),
        ("BROKER_URL", "redis://mq", "must start with"),
        ("BROKER_QUEUE", "our mails", "letters, digits, hyphens"),
        ("BROKER_QUEUE", "q" * 81, "1 to 80"),
        ("SENDGRID_API_URL", "api.sendgrid.com", "must be a URL"),
        ("SENDGRID_API_URL", "https://api.sendgrid.com/v3", "without a path"),
        ("SSL_CERT_FILE", "/nothing/here.pem", "can't be read"),
        ("DNS_RESOLVER", "dns.example.com", "must be an IP address"),
        ("DNS_RESOLVER", "192.0.2.53:0", "from 1 to 65535"),
        ("TLS_CERT_FILE", "/nothing/here.pem", "can't be read"),
        ("RETRY_FIRST_S", "soon", "number of seconds"),
        ("LEASE_S", "0", "number of seconds"),
        ("ATTEMPT_DEADLINE_S", "nan", "number of seconds"),
        ("ATTEMPT_DEADLINE_S", "inf", "number of seconds"),
        ("HTTP_PORT_FILE", "/nothing/port", "can't be read"),
    ],
)
def test_a_malformed_value_is_refused_in_one_sentence_that_names_the_variable(name: str, value: str, says: str) -> None:
    with pytest.raises(Refused) as refused:
        read({name: value})
    sentence = str(refused.value)
    assert name in sentence
    assert says in sentence
    assert "\n" not in sentence


def test_a_url_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(Refused) as refused:
        read({"PUBLIC_BASE_URL": "https://ana:secret-1@host"})
    assert "secret-1" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("HTTP_PROT", "HTTP_PORT"), ("ALLOWED_HOST", "ALLOWED_HOSTS"), ("DATABSE_URL", "DATABASE_URL")],
)
def test_a_misspelt_name_is_refused_with_the_one_that_is_meant(name: str, meant: str) -> None:
    with pytest.raises(Refused, match=f"{name} is not a setting; {meant} is meant"):
        read({name: "x"})


@pytest.mark.parametrize("name", ["OUTBOUND_NETS", "EMAILCFG_SMTP_HOST", "SENDGRID_API_BASE"])
def test_an_unknown_name_with_our_prefix_is_refused(name: str) -> None:
    with pytest.raises(Refused, match=name):
        read({name: "x"})


@pytest.mark.parametrize(
    "name", ["HTTP_PROXY", "HTTPS_PROXY", "PATH", "SSL_CERT_DIR", "XDG_DATA_DIRS", "HOME", "LEASE"]
)
def test_names_of_other_programs_are_none_of_our_business(name: str) -> None:
    assert read({name: "x"}) == read({})


def test_pins_of_the_configuration_are_handed_on() -> None:
    assert read({"EMAILCFG__SMTP__HOST": "relay"}).pins == {"EMAILCFG__SMTP__HOST": "relay"}


def test_a_name_and_its_file_together_are_refused(tmp_path: Path) -> None:
    (tmp_path / "port").write_text("81")
    with pytest.raises(Refused, match="both set"):
        read({"HTTP_PORT": "80", "HTTP_PORT_FILE": str(tmp_path / "port")})


def test_a_certificate_needs_its_key_and_both_must_fit(tmp_path: Path) -> None:
    authority = trustme.CA()
    one, other = authority.issue_cert("one.example"), authority.issue_cert("other.example")
    one.cert_chain_pems[0].write_to_path(tmp_path / "cert")
    one.private_key_pem.write_to_path(tmp_path / "key")
    other.private_key_pem.write_to_path(tmp_path / "other")
    files = {"TLS_CERT_FILE": str(tmp_path / "cert"), "TLS_KEY_FILE": str(tmp_path / "key")}
    assert read(files).tls_cert_file == tmp_path / "cert"
    with pytest.raises(Refused, match="belong together"):
        read({"TLS_CERT_FILE": files["TLS_CERT_FILE"]})
    with pytest.raises(Refused, match="can't be used together"):
        read(files | {"TLS_KEY_FILE": str(tmp_path / "other")})


def test_every_variable_is_documented_and_no_other() -> None:
    documented = re.findall(r"^\| `([A-Z_]+)` \|", DOCUMENT.read_text(), flags=re.MULTILINE)
    assert sorted(documented) == sorted(NAMES)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("192.0.2.53", ("192.0.2.53", 53)),
        ("192.0.2.53:5353", ("192.0.2.53", 5353)),
        ("2001:db8::53", ("2001:db8::53", 53)),
        ("[2001:db8::53]", ("2001:db8::53", 53)),
        ("[2001:db8::53]:5353", ("2001:db8::53", 5353)),
    ],
)
def test_the_name_server_may_name_its_port(text: str, found: tuple[str, int]) -> None:
    assert environment.read({"DNS_RESOLVER": text}).dns_resolver == found


@pytest.mark.parametrize("url", ["amqp://mq//", "sqs://"])
def test_a_broker_without_the_packages_it_needs_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = "celery" if url.startswith("amqp") else "boto3"
    monkeypatch.setattr(environment_values, "find_spec", lambda name: None if name == missing else object())
    with pytest.raises(Refused, match=r"^BROKER_URL needs packages .*requirements-scale\.txt"):
        read({"BROKER_URL": url})
