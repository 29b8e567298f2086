"""The words of refusals, and what they are counted as."""

import ast

import pytest

from chatio.realtime.engineio.close_reasons import NAMES, REASONS, reason_of
from tests.paths import ROOT


def test_every_rule_of_the_table_is_said_somewhere() -> None:
    """One that is worded anew would be counted as broken protocol, and nobody would notice."""
    paths = [*ROOT.glob("chatio/**/*.py"), *ROOT.glob("handlers/*.py")]
    said = {
        node.value.casefold()
        for path in paths
        if path.name != "refusals.py"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert [rule for rule in REASONS if rule.casefold() not in said] == []


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        ("too many connections", "full"),
        ("Too many connections", "full"),
        ("Socket.IO: not connected", "protocol"),
        ("two GETs at once", "protocol"),
    ],
)
def test_a_rule_is_counted_by_its_words_and_any_other_as_protocol(rule: str, name: str) -> None:
    assert reason_of(rule) == name
    assert name in NAMES
