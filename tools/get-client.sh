#!/bin/sh
# Gets the official socket.io-client for the page at /, and Swagger UI for /docs, by the hashes of package-lock.json. The
# server also runs without them, so a failure here does not stop `make run`.
if ! command -v npm >/dev/null; then
    echo "npm is not installed: the server runs, without the page at / and without /docs" >&2
elif ! npm ci --prefix web --omit=dev --silent; then
    echo "npm could not install the page's packages: the server runs, without the page at / and without /docs" >&2
fi
