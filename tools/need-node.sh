#!/bin/sh
# Installs Node.js 18 or newer and npm, for tests with the official Socket.IO clients.
set -eu
if command -v node >/dev/null && command -v npm >/dev/null; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing Debian's nodejs and npm with apt-get" >&2
    apt-get update -qq
    exec apt-get install -y -qq nodejs npm
fi
echo "Please install Node.js and npm (on Debian: sudo apt install nodejs npm) and try again." >&2
exit 1
