"""The operator's commands: run by the server that a command reaches over its admin socket, else on the database.

    a server listens on the admin socket    the server runs the command, and ends sockets at once
    none does, and there is a database      this process runs it; servers of that database see it within a second
    none does, and accounts are in memory   there is nothing to act on

SQLite has a lock that keeps this process off the file while a server runs without an admin socket.
"""

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec

from chatio.config.settings import Settings
from chatio.errors import ChatioError, InvalidInput, Temporary, UserNotFound, answer_to
from chatio.moderation.operator import Command, Operator
from chatio.server.admin_socket import ask
from chatio.stores.opening import sqlite_file
from chatio.telemetry.log_format import harmless
from chatio.telemetry.streams import STDERR, STDOUT, write_lines
from handlers.application import build_core, opened_stores

DONE, FAILED, REFUSED_USER, REFUSED, NOTHING_THERE = 0, 1, 3, 4, 5
NO_SERVER: Final = (
    "Accounts are in the memory of the server (DATABASE_URL is not set), and no server is reached. "
    "Set ADMIN_SOCKET, and run the command while the server runs"
)


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


def operate(command: Command, settings: Settings, *, folder: Path, as_json: bool) -> int:
    """Run `command`, and print its answer; the exit code. Raises `StoreUnusable`."""
    return asyncio.run(_operate(command, settings, folder, as_json))


async def _operate(command: Command, settings: Settings, folder: Path, as_json: bool) -> int:
    line = msgspec.json.encode(command)
    path = admin_socket_path(settings, folder)
    if path is not None:
        try:
            return await _shown(ask(path, line), as_json)
        except PermissionError:
            write_lines([f"{path.name}: only root and the user of the server may run this command"], STDERR)
            return REFUSED
        except (FileNotFoundError, ConnectionRefusedError):
            pass  # no server runs
    if not settings.database_url:
        write_lines([NO_SERVER], STDERR)
        return NOTHING_THERE
    if not settings.jwt_secret_key:  # it signs nothing here
        settings = msgspec.structs.replace(settings, jwt_secret_key=secrets.token_urlsafe(48))
    async with opened_stores(settings, folder) as stores:
        core = await build_core(settings, stores)
        try:
            return await _shown(execute(core.operator, line), as_json)
        finally:
            core.hasher.close()


async def _shown(answers: AsyncIterator[bytes], as_json: bool) -> int:
    has_text = False
    async for line in answers:
        match msgspec.json.decode(line):
            case {"row": row}:
                write_lines([msgspec.json.encode(row).decode()] if as_json else _in_words(row), STDOUT)
            case {"text": str(text)}:
                has_text = True
                sys.stdout.write(text)
            case {"error": error}:
                shown = msgspec.json.encode({"error": error}).decode() if as_json else error["message"]
                write_lines([shown], STDERR)
            case {"end": int(code)}:
                if has_text:
                    sys.stdout.write("\n")
                    sys.stdout.flush()
                return code
    write_lines(["The server ended before it had answered: look whether the command was done"], STDERR)
    return FAILED


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
            return REFUSED_USER
    return REFUSED
