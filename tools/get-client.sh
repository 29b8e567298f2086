#!/bin/sh
# Gets the official socket.io-client for the page at /. The server also runs without the page, so a failure here does
# not stop `make run`.
if ! command -v npm >/dev/null; then
    echo "npm is not installed: the server runs, without the page at /" >&2
elif ! npm ci --prefix web --omit=dev --silent; then
    echo "npm could not install the page's client: the server runs, without the page at /" >&2
fi
