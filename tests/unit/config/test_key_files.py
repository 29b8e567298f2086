"""The previous key, from its setting or its file, beside the current one. See test_settings.py for the latter."""

import pytest

from chatio.config.loader import InvalidSettings, load
from chatio.config.settings import Settings
from chatio.config.text_files import UnreadableFile

KEY = "a key of more than thirty-two bytes"
BEFORE = "the key before it, of more than 32 bytes"


def load_from(files: dict[str, str | Exception], **texts: str) -> Settings:
    def read_file(path: str) -> str:
        content = files[path]
        if isinstance(content, Exception):
            raise content
        return content

    return load({f"JWT_SECRET_KEY{name}": text for name, text in texts.items()}, read_file=read_file)


@pytest.mark.parametrize(
    ("files", "texts"),
    [
        ({}, {"": KEY, "_PREVIOUS": f" {BEFORE} "}),
        ({"b": f"{BEFORE}\n"}, {"": KEY, "_PREVIOUS_FILE": "b"}),
        ({"k": f"{KEY}\n", "b": f"{BEFORE}\n"}, {"_FILE": "k", "_PREVIOUS_FILE": "b"}),
        ({"k": f"{KEY}\n"}, {"_FILE": "k", "_PREVIOUS": BEFORE}),
    ],
    ids=["settings", "setting and file", "files", "file and setting"],
)
def test_keys_are_read_from_settings_or_files(files: dict[str, str | Exception], texts: dict[str, str]) -> None:
    settings = load_from(files, **texts)
    assert (settings.jwt_secret_key, settings.jwt_secret_key_previous) == (KEY, BEFORE)


@pytest.mark.parametrize("content", ["", "\n", " \r\n\n"])
def test_an_empty_file_of_the_previous_key_means_that_there_is_none(content: str) -> None:
    settings = load_from({"k": KEY, "b": content}, _FILE="k", _PREVIOUS_FILE="b")
    assert (settings.jwt_secret_key, settings.jwt_secret_key_previous) == (KEY, "")


@pytest.mark.parametrize(
    ("files", "texts", "problem"),
    [
        ({}, {"": KEY, "_PREVIOUS": "hunter2"}, "JWT_SECRET_KEY_PREVIOUS must have at least 32 bytes"),
        (
            {"b": "hunter2"},
            {"": KEY, "_PREVIOUS_FILE": "b"},
            "JWT_SECRET_KEY_PREVIOUS_FILE: the key in it must have at least 32 bytes",
        ),
        (
            {"b": UnreadableFile("it is a folder")},
            {"": KEY, "_PREVIOUS_FILE": "b"},
            "JWT_SECRET_KEY_PREVIOUS_FILE: it is a folder",
        ),
        (
            {"b": BEFORE},
            {"": KEY, "_PREVIOUS": BEFORE, "_PREVIOUS_FILE": "b"},
            "JWT_SECRET_KEY_PREVIOUS_FILE: JWT_SECRET_KEY_PREVIOUS is set too; set only one of them",
        ),
        ({}, {"": KEY, "_PREVIOUS": KEY}, "JWT_SECRET_KEY_PREVIOUS: is the same as JWT_SECRET_KEY"),
        (
            {"k": f"{KEY}\n", "b": f" {KEY}"},
            {"_FILE": "k", "_PREVIOUS_FILE": "b"},
            "JWT_SECRET_KEY_PREVIOUS: is the same as JWT_SECRET_KEY",
        ),
        ({}, {"_PREVIOUS": BEFORE}, "JWT_SECRET_KEY_PREVIOUS: needs JWT_SECRET_KEY to be set"),
    ],
)
def test_problem_quotes_no_key(files: dict[str, str | Exception], texts: dict[str, str], problem: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        load_from(files, **texts)
    assert caught.value.problems == [problem]


def test_problems_of_both_keys_are_reported_together() -> None:
    with pytest.raises(InvalidSettings) as caught:
        load_from({}, **{"": "hunter2", "_PREVIOUS": "hunter2"})
    assert caught.value.problems == [
        "JWT_SECRET_KEY must have at least 32 bytes",
        "JWT_SECRET_KEY_PREVIOUS must have at least 32 bytes",
    ]


PEM = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----"
ODD_KEYS = {
    "PEM": PEM,
    "SSH": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL0ZxO4zQdGp1XjTzKhN5qLJzv1uV0gqW0Xx0Q0m4Jt5",
    "JWK": '{"kty": "RSA", "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWh", "e": "AQAB"}',
}


@pytest.mark.parametrize("key", ODD_KEYS.values(), ids=ODD_KEYS)
def test_a_key_of_a_pair_is_found_before_the_start(key: str) -> None:
    """PyJWT signs nothing with it: such a server would not start, or refuse each login."""
    fault = "must be random text, and not a certificate, a JWK, or a key of a pair (PEM, DER, SSH)"
    for files, texts, problem in (
        ({}, {"": key}, f"JWT_SECRET_KEY {fault}"),
        ({"k": key}, {"_FILE": "k"}, f"JWT_SECRET_KEY_FILE: the key in it {fault}"),
        ({}, {"": KEY, "_PREVIOUS": key}, f"JWT_SECRET_KEY_PREVIOUS {fault}"),
    ):
        with pytest.raises(InvalidSettings) as caught:
            load_from(dict(files), **texts)
        assert caught.value.problems == [problem]
