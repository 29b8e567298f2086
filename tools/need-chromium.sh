#!/bin/sh
# Installs Debian's Chromium for the browser tests.
set -eu
if [ -x /usr/bin/chromium ]; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing Debian's chromium with apt-get" >&2
    apt-get update -qq
    exec apt-get install -y -qq chromium
fi
echo "Please install Chromium (on Debian: sudo apt install chromium) and try again." >&2
exit 1
