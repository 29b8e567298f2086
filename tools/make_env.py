"""Write a new .env from .env.example, with a fresh secret that only its owner can read, and a database file.

python tools/make_env.py .env.example .env
"""

import os
import re
import secrets
import sys
from pathlib import Path


def main(example: str, target: str) -> None:
    text = Path(example).read_text()
    for name, value in (("JWT_SECRET_KEY", secrets.token_urlsafe(48)), ("DATABASE_URL", "sqlite:///chat.db")):
        text, count = re.subn(f"(?m)^{name}=$", f"{name}={value}", text)
        if count != 1:
            raise SystemExit(f"{example} has no empty line {name}=")
    with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    sys.stderr.write(f"Wrote {target} with a fresh secret\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
