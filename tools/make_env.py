"""Write a new .env from .env.example, with a fresh secret that only its owner can read.

python tools/make_env.py .env.example .env
"""

import os
import re
import secrets
import sys
from pathlib import Path


def main(example: str, target: str) -> None:
    text = Path(example).read_text()
    filled, count = re.subn(r"(?m)^JWT_SECRET_KEY=$", f"JWT_SECRET_KEY={secrets.token_urlsafe(48)}", text)
    if count != 1:
        raise SystemExit(f"{example} has no empty line JWT_SECRET_KEY=")
    with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(filled)
    sys.stderr.write(f"Wrote {target} with a fresh secret\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
