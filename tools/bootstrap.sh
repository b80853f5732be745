# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Prepares this machine for `./alto` and `./dev`, which source this file after setting `root` to the checkout.
#
#   prepare runtime    distribution packages, virtual environment, locked dependencies, guest kernel, console page
#   prepare dev        the same with the developers' dependencies; missing distribution packages only cost
#                      the tests that need them
#
# Settings, all optional, from the environment:
#   ALTO_VENV            where the virtual environment is (default: .venv in the checkout)
#   ALTO_PYTHON          the Python to make it with (default: the first fit one found)
#   ALTO_SKIP_PACKAGES   set to 1 to leave distribution packages, guest kernel and console page alone
#
# Everything is told on standard error: standard output belongs to the command that follows.

venv=${ALTO_VENV:-$root/.venv}
case $venv in /*) ;; *) venv=$PWD/$venv ;; esac
stamp_file=$venv/.altostratus-stamp
log_file=

say() { printf '%s\n' "$*" >&2; }
step() { printf '==> %s\n' "$*" >&2; }

fail() {
    printf 'alto: %s\n' "$@" >&2
    if [[ -s $log_file ]]; then say "What the log says ($log_file):" && { grep -iE 'error|^E: ' "$log_file" || cat "$log_file"; } | tail -n 5 | sed 's/^ */    /' >&2; fi
    exit 1
}

# What the preparation depends on, as one line. Kept cheap (one process): it is worked out at every start.
stamp_of() {
    sha256sum -- "$root/requirements/$1.lock" "$root/requirements/packages.txt" "$root/pyproject.toml" \
        "$root/tools/bootstrap.sh" 2>/dev/null | while read -r sum _; do printf '%s.' "${sum:0:16}"; done
    printf '%s %s\n' "$1" "$venv"
}

is_prepared() {
    local line
    [[ -x $venv/bin/python && -x $venv/bin/alto && -r $stamp_file ]] || return 1
    while read -r line; do [[ $line == "$1" ]] && return 0; done <"$stamp_file"
    return 1
}

prepare() {
    local kind=$1 stamp
    stamp=$(stamp_of "$kind")
    is_prepared "$stamp" && return 0
    if [[ -e $venv && ! -w $venv ]]; then
        fail "the virtual environment $venv belongs to somebody else and needs an update." \
            "Run 'sudo $root/alto --help' once, or choose another place: ALTO_VENV=\$HOME/.altostratus-venv $0"
    fi
    mkdir -p -- "${venv%/*}" 2>/dev/null && : 2>/dev/null >>"$venv.lock" || fail \
        "cannot write to ${venv%/*}." "Run 'sudo $0', or choose another place: ALTO_VENV=\$HOME/.altostratus-venv $0"
    exec 9>>"$venv.lock"
    flock -n 9 || { say "Another preparation of $venv is under way; waiting for it." && flock 9; }
    if ! is_prepared "$stamp"; then
        log_file=$(mktemp -- "${TMPDIR:-/tmp}/altostratus-prepare.XXXXXX")
        say "Preparing this machine for Altostratus. This happens once; the log is $log_file"
        ensure_packages "$kind"
        ensure_venv
        ensure_python_packages "$kind"
        ensure_guest_kernel
        ensure_novnc
        [[ $kind != dev ]] || ensure_slapd
        { printf '%s\n' "$stamp" && [[ $kind != dev ]] || stamp_of runtime; } >"$stamp_file"
        rm -f -- "$log_file"
        say "Ready."
    fi
    exec 9>&-
}

# --- distribution packages ---------------------------------------------------------------------------------

# Prints the packages of requirements/packages.txt that are not installed, one a line.
missing_packages() {
    local line name found installed
    installed=" $(dpkg-query -W -f='${Package}/${db:Status-Status} ' 2>/dev/null)"
    while read -r line; do
        [[ -z $line || $line == \#* ]] && continue
        found=
        for name in ${line//|/ }; do [[ $installed == *" $name/installed "* ]] && found=1; done
        [[ $found ]] || printf '%s\n' "${line%%|*}"
    done <"$root/requirements/packages.txt"
}

# As `fail` for `./alto`; for `./dev`, which can do without, only a word.
packages_failed() {
    local kind=$1
    shift
    [[ $kind == dev ]] || fail "$@"
    printf 'alto: %s\n' "$@" "Going on: only the tests that need these packages will be skipped." >&2
}

ensure_packages() {
    local kind=$1 distro missing
    [[ ${ALTO_SKIP_PACKAGES:-} != 1 ]] || return 0
    distro=$(. /etc/os-release 2>/dev/null && printf '%s (%s %s)' "${PRETTY_NAME:-}" "${ID:-}" "${ID_LIKE:-}")
    if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
        packages_failed "$kind" "this script prepares Debian 12, Debian 13 and Ubuntu 24.04; this is ${distro:-unknown}." \
            "Install what requirements/packages.txt names by hand, then run: ALTO_SKIP_PACKAGES=1 $0"
        return 0
    fi
    mapfile -t missing < <(missing_packages)
    if ((${#missing[@]} == 0)); then
        step "Distribution packages: all there"
    elif ((EUID != 0)); then
        packages_failed "$kind" "these packages are missing, and only root can install them. Run this, then try again:" \
            "    sudo apt-get install --no-install-recommends ${missing[*]}"
    else
        step "Distribution packages: installing ${#missing[@]} (${missing[*]})"
        install_packages "${missing[@]}" || packages_failed "$kind" "$(why_packages_failed)"
    fi
}

install_packages() {
    local free_kib
    free_kib=$(df -Pk /var 2>/dev/null | awk 'NR == 2 { print $4 }')
    if ((${free_kib:-9999999} < 1000000)); then
        echo "No space left on device: $((free_kib / 1024)) MiB free on /var, 1000 MiB needed" >>"$log_file"
        return 1
    fi
    # Package lists may be absent (containers) or old (archives move on): then, and only then, renew them.
    if compgen -G '/var/lib/apt/lists/*Packages*' >/dev/null && apt_get install "$@"; then return 0; fi
    grep -q 'Could not get lock\|No space left' "$log_file" && return 1
    say "    renewing the package lists first"
    # A broken third-party source must not stop us: the installation shows whether it mattered.
    apt_get update || say "    (not all package sources answered; trying nevertheless)"
    apt_get install "$@"
}

apt_get() {
    local verb=$1
    shift
    DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -q -y --no-install-recommends \
        -o DPkg::Lock::Timeout=180 -o Acquire::Retries=2 -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30 \
        -o APT::Status-Fd=3 "$verb" "$@" 3> >(show_percent) >>"$log_file" 2>&1 </dev/null
}

# Reads apt's status lines (`pmstatus:package:percent:text`) and shows the percentage.
show_percent() {
    local kind percent shown=-20 text before=
    while IFS=: read -r kind _ percent text; do
        percent=${percent%%.*}
        [[ $kind == *status && $percent =~ ^[0-9]+$ ]] || continue
        [[ $kind == "$before" ]] || { before=$kind && shown=-20; }
        if [[ -t 2 ]]; then
            printf '\r    %3d %%  %-70.70s' "$percent" "$text" >&2
        elif ((percent >= shown + 20)); then
            shown=$percent && printf '    %3d %%  %s\n' "$percent" "$text" >&2
        fi
    done
    [[ ! -t 2 ]] || printf '\r%80s\r' '' >&2
}

why_packages_failed() {
    if grep -q 'Could not get lock\|is another process using it' "$log_file"; then
        echo "another program (an automatic update, perhaps) is installing packages. Wait for it to end and try again."
    elif grep -qi 'no space left\|enough free space' "$log_file"; then
        echo "the disk is full: the distribution packages need about 1 GB on /var and /usr. Make room and try again."
    elif grep -qi 'temporary failure resolving\|could not resolve\|could not connect\|connection \(timed out\|failed\)' "$log_file"; then
        echo "the package archive of this distribution cannot be reached. Check network, proxy and DNS, then try again."
    elif grep -q 'Unable to locate package\|no installation candidate' "$log_file"; then
        echo "a package is in none of the archives that this machine knows (on Ubuntu, 'universe' must be enabled:" \
            "'sudo add-apt-repository universe'). Correct the sources in /etc/apt, run 'apt-get update', try again."
    else
        echo "apt-get failed. Read the log below, repair with 'sudo apt-get -f install', then try again."
    fi
}

# --- Python ----------------------------------------------------------------------------------------------

# Prints `major.minor path` of a Python that can carry a virtual environment with us in it.
probe_python() {
    "$1" -c '
import sys, os, ctypes, ensurepip, sqlite3, ssl, venv
if sys.version_info >= (3, 11):
    print("%d.%d" % sys.version_info[:2], os.path.realpath(sys.executable))' 2>/dev/null </dev/null
}

find_python() {
    local candidate answer newer=
    # A named one is taken or refused, never replaced.
    if [[ ${ALTO_PYTHON:-} ]]; then
        answer=$(probe_python "$ALTO_PYTHON") && [[ $answer ]] && echo "${answer#* }"
        return
    fi
    # The distribution's own first: it is the same with and without sudo. Wrappers (pyenv) are resolved.
    for candidate in /usr/bin/python3 python3 python3.13 python3.12 python3.11; do
        answer=$(probe_python "$candidate") && [[ $answer ]] || continue
        case $answer in
            3.1[123]\ *) echo "${answer#* }" && return 0 ;;
            *) newer=${newer:-${answer#* }} ;;
        esac
    done
    # Newer than any we are tested with: better than nothing.
    [[ $newer ]] && echo "$newer"
}

ensure_venv() {
    local python reason=
    if [[ -e $venv/pyvenv.cfg ]]; then
        "$venv/bin/python" -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || reason="does not work"
        # Its scripts name their place: a moved environment is not one.
        grep -qsF -- "$venv/bin/python" "$venv/bin/pip" || reason="was moved here"
        [[ $reason ]] || return 0
        say "    the virtual environment $venv $reason: making it anew"
    elif [[ -d $venv && -n $(ls -A -- "$venv") ]]; then
        fail "$venv is there but is no virtual environment. Move it away, or set ALTO_VENV to another place."
    fi
    python=$(find_python) || fail "no fit Python found${ALTO_PYTHON:+ by the name $ALTO_PYTHON}: it must be 3.11 or newer and have its venv module." \
        "Install it ('sudo apt-get install python3 python3-venv' on Debian 12 or newer and Ubuntu 24.04), or name one: ALTO_PYTHON=/path/to/python3.12 $0"
    step "Virtual environment: $venv with $("$python" --version)"
    "$python" -m venv --clear -- "$venv" >>"$log_file" 2>&1 </dev/null || fail "$(why_python_failed)"
}

ensure_python_packages() {
    local kind=$1 lock total
    lock=$root/requirements/$kind.lock
    total=$(grep -c '==' "$lock")
    step "Python packages: $total, checked against the hashes in requirements/$kind.lock"
    pip_install --require-hashes -r "$lock" | show_count "$total" || fail "$(why_python_failed)"
    step "Altostratus itself, from $root"
    pip_install --no-deps --no-build-isolation -e "$root" >/dev/null || fail "$(why_python_failed)"
}

pip_install() {
    PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 "$venv/bin/python" -m pip install --progress-bar off \
        --retries 3 "$@" 2>&1 </dev/null | tee -a -- "$log_file"
}

show_count() {
    local line count=0
    while IFS= read -r line; do
        case $line in
            Collecting* | Processing* | Requirement\ already*) count=$((count + 1)) ;;
            Installing\ collected*) say "    installing" && continue ;;
            *) continue ;;
        esac
        if [[ -t 2 ]]; then printf '\r    %d of %d' "$count" "$1" >&2; elif ((count % 25 == 0)); then say "    $count of $1"; fi
        [[ ! -t 2 ]] || ((count < $1)) || say ""
    done
}

why_python_failed() {
    if grep -qi 'no space left' "$log_file"; then
        echo "the disk is full: the virtual environment needs about 500 MB in $venv. Make room and try again."
    elif grep -q 'DO NOT MATCH THE HASHES' "$log_file"; then
        echo "a downloaded Python package is not the one that was locked. Nothing of it was installed. Try again;" \
            "if it stays so, the package index or a proxy on the way serves altered files."
    elif grep -qi 'connection\|name resolution\|timed out\|proxyerror\|sslerror' "$log_file"; then
        echo "the Python package index cannot be reached. Check network and proxy ('pip config list'), then try again."
    elif grep -q 'No matching distribution\|Could not find a version' "$log_file"; then
        echo "the package index of this machine lacks a version that is locked. Check 'pip config list' and the index."
    elif grep -q 'Permission denied' "$log_file"; then
        echo "cannot write to $venv. Run with sudo, or choose another place: ALTO_VENV=\$HOME/.altostratus-venv $0"
    else
        echo "pip failed. Read the log below and try again; 'rm -r $venv' makes a fresh start."
    fi
}

# --- the kernel of the mini guest image ------------------------------------------------------------------------

# Looked for by the image builder at `<sys.prefix>/share/altostratus/guest-kernel`.
ensure_guest_kernel() {
    local directory=$venv/share/altostratus/guest-kernel
    [[ ${ALTO_SKIP_PACKAGES:-} != 1 ]] || return 0
    compgen -G "$directory/boot/vmlinuz-*" >/dev/null && return 0
    step "Guest kernel: unpacking the distribution's into $directory (it is not installed on this machine)"
    "$root/tools/fetch-guest-kernel" "$directory" >>"$log_file" 2>&1 </dev/null ||
        say "    not to be had ($(tail -n 1 "$log_file")); the mini image will use this machine's own kernel if it fits"
}

# --- the console page -----------------------------------------------------------------------------------------

# Looked for by the console proxy at `<sys.prefix>/share/altostratus/novnc`, then at /usr/share/novnc.
ensure_novnc() {
    local directory=$venv/share/altostratus/novnc
    [[ ${ALTO_SKIP_PACKAGES:-} != 1 && ! -e $directory/vnc_lite.html && ! -e /usr/share/novnc/vnc_lite.html ]] || return 0
    step "Console page: unpacking the distribution's noVNC into $directory (it is not installed on this machine)"
    "$root/tools/fetch-novnc" "$directory" >>"$log_file" 2>&1 </dev/null ||
        say "    not to be had ($(tail -n 1 "$log_file")); consoles will say how to get it"
}

# --- the LDAP server of the tests -----------------------------------------------------------------------------

# Looked for by the tests at `<sys.prefix>/share/altostratus/slapd`, then on the PATH.
ensure_slapd() {
    local directory=$venv/share/altostratus/slapd
    [[ ${ALTO_SKIP_PACKAGES:-} != 1 && ! -e $directory/usr/sbin/slapd && ! -e /usr/sbin/slapd ]] || return 0
    step "LDAP server for tests: unpacking the distribution's slapd into $directory (it is not installed on this machine)"
    "$root/tools/fetch-slapd" "$directory" >>"$log_file" 2>&1 </dev/null ||
        say "    not to be had ($(tail -n 1 "$log_file")); the tests that need it will be skipped"
}
