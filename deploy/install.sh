#!/bin/sh
# Installs or upgrades the server as a systemd service. Run it as root, from any folder.
#
#   install.sh                  install, or upgrade and keep key, settings and data
#   install.sh --rollback       go back to the previous release; run it again to undo that
#   install.sh --uninstall      remove service and code; key, settings and data stay
#   install.sh --purge          remove key, settings, and all accounts and messages too; asks first
#   install.sh --purge --yes    the same without a question
#   install.sh --help           show this text
#   install.sh --instances N    as above, and run N servers on one PostgreSQL: chatio@1 to chatio@N; 1: chatio
#   install.sh --root DIR       (with any of these) only put the files under DIR; needs neither root nor systemd
#
# Files that it makes:
#   /opt/chatio/releases/NAME   the code and a virtual environment of its own
#   /opt/chatio/current         the release that runs; the one before it is kept as /opt/chatio/previous
#   /etc/chatio/                chatio.env (settings) and jwt_secret_key, written once and then left alone; instances
#   /etc/systemd/system/        chatio.service, chatio.socket and their templates for several servers, replaced by each upgrade
#   /var/lib/chatio             data, made by systemd
#
# It downloads pip and the packages of requirements.txt, as wheels whose hashes are listed there, and, if npm is there,
# those of web/package-lock.json by the hashes there: page and /docs need them. On Debian without venv it first installs
# the package python3-venv, and says so. It does not change nginx: deploy/nginx-site.conf.
#
# A release becomes the current one after its environment is complete and its check of the settings has passed. Until
# then the running server is not touched.
set -eu
umask 022

source=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
root=
action=install
is_sure=no
templates="chatio.service chatio.socket chatio@.service chatio@.socket"
all_services="chatio.service $(seq -f 'chatio@%g.service' 1 9 | tr '\n' ' ')"
instances=

say() { printf '%s\n' "$*"; }
fail() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }
real() { [ -z "$root" ]; }

main() {
    while [ $# -gt 0 ]; do
        case $1 in
            --rollback) action=rollback ;;
            --uninstall) action=uninstall ;;
            --purge) action=purge ;;
            --yes) is_sure=yes ;;
            -h | --help) show_help; exit ;;
            --instances) [ $# -ge 2 ] || fail "--instances needs a number"; instances=$2; shift ;;
            --root) [ $# -ge 2 ] || fail "--root needs a folder"; root=$(mkdir -p "$2" && cd "$2" && pwd); shift ;;
            *) fail "unknown option $1; see --help" ;;
        esac
        shift
    done
    real && need_a_machine
    opt=$root/opt/chatio etc=$root/etc/chatio system=$root/etc/systemd/system
    read_instances
    case $action in
        install) install_all ;;
        rollback) roll_back ;;
        *) uninstall ;;
    esac
}

# The comment that this file begins with.
show_help() { sed -n '2,/^set/{s/^# \{0,1\}//p}' "$source/deploy/install.sh"; }

read_instances() {
    before=$(cat "$etc/instances" 2>/dev/null || echo 1)
    instances=${instances:-$before}
    case $instances in
        1) services=chatio.service ;;
        [2-9]) services=$(seq -f 'chatio@%g.service' 1 "$instances" | tr '\n' ' ') ;;
        *) fail "--instances needs a number from 1 to 9" ;;
    esac
}

need_a_machine() {
    [ "$(id -u)" = 0 ] || fail "root is needed: sudo $0"
    [ -d /run/systemd/system ] || fail "systemd is not running on this machine"
    [ "$(systemd_version)" -ge 250 ] || fail "systemd 250 or newer is needed (credentials)"
}

systemd_version() { systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p'; }

install_all() {
    say "Installs $source into $opt; --help tells what that changes."
    release=$opt/releases/$(date -u +%Y%m%d-%H%M%S)
    [ ! -e "$release" ] || fail "$release exists already; try again in a second"
    trap 'rm -rf "$release"' EXIT
    put_code
    put_settings
    check_settings
    switch
    trap - EXIT
    if real && ! start; then
        [ -e "$opt/previous" ] || fail "the server does not start; look at: journalctl -u chatio"
        instances=$before
        read_instances
        swap
        start || true
        fail "the new release does not start; the previous release is back. Look at: journalctl -u chatio"
    fi
    forget_old_releases
    say "Installed in $release. Settings: $etc/chatio.env"
}

roll_back() {
    [ -e "$opt/previous" ] || fail "there is no previous release"
    release=$(readlink -f "$opt/previous")
    check_settings # and whether the database is too new for that release
    swap
    if real && ! start; then
        instances=$before
        read_instances
        swap
        start || true
        fail "the previous release does not start; the newer one is back. Look at: journalctl -u chatio"
    fi
    say "The current release is $(readlink -f "$opt/current")"
}

put_code() {
    mkdir -p "$release"
    for part in main.py chatio handlers web requirements.txt README.md docs LICENSE CHANGELOG.md \
        .env.example deploy tools; do
        if [ -e "$source/$part" ]; then cp -R "$source/$part" "$release/"; fi
    done
    ! command -v npm >/dev/null || say "Installing the packages of web/package-lock.json with npm"
    (cd "$release" && sh "$source/tools/get-client.sh")
    find "$release" -name __pycache__ -prune -exec rm -rf {} +
    sh "$source/tools/make-venv.sh" "$release/.venv"
    # As wheels only: to build a package would run its code as root.
    say "Installing the packages of requirements.txt"
    "$release/.venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
        --only-binary :all: -r "$release/requirements.txt"
    # Compile now: the service may not write to this folder.
    "$release/.venv/bin/python" -m compileall -q "$release/main.py" "$release/chatio" "$release/handlers"
}

put_settings() {
    mkdir -p "$etc"
    if [ ! -e "$etc/chatio.env" ]; then
        install -m 0640 "$source/deploy/chatio.env" "$etc/chatio.env"
        say "Wrote $etc/chatio.env: set CLIENT_URL there, and restart the server"
    fi
    if [ ! -e "$etc/jwt_secret_key" ]; then
        (umask 077 && python3 -c 'import secrets; print(secrets.token_urlsafe(48))' >"$etc/jwt_secret_key.new")
        mv "$etc/jwt_secret_key.new" "$etc/jwt_secret_key"
    fi
    chmod 0600 "$etc/jwt_secret_key"
}

check_settings() {
    # With the environment of the service. The check also warns of names that are no setting.
    previous=$etc/jwt_secret_key_previous
    [ -e "$previous" ] || previous=/dev/null
    name=
    if [ "$instances" != 1 ]; then
        name=1
        ! grep -q '^METRICS_PORT=.' "$etc/chatio.env" ||
            fail "several servers cannot have one METRICS_PORT: remove it from $etc/chatio.env; 9101 and up are set"
    fi
    env -i PATH="$PATH" SERVER_NAME="$name" JWT_SECRET_KEY_FILE="$etc/jwt_secret_key" \
        JWT_SECRET_KEY_PREVIOUS_FILE="$previous" \
        "$release/.venv/bin/python" "$release/main.py" --check --env-file "$etc/chatio.env" ||
        fail "this release cannot run with $etc/chatio.env; the running server was not touched"
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
    printf '%s\n' "$instances" >"$etc/instances"
    mkdir -p "$system"
    for unit in $templates; do
        [ ! -e "$opt/current/deploy/$unit" ] || install -m 0644 "$opt/current/deploy/$unit" "$system/$unit"
    done
    if real && [ "$(systemd_version)" -ge 254 ]; then
        for folder in chatio.service.d chatio@.service.d; do
            mkdir -p "$system/$folder"
            install -m 0644 "$opt/current/deploy/restart.conf" "$system/$folder/restart.conf"
        done
    fi
}

start() {
    systemctl daemon-reload
    for service in $all_services; do
        case " $services " in
            *" $service "*) systemctl --quiet enable "$service" "${service%.service}.socket" ;;
            *) stop "$service" ;;
        esac
    done
    for service in $services; do systemctl start "${service%.service}.socket"; done
    # All at once: servers of two releases may not share a database. New clients wait in the sockets meanwhile.
    # shellcheck disable=SC2086 # a list of names
    systemctl restart $services
}

# Also a service that is not there.
stop() { systemctl --quiet disable --now "$1" "${1%.service}.socket" 2>/dev/null || true; }

forget_old_releases() {
    for old in "$opt"/releases/*; do
        case releases/${old##*/} in
            "$(readlink "$opt/current")" | "$(readlink "$opt/previous" || true)") ;;
            *) rm -rf "$old" ;;
        esac
    done
}

ask_to_purge() {
    [ "$is_sure" = no ] || return 0
    [ -t 0 ] || fail "--purge deletes all accounts and messages and needs a yes; without a terminal: --purge --yes"
    printf 'Delete the key, the settings (%s) and all accounts and messages (%s)? Type yes: ' \
        "$etc" "$root/var/lib/chatio"
    read -r answer || answer=
    [ "$answer" = yes ] || fail "nothing was removed"
}

uninstall() {
    [ "$action" != purge ] || ask_to_purge
    if real; then
        for service in $all_services; do stop "$service"; done
    fi
    for unit in $templates; do rm -f "$system/$unit"; done
    for folder in chatio.service.d chatio@.service.d; do
        rm -f "$system/$folder/restart.conf"
        rmdir "$system/$folder" 2>/dev/null || true # files of the operator stay
    done
    rm -rf "$opt"
    real && systemctl daemon-reload
    if [ "$action" = purge ]; then
        rm -rf "$etc" "$root/var/lib/chatio" "$root/var/lib/private/chatio"
        say "Removed, with key, settings and data. Not removed: a database of PostgreSQL, and what you put into nginx"
    else
        say "Removed. Key and settings are still in $etc, data in $root/var/lib/chatio; --purge removes them too"
    fi
}

main "$@"
