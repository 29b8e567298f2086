"""Origins: CLIENT_URL is read as browsers and apps write their Origin header."""

import pytest

from chatio.throttling.origins import Origin, is_address, parse_origin, read_origin, shown

READ = {
    "https://chat.example": "https://chat.example",
    "HTTPS://Chat.Example:443/": "https://chat.example",
    "http://chat.example:80": "http://chat.example",
    "http://chat.example:0443": "http://chat.example:443",
    "http://chat.example:": "http://chat.example",
    "https://chat.example.": "https://chat.example",
    "https://пример.рф": "https://xn--e1afmkfd.xn--p1ai",
    "https://ПРИМЕР.рф:8443": "https://xn--e1afmkfd.xn--p1ai:8443",
    "https://bücher.example": "https://xn--bcher-kva.example",
    "https://BÜCHER.example": "https://xn--bcher-kva.example",
    "https://bu\u0308cher.example": "https://xn--bcher-kva.example",  # ü as two characters
    "https://straße.example": "https://xn--strae-oqa.example",
    "https://ｃｈａｔ.example": "https://chat.example",  # noqa: RUF001
    "https://例え。テスト": "https://xn--r8jz45g.xn--zckzah",
    "https://a\u200bb.example": "https://ab.example",
    "http://[0:0:0:0:0:0:0:1]:5173": "http://[::1]:5173",
    "http://[2001:DB8:0:0:0:0:0:7]": "http://[2001:db8::7]",
    "http://[::ffff:192.0.2.1]": "http://[::ffff:c000:201]",
    "http://[1:0:0:2:0:0:0:3]": "http://[1:0:0:2::3]",
    "http://my_machine:3000": "http://my_machine:3000",
    "http://192.0.2.1:3000": "http://192.0.2.1:3000",
    "wss://chat.example:443": "wss://chat.example",
    "ws://chat.example": "ws://chat.example",
    "null": "null",
    "file://": "file://",
    "ionic://localhost": "ionic://localhost",
    "capacitor://localhost": "capacitor://localhost",
    "app://x": "app://x",
    "app://obsidian.md": "app://obsidian.md",
    "tauri://localhost": "tauri://localhost",
    "chrome-extension://abcdefghijklmnop": "chrome-extension://abcdefghijklmnop",
}


@pytest.mark.parametrize(("text", "origin"), READ.items())
def test_a_setting_is_read_as_a_browser_writes_it(text: str, origin: str) -> None:
    assert read_origin(text) == origin
    assert read_origin(origin) == origin
    origin.encode("ascii")


@pytest.mark.parametrize(
    "text",
    [
        *("", "chat.example", "localhost:5173", "//chat.example", "https:chat.example", "https:///chat.example"),
        *("https://", "https://:443", "https://chat.example:x", "https://chat.example:65536", "https://a:1:2"),
        *(
            "https://chat.example/page",
            "https://chat.example?q",
            "https://chat.example#f",
            "https://u:p@chat.example",
        ),
        *(
            "https://chat example",
            "https://chat.example\\",
            "https://chat..example",
            "https://.example",
            "https://.",
        ),
        *("http://[::1", "http://::1", "http://[::1%eth0]", "http://[::g]", "http://[1.2.3.4]"),
        *("http://127.1", "http://0x7f.0.0.1", "http://1.2.3.256", "http://2130706433", "http://1.2.3.04"),
        *("https://💩.example", "https://xn--\u00fc.example", "https://a%20b.example"),
        *("htps://chat.example", "htttp://chat.example", "http:://chat.example", "ftp://chat.example"),
        *(
            "file:///home/ann/chat.html",
            "file://server",
            "app://",
            "app://a/b",
            "app://ü",
            "NULL",
            "*.chat.example",
        ),
        "https://" + "a" * 400,
    ],
)
def test_what_no_browser_writes_is_no_origin(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_origin(text)


def test_parts_of_an_origin_are_those_of_its_other_spellings() -> None:
    assert parse_origin("HTTPS://Chat.Example.:443") == Origin("https", "chat.example", None)
    assert parse_origin("ws://chat.example:3000") == Origin("ws", "chat.example", 3000)


@pytest.mark.parametrize(
    "text", ["null", "file://", "app://x", "capacitor://localhost", "", "https://a, https://b"]
)
def test_an_app_has_no_parts(text: str) -> None:
    with pytest.raises(ValueError, match="scheme and host"):
        parse_origin(text)


@pytest.mark.parametrize(
    "host", ["localhost", "chat.localhost", "127.0.0.1", "192.0.2.7", "[::1]", "[2001:db8::1]"]
)
def test_no_dns_answers_for_an_address(host: str) -> None:
    assert is_address(host)


@pytest.mark.parametrize("host", ["chat.example", "localhost.example", "127.0.0.1.example", "notlocalhost", "1e"])
def test_dns_answers_for_a_name(host: str) -> None:
    assert not is_address(host)


@pytest.mark.parametrize(
    ("origin", "line"),
    [
        (None, "none"),
        ("https://other.example", "https://other.example"),
        ("null", "null"),
        ("file://", "file://"),
        ("https://user:secret@other.example", "no origin"),
        ("https://other.example/secret", "https://other.example"),
        ("https://other.example?secret", "https://other.example"),
        ("https://user:secret@other.example/", "no origin"),
        ("secret", "no origin"),
        ("https://a\x1b[31m", "no origin"),
        ("https://a\u202e", "no origin"),
        ("https://" + "a" * 400, "https://" + "a" * 292),
    ],
)
def test_a_refused_origin_is_shown_only_as_far_as_it_is_one(origin: str | None, line: str) -> None:
    assert shown(origin) == line
