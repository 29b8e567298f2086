#!/bin/sh
# Makes the virtual environment $1. On Debian, the part of venv that installs pip is a package of its own.
set -eu
if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "This server needs Python 3.11 or newer; python3 here is $(python3 --version 2>&1)." >&2
    exit 1
fi
# python3's pip, where there is one, installs a newer pip, which needs a third of the time of the one that venv brings
# along to find the development tools, and does so in 2 s instead of 8.
if python3 -m venv --without-pip "$1" 2>/dev/null && python3 -m pip --python "$1/bin/python" install \
    --quiet --no-compile --disable-pip-version-check --require-hashes -r "$(dirname -- "$0")/pip.txt" 2>/dev/null; then
    exit 0
fi
rm -rf "$1"
if python3 -m venv "$1"; then
    exit 0
fi
rm -rf "$1"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing Debian's package python3-venv with apt-get" >&2
    apt-get update -qq
    apt-get install -y -qq python3-venv
    exec python3 -m venv "$1"
fi
echo "Please install Python's venv module (on Debian: sudo apt install python3-venv) and try again." >&2
exit 1
