"""Write docs/settings.md from the settings in the code.

.venv/bin/python -m tools.settings_table
"""

from pathlib import Path

from chatio.config.settings import table

TARGET = Path(__file__).parents[1] / "docs" / "settings.md"

_HEAD = """\
# Settings

The server reads its settings from the environment and from the file `.env` beside `main.py`. The environment goes
before the file. An empty value counts as not set. `--env-file PATH` names another file.

```sh
.venv/bin/python main.py --check     # prints every problem and exits 2, or exits 0
```

`.env.example` has the same settings in the form of a file. On a VM they are in `/etc/chatio/chatio.env`
([operations](operations.md)).

`.venv/bin/python -m tools.settings_table` makes this page from `chatio/config/settings.py`, and a test compares
them.

| Name | Default | Meaning |
| --- | --- | --- |
"""


def document() -> str:
    """Return the text of docs/settings.md."""
    rows = []
    for setting in table():
        default = f"`{setting.default}`" if setting.default else ""
        rows.append(f"| `{setting.name}` | {default} | {setting.description} |\n")
    return _HEAD + "".join(rows)


if __name__ == "__main__":
    TARGET.write_text(document(), encoding="utf-8")
