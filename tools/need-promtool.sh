#!/bin/sh
# Puts promtool into the folder $1, for the tests of the metrics. promtool is part of Debian's package of Prometheus,
# which would start a service. So this script unpacks that package and installs nothing.
set -eu
bin=$1
PATH="$bin:$PATH"
command -v promtool >/dev/null && exit 0
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "Please install promtool, which comes with Prometheus, and try again." >&2
    exit 1
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
(cd "$folder" && apt-get download -qq prometheus && dpkg-deb -x prometheus_*.deb .)
mv "$folder/usr/bin/promtool" "$bin/promtool"
