#!/bin/sh
# Installs what the tests of deploy/ use: nginx, shellcheck, openssl and systemd-analyze.
set -eu
missing=
for program in nginx shellcheck openssl systemd-analyze; do
    command -v "$program" >/dev/null || missing="$missing $program"
done
[ -n "$missing" ] || exit 0
packages=$(printf '%s' "$missing" | sed 's/nginx/nginx-light/; s/systemd-analyze/systemd/')
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing Debian's $packages with apt-get" >&2
    apt-get update -qq
    # shellcheck disable=SC2086 # a list of names
    exec apt-get install -y -qq --no-install-recommends $packages
fi
echo "Please install$missing (on Debian: sudo apt install$packages) and try again." >&2
exit 1
