"""Write docs/settings.md from the settings in the code.

.venv/bin/python -m tools.settings_table
"""

from pathlib import Path

from chatio.config.settings import table

TARGET = Path(__file__).parents[1] / "docs" / "settings.md"

_HEAD = """\
# Settings

The server reads its settings from the environment and from the file `.env` beside `main.py`. The environment goes
before the file. An empty value counts as not set. `--env-file PATH` names another file. Of several lines for one
name the last one counts.

```sh
.venv/bin/python main.py --check     # prints every problem and exits 2, or exits 0
```

A problem is one sentence: `SERVER_PORT must be a number from 0 to 65535, not 'abc'`. A value of more than 20
characters is not quoted, since it may be a key in the wrong place. A key is never quoted.

A setting that is valid and probably not meant is a warning, with `--check` and at each start: a name that is no
setting (`server_port`: did you mean `SERVER_PORT`?), a name that is set twice, a key that is easy to guess,
`CLIENT_URL=*`, and a network of `TRUSTED_PROXIES` that has strangers in it.

Files of settings and keys are UTF-8 and have at most 1 MiB. A pipe is no such file: it would block the start.

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
