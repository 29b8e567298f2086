"""Settings: their defaults, the values that are problems, and the documents that list them."""

import re
from pathlib import Path

import msgspec
import pytest

from chatio.config.loader import InvalidSettings, load, mistaken_names, unknown_names
from chatio.config.settings import Settings, table
from chatio.config.text_files import UnreadableFile, read_text
from tests.paths import ROOT
from tools.settings_table import TARGET, document


# A cell of a table, or a comment before a line, without its marks.
def spoken(text: str) -> str:
    return text.strip().removeprefix("#").strip().rstrip(".").replace("`", "")


KEY = "a key of more than thirty-two bytes"


def pairs(values: dict[str, list[str]]) -> list[tuple[str, str]]:
    """The name of a setting with each of its values."""
    return [(name, text) for name, texts in values.items() for text in texts]


def problems_of(**texts: str) -> list[str]:
    with pytest.raises(InvalidSettings) as caught:
        load(texts)
    return caught.value.problems


def test_nothing_set_gives_the_defaults_of_the_contract() -> None:
    settings = load({})
    assert settings.server_port == 3000
    assert settings.server_host == ""
    assert settings.origins == ("http://localhost:5173",)
    assert settings.jwt_secret_key == ""
    assert settings.jwt_ttl_seconds == 86400
    assert settings.message_max_chars == 10_000
    assert settings.log_level == "INFO"


def test_every_setting_is_read_from_its_own_name() -> None:
    texts = {
        "SERVER_PORT": "8080",
        "SERVER_HOST": "127.0.0.1",
        "CLIENT_URL": "https://chat.example",
        "JWT_SECRET_KEY_FILE": "/run/key",
        "JWT_SECRET_KEY_PREVIOUS_FILE": "/run/key-of-before",
        "JWT_TTL_SECONDS": "60",
        "MESSAGE_MAX_CHARS": "500",
        "EDIT_SECONDS": "0",
        "DATABASE_URL_FILE": "/run/database-url",
        "REGISTRATION": "closed",
        "ADMIN_SOCKET": "/run/chatio.sock",
        "MESSAGES_KEEP_DAYS": "30",
        "STORE_QUEUE_MAX": "100",
        "LOG_MAX_MESSAGES": "7",
        "LOG_MAX_BYTES": "4096",
        "HISTORY_ON_CONNECT": "20",
        "PRESENCE": "off",
        "SERVE_PAGE": "off",
        "PING_INTERVAL_SECONDS": "5.0",
        "PING_TIMEOUT_SECONDS": "4.0",
        "SLOW_CLIENT_SECONDS": "2.5",
        "RATE_LIMITS": "off",
        "LOGIN_FAILURES_PER_ACCOUNT": "11",
        "LOGIN_FAILURES_PER_ADDRESS": "12",
        "LOGINS_PER_MINUTE": "13",
        "REGISTRATIONS_PER_HOUR": "14",
        "REQUESTS_PER_MINUTE": "5000",
        "PERSON_REQUESTS_PER_MINUTE": "500",
        "MESSAGES_PER_SECOND": "1.5",
        "MESSAGE_BURST": "16",
        "PERSON_MESSAGES_PER_SECOND": "1.7",
        "PERSON_MESSAGE_BURST": "18",
        "OTHER_EVENTS_PER_SECOND": "1.9",
        "FLOOD_EVENTS": "20",
        "MAX_CONNECTIONS": "100",
        "MAX_CONNECTIONS_PER_ADDRESS": "50",
        "MAX_CONNECTIONS_PER_PERSON": "3",
        "CONNECTS_PER_MINUTE": "30",
        "INPUT_BYTES_PER_SECOND": "2048",
        "INPUT_BURST_BYTES": "9999",
        "TRUSTED_PROXIES": "127.0.0.1",
        "METRICS_PORT": "9100",
        "METRICS_HOST": "::1",
        "KEEP_ALIVE_SECONDS": "75.0",
        "SHUTDOWN_GRACE_SECONDS": "3.5",
        "OVERLOAD_LAG_SECONDS": "0.5",
        "HASH_QUEUE_MAX": "9",
        "LOG_LEVEL": "DEBUG",
        "LOG_FORMAT": "json",
    }
    loaded = msgspec.structs.asdict(load(texts))
    # Each is either here or in its file.
    keys = {
        "JWT_SECRET_KEY": KEY,
        "JWT_SECRET_KEY_PREVIOUS": KEY[::-1],
        "DATABASE_URL": "postgresql://host/chat",
        "SERVER_NAME": "a1",  # which needs that database
    }
    assert {name.upper(): str(value) for name, value in loaded.items()} == texts | dict.fromkeys(keys, "")
    with_keys = load(keys)
    assert (with_keys.jwt_secret_key, with_keys.jwt_secret_key_previous) == (KEY, KEY[::-1])
    assert (with_keys.database_url, with_keys.server_name) == ("postgresql://host/chat", "a1")
    assert {*texts, *keys} == {setting.name for setting in table()}


def test_the_settings_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        load({}).server_port = 1  # type: ignore[misc]


BAD_VALUES = {
    "SERVER_PORT": ["-1", "65536", "http", "80.5", "9" * 5000],
    "CLIENT_URL": [
        *(",", "localhost:5173", "ftp://chat.example", "https://chat.example/page", "https://chat.example?page"),
        *("https://somebody@chat.example", "https://chat example", "https://chat.example:99999", "http://[::1"),
        *("https://", "https://chat.example,*"),
    ],
    "JWT_SECRET_KEY": ["short", "k" * 31],
    "JWT_TTL_SECONDS": ["0", str(10 * 365 * 86400 + 1), "a day"],
    "MESSAGE_MAX_CHARS": ["0", "100001"],
    "EDIT_SECONDS": ["-1", "1.5"],
    "DATABASE_URL": [
        *(
            "chat.db",
            "sqlite:chat.db",
            "sqlite://",
            "sqlite:///",
            "sqlite://chat.db",
            "sqlite:///data/",
            "sqlite:///chat%00.db",
            "mysql://db",
        ),
        *("sqlite:///chat.db?mode=ro", "postgresql://[::1", "redis://localhost"),
        *("sqlite:///:memory:", "sqlite:///~/chat.db", "sqlite:///a.db\nsqlite:///b.db", "SQLITE:chat.db"),
        *("postgresql://db:x/chat", "postgresql://db:65536/chat", "postgresql://db/chat?sslmode=on"),
    ],
    "SERVER_HOST": [
        *("http://localhost", "127.0.0.1:3000", "localhost:3000", "a b", "256.1.1.1", "127.0.0.1,::1", "a/b"),
        *("[::1]:3000", "u@h", "::g", "x" * 300),
    ],
    "METRICS_HOST": ["http://localhost", "127.0.0.1:9100"],
    "SERVER_NAME": ["a b", "ä", "x" * 17],
    "MESSAGES_KEEP_DAYS": ["0", "36501", "ever"],
    "STORE_QUEUE_MAX": ["0", "100001"],
    "LOG_MAX_MESSAGES": ["0", "10000001"],
    "LOG_MAX_BYTES": ["1023"],
    "SLOW_CLIENT_SECONDS": ["0", "-1", "3600.5", "inf", "nan", "soon"],
    "TRUSTED_PROXIES": ["proxy.example", "10.0.0.0/33", "127.0.0.1 ::1"],
    "METRICS_PORT": ["-1", "65536", "http"],
    "SHUTDOWN_GRACE_SECONDS": ["0.5", "3601"],
    "OVERLOAD_LAG_SECONDS": ["-0.1", "61"],
    "HASH_QUEUE_MAX": ["0", "100001"],
    "LOG_LEVEL": ["LOUD", "debug"],
    "LOG_FORMAT": ["xml"],
}


@pytest.mark.parametrize(("name", "text"), pairs(BAD_VALUES))
def test_a_bad_value_is_one_problem_that_names_its_setting(name: str, text: str) -> None:
    (problem,) = problems_of(**{name: text})
    assert re.match(rf"{name}(: | must )", problem)
    assert re.search(r"Expected|`|int\b|float\b|str\b|Enum", problem) is None  # words of a library


SENTENCES = [
    ("SERVER_PORT", "abc", "a number from 0 to 65535, not 'abc'"),
    ("SERVER_PORT", "80.5", "a whole number from 0 to 65535, not '80.5'"),
    ("METRICS_PORT", "65536", "a number from 0 to 65535, not '65536'"),
    ("LOG_MAX_BYTES", "1k", "a number of at least 1024, not '1k'"),
    ("SLOW_CLIENT_SECONDS", "0", "a number above 0 and up to 3600, not '0'"),
    ("OVERLOAD_LAG_SECONDS", "nan", "a number from 0 to 60, not 'nan'"),
    ("PRESENCE", "On", "on or off, not 'On'"),
    ("SERVER_NAME", "a b", "up to 16 letters and digits, not 'a b'"),
    ("SERVER_HOST", "http://localhost", "an address or a name, without scheme and port, not 'http://localhost'"),
    ("LOG_LEVEL", "debug", "DEBUG, INFO, WARNING or ERROR, not 'debug'"),
    ("LOG_FORMAT", "\x1b[2J", "text or json, not '\\x1b[2J'"),
    ("SERVER_PORT", "9" * 20, f"a number from 0 to 65535, not '{'9' * 20}'"),
    ("SERVER_PORT", "9" * 21, "a number from 0 to 65535, not a text of 21 characters"),
]


@pytest.mark.parametrize(("name", "text", "rule"), SENTENCES)
def test_a_problem_says_the_rule_and_quotes_a_short_value(name: str, text: str, rule: str) -> None:
    assert problems_of(**{name: text}) == [f"{name} must be {rule}"]


def test_an_empty_host_of_metrics_is_a_problem() -> None:
    assert problems_of(METRICS_HOST=" ") == ["METRICS_HOST must not be empty"]


@pytest.mark.parametrize(
    ("server_host", "metrics_host", "is_problem"),
    [
        ("", "127.0.0.1", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("127.0.0.1", "::", True),
        ("localhost", "127.0.0.1", True),
        ("[::1]", "::1", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("192.0.2.1", "127.0.0.1", False),
        ("::1", "127.0.0.1", False),
    ],
)
def test_one_port_for_the_chat_and_the_metrics_is_a_problem_on_one_address(
    server_host: str, metrics_host: str, is_problem: bool
) -> None:
    texts = {"SERVER_HOST": server_host, "METRICS_HOST": metrics_host, "SERVER_PORT": "81"}
    if is_problem:
        assert problems_of(**texts, METRICS_PORT="81") == ["METRICS_PORT must not be 81: SERVER_PORT is that too"]
    else:
        assert load(texts | {"METRICS_PORT": "81"}).metrics_port == 81
    assert load(texts | {"SERVER_PORT": "0", "METRICS_PORT": "0"}).metrics_port == 0  # any two free ports


def test_a_bad_database_url_is_told_without_its_password() -> None:
    for url in (
        "mysql://chat:hunter2@db/chat",
        "postgresql://chat:hunter2@[::1/chat",
        "postgresql://chat:1/hunter2@db/chat",
        "postgresql://chat:1#hunter2@db/chat",
    ):
        (problem,) = problems_of(DATABASE_URL=url)
        assert "hunter2" not in problem


def test_the_database_url_may_be_in_a_file() -> None:
    files = {"/url": "sqlite:////var/lib/chat.db\n", "/bad": "mysql://chat:hunter2@db"}
    assert (
        load({"DATABASE_URL_FILE": "/url"}, read_file=files.__getitem__).database_url
        == "sqlite:////var/lib/chat.db"
    )
    with pytest.raises(InvalidSettings, match=r"^DATABASE_URL_FILE: must begin with sqlite:/// or postgresql://$"):
        load({"DATABASE_URL_FILE": "/bad"}, read_file=files.__getitem__)
    for empty in ("", " \n"):  # else everything would be in memory
        with pytest.raises(InvalidSettings, match=r"^DATABASE_URL_FILE: the file is empty$"):
            load({"DATABASE_URL_FILE": "/empty"}, read_file={"/empty": empty}.__getitem__)
    with pytest.raises(InvalidSettings, match=r"^DATABASE_URL_FILE: DATABASE_URL is set too"):
        load({"DATABASE_URL_FILE": "/url", "DATABASE_URL": "sqlite:///chat.db"}, read_file=files.__getitem__)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("https://chat.example/page", "it has a path"),
        ("https://a.example https://b.example", "several origins are separated by commas"),
        ("chat.example", "it is no scheme and host"),
    ],
)
def test_a_bad_origin_is_told_with_what_is_wrong(text: str, reason: str) -> None:
    (problem,) = problems_of(CLIENT_URL=text)
    assert problem.endswith(f": {reason}")


def test_every_origin_beside_others_is_a_problem() -> None:
    assert problems_of(CLIENT_URL="https://chat.example,*") == [
        "CLIENT_URL: '*' allows every origin: write it alone, or leave it out"
    ]


@pytest.mark.parametrize("url", ["SQLite:///chat.db", "PostgreSQL://db/Chat"])
def test_the_scheme_of_a_database_url_is_taken_in_any_case(url: str) -> None:
    scheme, _, rest = url.partition(":")
    assert load({"DATABASE_URL": url}).database_url == f"{scheme.lower()}:{rest}"


VALUES_AT_BOUNDS = {
    "SERVER_PORT": ["0", "65535", " 80 "],
    "SERVER_HOST": ["localhost", "0.0.0.0", "::", "[::]", "fe80::1%eth0", "my_host", "chat.example.", "*"],
    "DATABASE_URL": [
        "postgresql://a:1,b:2/chat",
        "postgres://u:p%40@db/chat?sslmode=require",
        "postgresql:///chat",
    ],
    "CLIENT_URL": ["http://[::1]:5173", "https://chat.example:8443", "*"],
    "JWT_SECRET_KEY": ["k" * 32, "ä" * 16],
    "JWT_TTL_SECONDS": ["1"],
    "MESSAGE_MAX_CHARS": ["100000"],
    "LOG_LEVEL": ["ERROR"],
}


@pytest.mark.parametrize(("name", "text"), pairs(VALUES_AT_BOUNDS))
def test_a_value_at_its_bound_is_accepted(name: str, text: str) -> None:
    value = getattr(load({name: text}), name.lower())
    assert str(value) == text.strip()


def test_all_problems_are_reported_together() -> None:
    problems = problems_of(
        SERVER_PORT="-1",
        CLIENT_URL="nowhere, https://chat.example, elsewhere",
        JWT_SECRET_KEY="short",
        LOG_LEVEL="X",
    )
    assert sorted(re.split(r"[ :]", problem)[0] for problem in problems) == [
        "CLIENT_URL",
        "CLIENT_URL",
        "JWT_SECRET_KEY",
        "LOG_LEVEL",
        "SERVER_PORT",
    ]


@pytest.mark.parametrize("name", [setting.name for setting in table()])
def test_no_problem_quotes_a_key_in_the_place_of_another_setting(name: str) -> None:
    key = "hunter2-" * 4
    try:
        load({name: key, "JWT_SECRET_KEY": "hunter2"})
    except InvalidSettings as invalid:
        # A problem of a list quotes the address that is wrong: no address is a secret.
        lists = ("CLIENT_URL", "TRUSTED_PROXIES")
        told = [problem for problem in invalid.problems if not problem.startswith(lists)]
        assert "hunter2" not in " ".join(told)


def test_no_problem_quotes_a_password_in_an_origin() -> None:
    assert "hunter2" not in " ".join(problems_of(CLIENT_URL="https://somebody:hunter2@chat.example"))


def test_a_key_that_is_no_text_is_a_problem_that_does_not_quote_it() -> None:
    # What os.environ makes of bytes that are not UTF-8.
    (problem,) = problems_of(JWT_SECRET_KEY="hunter2\udcff" * 8)
    assert problem == "JWT_SECRET_KEY must be UTF-8"


def read_from(path: Path) -> str:
    return load({"JWT_SECRET_KEY_FILE": str(path)}, read_file=read_text).jwt_secret_key


@pytest.mark.parametrize("text", [KEY, f"{KEY}\n", f"  {KEY}\r\n\n", "ä" * 16])
def test_the_key_is_read_from_the_file_without_its_line_end(tmp_path: Path, text: str) -> None:
    (tmp_path / "key").write_text(text, "utf-8")
    assert read_from(tmp_path / "key") == text.strip()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "there is no such file"),
        (b"", "the key in it must have at least 32 bytes"),
        (b"  \n" * 20, "the key in it must have at least 32 bytes"),
        (b"hunter2", "the key in it must have at least 32 bytes"),
        (b"hunter2\xff" * 8, "it is not UTF-8"),
    ],
)
def test_file_without_a_valid_key_is_not_quoted(tmp_path: Path, content: bytes | None, problem: str) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    with pytest.raises(InvalidSettings) as caught:
        read_from(tmp_path / "key")
    assert caught.value.problems == [f"JWT_SECRET_KEY_FILE: {problem}"]


def test_a_bad_key_file_is_reported_with_the_other_problems() -> None:
    def read_file(path: str) -> str:
        raise UnreadableFile("this user may not read it")

    with pytest.raises(InvalidSettings) as caught:
        load({"SERVER_PORT": "-1", "JWT_SECRET_KEY_FILE": "/key"}, read_file=read_file)
    assert caught.value.problems == [
        "SERVER_PORT must be a number from 0 to 65535, not '-1'",
        "JWT_SECRET_KEY_FILE: this user may not read it",
    ]


def test_a_key_and_a_file_of_one_are_a_problem_and_the_file_is_not_read() -> None:
    with pytest.raises(InvalidSettings) as caught:
        load({"JWT_SECRET_KEY": KEY, "JWT_SECRET_KEY_FILE": "/key"}, read_file=lambda _: pytest.fail("it was"))
    (problem,) = caught.value.problems
    assert problem.startswith("JWT_SECRET_KEY_FILE: ")


@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_text_counts_as_not_set(empty: str | None) -> None:
    names = [setting.name for setting in table()]
    assert load(dict.fromkeys(names, empty)) == Settings()
    assert load(dict.fromkeys(names, empty), {"SERVER_PORT": "4000"}).server_port == 4000


def test_the_first_source_that_has_a_name_wins() -> None:
    settings = load({"SERVER_PORT": "1"}, {"SERVER_PORT": "2", "LOG_LEVEL": "ERROR"})
    assert (settings.server_port, settings.log_level) == (1, "ERROR")


def test_a_name_that_is_no_setting_is_passed_over() -> None:
    assert load({"PATH": "x", "server_port": "1"}) == Settings()


def test_origins_are_compared_as_browsers_write_them() -> None:
    settings = load(
        {"CLIENT_URL": "HTTPS://Chat.Example:443, http://Chat.Example:80/, http://[::80], http://a:443"}
    )
    assert settings.origins == ("https://chat.example", "http://chat.example", "http://[::80]", "http://a:443")


def test_origins_are_separated_by_commas_and_lose_their_last_slash() -> None:
    settings = load({"CLIENT_URL": " https://a.example/ ,, http://b.example:81"})
    assert settings.origins == ("https://a.example", "http://b.example:81")


def test_proxies_are_separated_by_commas() -> None:
    assert len(load({}).proxies) == 0
    proxies = load({"TRUSTED_PROXIES": "127.0.0.1,, 10.0.0.0/8 , ::1"}).proxies
    assert [str(network) for network in proxies] == ["127.0.0.1/32", "10.0.0.0/8", "::1/128"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("SERVER_PROT", "SERVER_PROT is not a setting; did you mean SERVER_PORT?"),
        ("CHATIO_LOG_LEVEL", "CHATIO_LOG_LEVEL is not a setting; did you mean LOG_LEVEL?"),
        ("CHATIO_JWT_TTL", "CHATIO_JWT_TTL is not a setting; did you mean JWT_TTL_SECONDS?"),
        ("JWT_SECRET", "JWT_SECRET is not a setting; did you mean JWT_SECRET_KEY?"),
        ("server_port", "server_port is not a setting; did you mean SERVER_PORT?"),
        ("Log_Level", "Log_Level is not a setting; did you mean LOG_LEVEL?"),
        ("QQQ", "QQQ is not a setting"),
    ],
)
def test_an_unknown_name_is_reported_with_the_most_similar_one(name: str, sentence: str) -> None:
    assert unknown_names([name, "SERVER_PORT"]) == [sentence]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("server_port", "SERVER_PORT"),
        ("SERVER-PORT", "SERVER_PORT"),
        ("CHATIO_SERVER_PORT", "SERVER_PORT"),
        ("SERVER_PROT", "SERVER_PORT"),
        ("JWT_SECRET", "JWT_SECRET_KEY"),
        ("TRUSTED_PROXY", "TRUSTED_PROXIES"),
    ],
)
def test_a_variable_of_the_environment_that_looks_like_a_setting_is_told(name: str, meant: str) -> None:
    assert mistaken_names(["PATH", name, "SERVER_PORT"]) == [f"{name} is not a setting; did you mean {meant}?"]


def test_variables_of_others_are_not_told() -> None:
    others = [
        "PATH",
        "HOME",
        "LOGNAME",
        "LANG",
        "PORT",
        "HOSTNAME",
        "LC_ALL",
        "NOTIFY_SOCKET",
        "LISTEN_FDS",
        "TERM",
    ]
    others += [
        "INVOCATION_ID",
        "JOURNAL_STREAM",
        "CREDENTIALS_DIRECTORY",
        "STATE_DIRECTORY",
        "PYTHONHASHSEED",
        "_",
    ]
    assert mistaken_names([*others, "KUBERNETES_SERVICE_PORT", "DATABASE_URL", "SSH_CLIENT", "MAIL"]) == []


def test_no_name_of_a_setting_is_unknown() -> None:
    assert unknown_names([setting.name for setting in table()]) == []


def test_env_example_says_what_the_code_says() -> None:
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    written = {}
    for before, line in zip(["", *lines], lines, strict=False):
        if match := re.fullmatch(r"(?:#\s*)?([A-Z][A-Z0-9_]+)=(.*)", line):
            written[match[1]] = (match[2].strip(), spoken(before))
    assert written == {setting.name: (setting.default, spoken(setting.description)) for setting in table()}


def test_the_page_of_settings_says_what_the_code_says() -> None:
    """When it fails: `.venv/bin/python -m tools.settings_table` writes the page anew."""
    assert TARGET.read_text("utf-8") == document()
