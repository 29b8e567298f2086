#!/bin/sh
# The page at / uses the official socket.io-client. It is a part of the server that may be missing: no failure here
# keeps `make run` from starting it.
if ! command -v npm >/dev/null; then
    echo "npm is not installed: the server runs, without the page at /" >&2
elif ! npm ci --prefix web --omit=dev --silent; then
    echo "npm could not install the page's client: the server runs, without the page at /" >&2
fi
