"""The operator's commands in a test, as `main.py user` runs them beside a server."""

import asyncio
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from chatio.config.loader import load
from chatio.moderation.operator import Command
from handlers.commands import answers


class Outcome(NamedTuple):
    code: int
    rows: list[Any]  # users, or the error
    text: str


def operate(settings: dict[str, str], name: str, user: str = "", **fields: Any) -> Outcome:
    """Run a command with the settings of the server."""
    command = Command(name=name, user=user, **fields)  # type: ignore[arg-type]

    async def run() -> Outcome:
        rows, text, code = [], "", -1
        async for line in answers(command, load(settings), folder=Path()):
            match msgspec.json.decode(line):
                case {"row": row} | {"error": row}:
                    rows.append(row)
                case {"text": piece}:
                    text += piece
                case {"end": end}:
                    code = end
        return Outcome(code, rows, text)

    return asyncio.run(run())


def promote(settings: dict[str, str], name: str, role: str) -> None:
    """Give the user whom `ServerProcess.sign_up` made this role."""
    assert operate(settings, "promote", f"{name}@chat.test", role=role).code == 0
