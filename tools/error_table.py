"""Write the table of errors in docs/protocol.md from chatio/errors.py.

.venv/bin/python -m tools.error_table
"""

import inspect
from pathlib import Path

from chatio.errors import ANSWERS, Temporary

TARGET = Path(__file__).parents[1] / "docs" / "protocol.md"
HEAD = "| code | HTTP | temporary | meaning |\n| --- | --- | --- | --- |\n"


def table() -> str:
    """Return the table, one row for each error."""
    rows = []
    for kind, answer in ANSWERS.items():
        meaning = (inspect.getdoc(kind) or "").partition("\n")[0].replace("|", "\\|")
        temporary = "yes" if issubclass(kind, Temporary) else ""
        rows.append(f"| `{answer.code}` | {answer.status} | {temporary} | {meaning} |\n")
    return HEAD + "".join(rows)


if __name__ == "__main__":
    before, _, _ = TARGET.read_text("utf-8").partition(HEAD)
    TARGET.write_text(before + table(), encoding="utf-8")
