#!/bin/sh
# Installs the server as a systemd service, or upgrades it. Run it as root, from anywhere in or outside this folder.
#
#   install.sh                  install, or upgrade and keep key, settings and data
#   install.sh --rollback       go back to the release before; once more, and forth again
#   install.sh --uninstall      take service and code away; key, settings and data stay
#   install.sh --purge          take those away too
#   install.sh --root DIR       (with any of them) only put the files under DIR; needs neither root nor systemd
#
# What it makes:
#   /opt/chatio/releases/NAME   the code and a virtual environment of its own
#   /opt/chatio/current         the release that runs; the one before it is kept beside it, as "previous"
#   /etc/chatio/                chatio.env (settings) and jwt_secret_key, written once and then left alone
#   /var/lib/chatio             data, made by systemd
# A release becomes the current one when its environment is complete and it finds the settings sound; until then
# nothing that runs is touched.
set -eu
umask 022

source=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
root=
action=install
units="chatio.service chatio.socket"

say() { printf '%s\n' "$*"; }
fail() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }
real() { [ -z "$root" ]; }

main() {
    while [ $# -gt 0 ]; do
        case $1 in
            --rollback) action=rollback ;;
            --uninstall) action=uninstall ;;
            --purge) action=purge ;;
            --root) [ $# -ge 2 ] || fail "--root needs a folder"; root=$(mkdir -p "$2" && cd "$2" && pwd); shift ;;
            *) fail "what is $1? See the first lines of this file." ;;
        esac
        shift
    done
    real && need_a_machine
    opt=$root/opt/chatio etc=$root/etc/chatio system=$root/etc/systemd/system
    case $action in
        install) install_all ;;
        rollback) roll_back ;;
        *) uninstall ;;
    esac
}

need_a_machine() {
    [ "$(id -u)" = 0 ] || fail "this needs root (sudo $0)"
    [ -d /run/systemd/system ] || fail "systemd does not run here"
    [ "$(systemd_version)" -ge 250 ] || fail "systemd 250 or newer is needed, for credentials"
}

systemd_version() { systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p'; }

install_all() {
    release=$opt/releases/$(date -u +%Y%m%d-%H%M%S)
    [ ! -e "$release" ] || fail "$release is there already; try again in a second"
    trap 'rm -rf "$release"' EXIT
    put_code
    put_settings
    check_settings
    switch
    trap - EXIT
    if real && ! start; then
        [ -e "$opt/previous" ] || fail "it does not start: journalctl -u chatio"
        swap
        start || true
        fail "it does not start, and the release before it is back: journalctl -u chatio"
    fi
    forget_old_releases
    say "Installed in $release; settings are in $etc/chatio.env"
}

roll_back() {
    [ -e "$opt/previous" ] || fail "there is no release before this one"
    swap
    if real; then start || fail "it does not start: journalctl -u chatio"; fi
    say "Back in $(readlink -f "$opt/current")"
}

put_code() {
    mkdir -p "$release"
    for part in main.py chatio handlers web requirements.txt README.md LICENSE CHANGELOG.md .env.example deploy; do
        if [ -e "$source/$part" ]; then cp -R "$source/$part" "$release/"; fi
    done
    (cd "$release" && sh "$source/tools/get-client.sh")
    find "$release" -name __pycache__ -prune -exec rm -rf {} +
    sh "$source/tools/make-venv.sh" "$release/.venv"
    "$release/.venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$release/requirements.txt"
    # Compiled here, since the service may write nothing there.
    "$release/.venv/bin/python" -m compileall -q "$release/main.py" "$release/chatio" "$release/handlers"
}

put_settings() {
    mkdir -p "$etc"
    [ -e "$etc/chatio.env" ] || install -m 0640 "$source/deploy/chatio.env" "$etc/chatio.env"
    if [ ! -e "$etc/jwt_secret_key" ]; then
        (umask 077 && python3 -c 'import secrets; print(secrets.token_urlsafe(48))' >"$etc/jwt_secret_key.new")
        mv "$etc/jwt_secret_key.new" "$etc/jwt_secret_key"
    fi
    chmod 0600 "$etc/jwt_secret_key"
}

check_settings() {
    # As the service would be started, and with a word on every name that is no setting.
    previous=$etc/jwt_secret_key_previous
    [ -e "$previous" ] || previous=/dev/null
    env -i PATH="$PATH" JWT_SECRET_KEY_FILE="$etc/jwt_secret_key" JWT_SECRET_KEY_PREVIOUS_FILE="$previous" \
        "$release/.venv/bin/python" "$release/main.py" --check --env-file "$etc/chatio.env" ||
        fail "the settings in $etc/chatio.env are not sound; what runs was not touched"
}

switch() {
    if [ -e "$opt/current" ]; then point previous "$(readlink "$opt/current")"; fi
    point current "releases/${release##*/}"
    put_units
}

swap() {
    left=$(readlink "$opt/current")
    point current "$(readlink "$opt/previous")"
    point previous "$left"
    put_units
}

point() {
    ln -sfn "$2" "$opt/$1.new"
    mv -T "$opt/$1.new" "$opt/$1"
}

put_units() {
    mkdir -p "$system"
    for unit in $units; do install -m 0644 "$opt/current/deploy/$unit" "$system/$unit"; done
    if real && [ "$(systemd_version)" -ge 254 ]; then
        mkdir -p "$system/chatio.service.d"
        install -m 0644 "$opt/current/deploy/restart.conf" "$system/chatio.service.d/restart.conf"
    fi
}

start() {
    systemctl daemon-reload
    # shellcheck disable=SC2086 # two names
    systemctl --quiet enable $units
    systemctl start chatio.socket
    systemctl restart chatio.service # whoever comes meanwhile waits in the socket
}

forget_old_releases() {
    for old in "$opt"/releases/*; do
        case releases/${old##*/} in
            "$(readlink "$opt/current")" | "$(readlink "$opt/previous" || true)") ;;
            *) rm -rf "$old" ;;
        esac
    done
}

uninstall() {
    if real; then
        for unit in $units; do
            if [ -e "$system/$unit" ]; then systemctl --quiet disable --now "$unit"; fi
        done
    fi
    for unit in $units; do rm -f "$system/$unit"; done
    rm -f "$system/chatio.service.d/restart.conf"
    rmdir "$system/chatio.service.d" 2>/dev/null || true # what an operator wrote there stays
    rm -rf "$opt"
    real && systemctl daemon-reload
    if [ "$action" = purge ]; then
        rm -rf "$etc" "$root/var/lib/chatio" "$root/var/lib/private/chatio"
        say "Nothing is left"
    else
        say "Key and settings are still in $etc, data in $root/var/lib/chatio; --purge takes them away too"
    fi
}

main "$@"
