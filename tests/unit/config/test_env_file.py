"""Env files: lines that are read, and lines that cannot be parsed."""

import pytest

from chatio.config.env_file import parse_env_file
from chatio.config.loader import InvalidSettings


def read(text: str) -> dict[str, str | None]:
    return parse_env_file(text, "settings.env").values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("\n# A comment with 'a quote\n\nA=1 # behind it\n", {"A": "1"}),
        ("A='x y'\nexport B=\"z\"\r\nA=2\n", {"A": "2", "B": "z"}),
        ("A=it's\n\n\n", {"A": "it's"}),
        ("A=${B}\nB", {"A": "${B}", "B": None}),
        ('A="1\\n2"', {"A": "1\n2"}),
    ],
)
def test_valid_lines_are_read(text: str, values: dict[str, str | None]) -> None:
    assert read(text) == values


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('A="hunter2\nB=1\n', [1]),
        ("A=1\n\n# comment\nB='hunter2\nC=1", [4]),
        ('A="hunter2\nB=1\nC="x"\n', [1]),
        ("A=1\nB='hunter2\nC='\nD=1\n", [2]),
        ("A='x' hunter2\n\n\nB='y' hunter2\n", [1, 4]),
        ("hunter2 hunter2\n", [1]),
    ],
)
def test_each_invalid_line_is_reported_by_its_number_alone(text: str, lines: list[int]) -> None:
    with pytest.raises(InvalidSettings) as caught:
        read(text)
    problems = caught.value.problems
    assert [problem.partition(" line ")[2].split()[0] for problem in problems] == [str(line) for line in lines]
    assert all(problem.startswith("settings.env: line ") for problem in problems)
    assert "hunter2" not in str(problems)


def test_a_setting_on_several_lines_is_told_with_the_line_that_counts() -> None:
    text = "SERVER_PORT=1\n# twice\nLOG_LEVEL=INFO\nSERVER_PORT=2\nexport SERVER_PORT='3'\nhunter2\nhunter2\n"
    assert parse_env_file(text, "settings.env") == (
        {"SERVER_PORT": "3", "LOG_LEVEL": "INFO", "hunter2": None},
        ["SERVER_PORT is set on the lines 1, 4 and 5; line 5 counts"],
    )
