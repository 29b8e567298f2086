"""Settings that are valid, and warned of."""

import secrets

import pytest

from chatio.config.loader import load
from chatio.config.risks import is_guessable, risks_of

STRONG = "xZk3Qw-9uVb7LrT1mEoY5sHcJ0dNfGaP"


def risks(**texts: str) -> list[str]:
    return list(risks_of(load(texts)))


@pytest.mark.parametrize(
    "key",
    [
        "a" * 32,
        "ab" * 16,
        "secret42" * 4,
        "0123456789abcdef" * 2,
        "hunter2hunter2hunter2hunter2hunt",
        "0123456789abcdefghijklmnopqrstuv",
        "zyxwvutsrqponmlkjihgfedcba9876543210",
        "11112222333344445555666677778888",
        "0110100110010110100101100110100111",
        "changeme-9f8a7s6d5f4g3h2j1k0l9z8x",
        "CHANGE_ME_before_going_to_production",
        "please-change-this-key-32-bytes-at-least",
        "your-256-bit-secret-your-256-bit-s3cr3t",
        "your_jwt_secret_key_goes_right_here",
        "a-string-secret-at-least-256-bits-long",
        "my-super-secret-key-for-the-chat-app",
        "this is the default secret of the app",
        "Password1234567890Password0987654",
        "replace_me_with_something_long_and_random",
        "example-key-do-not-use-in-production",
        "ää" * 8,
    ],
)
def test_a_key_that_is_easy_to_guess_is_one_warning_that_does_not_quote_it(key: str) -> None:
    for texts in ({"JWT_SECRET_KEY": key}, {"JWT_SECRET_KEY": STRONG, "JWT_SECRET_KEY_PREVIOUS": key}):
        (warning,) = risks(**texts)
        assert warning.startswith(f"{list(texts)[-1]} is easy to guess")
        assert key not in warning


def test_a_random_key_is_none() -> None:
    for _ in range(2000):
        for key in (secrets.token_urlsafe(48), secrets.token_urlsafe(24), secrets.token_hex(16)):
            assert not is_guessable(key), key


@pytest.mark.parametrize(
    "key", ["a key of more than thirty-two bytes", "correct horse battery staple on the moon"]
)
def test_a_sentence_is_none(key: str) -> None:
    assert risks(JWT_SECRET_KEY=key) == []


def test_no_setting_is_no_risk() -> None:
    assert risks() == []


@pytest.mark.parametrize(
    "proxies",
    [
        *("0.0.0.0/0", "::/0", "0.0.0.0/1,128.0.0.0/1", "127.0.0.1,::/0", "2000::/3", "8.0.0.0/8", "8.0.0.0/11"),
        *("10.0.0.0/7", "172.0.0.0/8", "2400::/12"),
    ],
)
def test_proxies_that_may_be_any_client_are_a_warning(proxies: str) -> None:
    found = risks(TRUSTED_PROXIES=proxies)
    assert found
    assert all(" trusts strangers: " in warning for warning in found)


@pytest.mark.parametrize(
    "proxies",
    ["10.0.0.0/8", "fd00::/8,fc00::/7", "127.0.0.1,::1", "172.16.0.0/12", "104.16.0.0/13,2a06:98c0::/29"],
)
def test_proxies_of_a_private_network_or_a_cdn_are_none(proxies: str) -> None:
    assert risks(TRUSTED_PROXIES=proxies) == []


def test_any_origin_is_a_warning() -> None:
    (warning,) = risks(CLIENT_URL="*")
    assert warning.startswith("CLIENT_URL=* ")


@pytest.mark.parametrize(
    ("origins", "begins"),
    [
        ("null", "CLIENT_URL=null is the origin of every page"),
        ("https://chat.example,file://", "CLIENT_URL=file:// is the origin of every page"),
        ("http://chat.example", "CLIENT_URL=http://chat.example is not https"),
        ("http://192.0.2.7:8080", "CLIENT_URL=http://192.0.2.7:8080 is not https"),
    ],
)
def test_an_origin_that_others_have_or_can_change_is_a_warning(origins: str, begins: str) -> None:
    (warning,) = risks(CLIENT_URL=origins)
    assert warning.startswith(begins)


@pytest.mark.parametrize(
    "origins",
    ["https://chat.example", "http://localhost:5173,http://127.0.0.1:8080,http://[::1]", "capacitor://localhost"],
)
def test_an_origin_of_ones_own_is_none(origins: str) -> None:
    assert risks(CLIENT_URL=origins) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("RATE_LIMITS", "off"), ("LOGIN_FAILURES_PER_ACCOUNT", "101"), ("OVERLOAD_LAG_SECONDS", "0")),
        *(("MAX_CONNECTIONS_PER_ADDRESS", "10000"), ("JWT_TTL_SECONDS", "31536000")),
    ],
)
def test_a_limit_that_is_off_or_far_too_high_is_a_warning(name: str, value: str) -> None:
    (warning,) = risks(**{name: value})
    assert warning.startswith(name)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "metrics.example"])
def test_metrics_that_a_network_can_read_are_a_warning(host: str) -> None:
    (warning,) = risks(METRICS_HOST=host, METRICS_PORT="9100")
    assert warning.startswith(f"METRICS_HOST={host} ")
    assert risks(METRICS_HOST=host) == []  # no port: no metrics


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_metrics_for_this_machine_are_none(host: str) -> None:
    assert risks(METRICS_HOST=host, METRICS_PORT="9100") == []


@pytest.mark.parametrize(
    "url",
    [
        *("postgresql://chat:geheim@db.example/chat", "postgres://chat:geheim@10.0.0.7/chat?sslmode=prefer"),
        *(
            "postgresql:///chat?host=db.example&password=geheim",
            "postgresql://u:geheim@192.0.2.1/c?sslmode=disable",
        ),
    ],
)
def test_a_database_over_a_network_without_tls_is_a_warning_without_its_password(url: str) -> None:
    (warning,) = risks(DATABASE_URL=url)
    assert warning.startswith("DATABASE_URL ")
    assert "geheim" not in warning


@pytest.mark.parametrize(
    "url",
    [
        *(
            "sqlite:///chat.db",
            "postgresql://chat:x@localhost/chat",
            "postgresql:///chat",
            "postgresql://127.0.0.1/c",
        ),
        *("postgresql://chat@db.example/chat?sslmode=verify-full", "postgresql:///chat?host=/run/postgresql"),
        "postgresql://chat@db.example/chat?sslmode=require",
    ],
)
def test_a_database_beside_the_server_or_with_tls_is_none(url: str) -> None:
    assert risks(DATABASE_URL=url) == []
