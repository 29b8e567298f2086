"""The operator's commands: run by the server that a command reaches over its admin socket, else on the database.

    a server listens on the admin socket    the server runs the command, and ends sockets at once
    none does, and there is a database      this process runs it; servers of that database see it within a second
    none does, and accounts are in memory   there is nothing to act on

SQLite has a lock that keeps this process off the file while a server runs without an admin socket.
"""

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec

from chatio.config.settings import Settings
from chatio.errors import ChatioError, InvalidInput, Temporary, UserNotFound, answer_to
from chatio.moderation.operator import Command, Operator
from chatio.server.admin_socket import ServerSilent, ask
from chatio.stores.opening import sqlite_file
from chatio.telemetry.log_format import harmless
from chatio.telemetry.streams import STDERR, STDOUT, write_lines, write_text
from handlers.core import build_core, opened_stores

DONE, FAILED, NO_USER, REFUSED, NOTHING_THERE = 0, 1, 3, 4, 5
NO_SERVER: Final = (
    "Accounts are in the memory of the server (DATABASE_URL is not set), and no server is reached. "
    "Set ADMIN_SOCKET to a path where the server may write, and run the command while the server runs"
)
SILENT: Final = "The server does not answer: it is stopped, hangs, or has just ended. "


def admin_socket_path(settings: Settings, folder: Path) -> Path | None:
    """Where the server listens for commands; a relative path is below `folder`."""
    if settings.admin_socket:
        return folder / settings.admin_socket
    file = sqlite_file(settings.database_url, folder=folder)
    return None if file is None else file.with_name(f"{file.name}.sock")


async def execute(operator: Operator, line: bytes) -> AsyncIterator[bytes]:
    """Run the command in `line`; the lines of its answer, of which the last has the exit code."""
    code = DONE
    try:
        async for row in operator.run(msgspec.json.decode(line, type=Command)):
            yield msgspec.json.encode({"text": row.decode()} if isinstance(row, bytes) else {"row": row})
    except ChatioError as error:
        answer = answer_to(error)
        code = _exit_code(error)
        faults = error.errors if isinstance(error, InvalidInput) else ()
        message = " ".join([answer.message, *(f"{fault.field}: {fault.message}" for fault in faults)])
        yield msgspec.json.encode({"error": {"code": answer.code, "message": message}})
    except msgspec.MsgspecError:
        code = REFUSED
        yield msgspec.json.encode(
            {"error": {"code": "unknown_command", "message": "The server is of another version."}}
        )
    yield msgspec.json.encode({"end": code})


class NothingThere(Exception):
    """No server is reached, and there is no database."""


async def answers(command: Command, settings: Settings, *, folder: Path) -> AsyncIterator[bytes]:
    """The lines of the answer to `command`.

    Raises `NothingThere`, `StoreUnusable`, `ServerSilent` and PermissionError.
    """
    line = msgspec.json.encode(command)
    path = admin_socket_path(settings, folder)
    if path is not None:
        try:
            async for answer in ask(path, line):
                yield answer
        except (FileNotFoundError, ConnectionRefusedError):
            pass  # no server runs
        else:
            return
    if not settings.database_url:
        raise NothingThere
    if not settings.jwt_secret_key:  # it signs nothing here
        settings = msgspec.structs.replace(settings, jwt_secret_key=secrets.token_urlsafe(48))
    async with opened_stores(settings, folder) as stores:
        core = await build_core(settings, stores)
        try:
            async for answer in execute(core.operator, line):
                yield answer
        finally:
            core.hasher.close()
            await core.throttle_saver.save_last()


def operate(command: Command, settings: Settings, *, folder: Path, as_json: bool) -> int:
    """Run `command`, and print its answer; the exit code. Raises `StoreUnusable`."""
    try:
        return asyncio.run(_shown(answers(command, settings, folder=folder), as_json))
    except PermissionError:
        write_lines(["Only root and the user of the server may run this command"], STDERR)
        return REFUSED
    except NothingThere:
        write_lines([NO_SERVER], STDERR)
        return NOTHING_THERE
    except ServerSilent as silent:
        then = "Look afterwards whether the command was done" if silent.was_asked else "Nothing was done"
        write_lines([SILENT + then], STDERR)
        return FAILED


async def _shown(lines: AsyncIterator[bytes], as_json: bool) -> int:
    code, has_text, is_written = None, False, True
    async for line in lines:  # to the end, which closes the stores
        match msgspec.json.decode(line):
            case {"row": row}:
                is_written &= write_lines([json.dumps(row)] if as_json else _in_words(row), STDOUT)
            case {"text": str(text)}:
                has_text = True
                is_written &= write_text(_in_ascii(text), STDOUT)
            case {"error": error}:
                shown = json.dumps({"error": error}) if as_json else harmless(error["message"])
                write_lines([shown], STDERR)
            case {"end": int(end)}:
                code = end
    if has_text:
        is_written &= write_lines([""], STDOUT)
    if code is None:
        write_lines(["The server ended before it had answered: look whether the command was done"], STDERR)
    elif not is_written:
        write_lines(["The answer could not be written to the standard output"], STDERR)
    return FAILED if code is None or not is_written else code


def _in_ascii(document: str) -> str:
    """A part of a JSON document with escapes for what a terminal might obey."""
    return re.sub(r"[^\x00-\x7e]+", lambda found: json.dumps(found[0])[1:-1], document)


def _in_words(row: dict[str, Any]) -> list[str]:
    """A user in one line, and a one-time code in another; only what is so."""
    marks = [
        f"{word} until {row[name]}" if row[name] != "never" else f"{word} for ever"
        for word, name in (("banned", "banned_until"), ("muted", "muted_until"))
        if row[name]
    ]
    lines = [harmless("  ".join([row["email"], row["name"], row["role"], row["id"], *marks]))]
    if "code" in row:
        lines.append(f"One-time code for a new password, until {row['code_until']}: {row['code']}")
    return lines


def _exit_code(error: ChatioError) -> int:
    match error:
        case Temporary():
            return FAILED
        case UserNotFound():
            return NO_USER
    return REFUSED
