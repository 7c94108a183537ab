#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian 12 packages of the named sections of packages.txt, and only those that are missing.
# Usage: install-packages.sh [--check] [SECTION...]     sections: build run package test arm64 compare; default: build
#   --check   install nothing; print what is missing and exit 1 if anything is
# Exit: 0 all there, 1 something could not be installed (or is missing, with --check), 2 usage.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
list=$here/packages.txt

usage() { sed -n '3,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }
fail() { echo "install-packages: $*" >&2; exit 1; }

packages_of() {  # SECTION -> names, one a line
  awk -v want="[$1]" '{ sub(/#.*/, ""); gsub(/[ \t]+/, "") } /^\[/ { on = ($0 == want); next } on && $0 != ""' "$list"
}

check_only=0
sections=()
for arg in "$@"; do
  case $arg in
    --check) check_only=1 ;;
    -h | --help) usage; exit 0 ;;
    build | run | package | test | arm64 | compare) sections+=("$arg") ;;
    *) echo "install-packages: unknown argument '$arg'" >&2; usage >&2; exit 2 ;;
  esac
done
[ ${#sections[@]} -gt 0 ] || sections=(build)

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  fail "this is not a Debian system (no apt-get). Culprit builds on Debian 12; the names of what it needs are in $list"
fi
# shellcheck source=/dev/null
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-unknown}")
[ "$codename" = bookworm ] ||
  echo "install-packages: warning: made for Debian 12 (bookworm), this is '$codename'; names or versions may differ" >&2

mapfile -t wanted < <(for s in "${sections[@]}"; do packages_of "$s"; done | sort -u)
mapfile -t present < <(dpkg-query -W -f='${db:Status-Abbrev} ${binary:Package}\n' "${wanted[@]}" 2>/dev/null |
  awk '$1 == "ii" { sub(/:.*/, "", $2); print $2 }' | sort -u)
mapfile -t missing < <(comm -23 <(printf '%s\n' "${wanted[@]}") <(printf '%s\n' "${present[@]}"))
if [ ${#missing[@]} -eq 0 ] || [ -z "${missing[0]}" ]; then
  exit 0
fi

if [ "$check_only" = 1 ]; then
  printf 'missing: %s\n' "${missing[*]}"
  exit 1
fi
[ "$(id -u)" = 0 ] || fail "root is needed to install: ${missing[*]}"

echo "install-packages: installing ${#missing[@]} packages (${sections[*]}): ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
# A policy file keeps packages such as openssh-server from starting services on this machine.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f "$log" "$policy"' EXIT
fi
install_missing() { apt-get install -y -q --no-install-recommends "${missing[@]}" </dev/null >"$log" 2>&1; }
if ! { apt-get update -q </dev/null >"$log" 2>&1 && install_missing; }; then
  tail -n 15 "$log" >&2
  if grep -qE 'Could not resolve|Failed to fetch|Temporary failure|Unable to connect|Could not connect' "$log"; then
    fail "no package mirror could be reached: check the network, DNS and proxy of this machine (apt-get update), then run again"
  fi
  if grep -qE 'Could not get lock|Unable to acquire' "$log"; then
    fail "another package manager is at work; wait for it to end, then run again"
  fi
  fail "apt-get did not succeed; its last lines are above"
fi
