#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Puts Culprit's agent or collector on this machine, configures it and starts it. Doing it again changes only what differs.
# Usage: install.sh agent --collector HOST:PORT --ca-fingerprint HEX [OPTION...]
#        install.sh agent --sink BUCKET[/PREFIX] --region REGION [OPTION...]
#        install.sh collector --name NAME [OPTION...]
#   --from PATH           what to install: a .deb, an .rpm, a .tar.gz of the same build, or a build directory (build/release);
#                         left out: the programs are there already, and only configuration and start are wanted
#   --collector ADDRESS   agent: where the collector listens, HOST:PORT
#   --ca-fingerprint HEX  agent: SHA-256 of the collector's CA certificate, by which it is known; the host enrols, by the join token in
#                         CULPRIT_TOKEN or --token-file FILE, or on EC2 by the instance's identity document
#   --credentials DIR     agent, instead: ca.pem, agent.pem and agent.key, as `culprit-collector issue agent NAME --out DIR` makes them
#   --sink BUCKET[/PREFIX] --region REGION
#                         agent, instead of a collector: the bucket that evidence is put into with the role of this instance; other keys of [sink] are
#                         in agent.toml
#   --name NAME           collector: a name or address by which agents dial this machine; may be repeated
#   --root DIR            install below DIR (an image); nothing is started there, and no certificate authority is made
#   --no-start            leave the unit as it is
#   --help                this text
# --collector, --ca-fingerprint and --credentials may be left out where an earlier call has set them. Runs on every distribution with systemd and
# glibc 2.34 or later (Amazon Linux 2023, Ubuntu 22.04, Debian 12). Needs root.
# Exit: 0 done, 1 something is missing or failed (the message says what), 2 usage.
set -euo pipefail
umask 022
role='' from='' collector='' credentials='' fingerprint='' sink='' region='' token=${CULPRIT_TOKEN-} root='' start=1 changed=0
names=()

say() { printf 'install: %s\n' "$*"; }
fail() { printf 'install: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '3,23s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }
wrong() {
  printf 'install: %s\n' "$*" >&2
  usage >&2
  exit 2
}

parse_arguments() {
  while [ $# -gt 0 ]; do
    case $1 in
      agent | collector)
        [ -z "$role" ] || wrong "one role only: '$role' or '$1'"
        role=$1
        ;;
      --from | --collector | --credentials | --ca-fingerprint | --token-file | --sink | --region | --name | --root)
        [ -n "${2-}" ] || wrong "$1 needs a value"
        case $1 in
          --ca-fingerprint) fingerprint=$2 ;;
          --token-file) token=$(cat "$2") || wrong "--token-file $2 cannot be read" ;;
          --name) names+=("$2") ;;
          *) printf -v "${1#--}" '%s' "$2" ;;
        esac
        shift
        ;;
      --no-start) start=0 ;;
      -h | --help) usage; exit 0 ;;
      *) wrong "unknown argument '$1'" ;;
    esac
    shift
  done
}

# What is given ends up in TOML and in file names, so it is looked at before anything is done.
check_arguments() {
  local name
  case $role in
    agent) [ ${#names[@]} = 0 ] || wrong "--name is the collector's" ;;
    collector) [ -z "$collector$credentials$fingerprint$sink" ] || wrong "--collector, --credentials, --ca-fingerprint and --sink are the agent's" ;;
    *) wrong "say what to install: agent or collector" ;;
  esac
  if [ -n "$collector" ]; then
    [[ $collector =~ ^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})$ ]] || wrong "--collector '$collector' is not HOST:PORT"
    ((10#${BASH_REMATCH[2]} >= 1 && 10#${BASH_REMATCH[2]} <= 65535)) || wrong "--collector '$collector': no such port"
  fi
  if [ -n "$sink" ]; then
    [[ $sink =~ ^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._/-]+)?$ ]] || wrong "--sink '$sink' is not BUCKET or BUCKET/PREFIX"
    [[ $region =~ ^[a-z0-9-]+$ ]] || wrong "--sink needs --region, the bucket's"
    [ -z "$collector$credentials$fingerprint" ] || wrong "evidence goes to a collector or into a sink: --collector or --sink"
  fi
  for name in "${names[@]}"; do
    [[ $name =~ ^[A-Za-z0-9._:-]+$ ]] || wrong "--name '$name' is neither a name nor an address"
  done
  if [ -n "$fingerprint" ]; then
    fingerprint=$(tr -d ': ' <<<"${fingerprint#SHA256:}" | tr A-F a-f)
    [[ $fingerprint =~ ^[0-9a-f]{64}$ ]] || wrong "--ca-fingerprint is not a SHA-256 (64 hexadecimal digits)"
  fi
  [ -z "$token" ] || [[ $token =~ ^culprit-join-[0-9a-f]{40}$ ]] || wrong "the join token is not one that \`culprit-collector token create\` made"
  if [ -n "$root" ]; then
    [ -d "$root" ] || wrong "--root $root is not a directory"
    root=$(cd "$root" && pwd)
    [ "$root" != / ] || root=''
  fi
}

# --- programs ----------------------------------------------------------------------------------------------------------
program_hash() { sha256sum "$root/usr/sbin/culprit-$role" 2>/dev/null || true; }

install_programs() {
  local before
  before=$(program_hash)
  case $from in
    '') [ -x "$root/usr/sbin/culprit-$role" ] || fail "there is no $root/usr/sbin/culprit-$role yet: say with --from what to install" ;;
    *.deb) install_deb ;;
    *.rpm) install_rpm ;;
    *.tar.gz)
      tar -tzf "$from" | grep -x "usr/sbin/culprit-$role" >/dev/null || fail "$from has no culprit-$role"
      tar -xzf "$from" -C "$root/" --no-same-owner --keep-directory-symlink
      ;;
    *)
      [ -f "$from/cmake_install.cmake" ] || fail "$from is neither a .deb, an .rpm, a .tar.gz nor a build directory"
      DESTDIR=$root cmake --install "$from" --prefix /usr --component "$role" --strip >/dev/null ||
        fail "not everything is built in $from: cmake --workflow --preset release"
      [ "$role" = agent ] || DESTDIR=$root cmake --install "$from" --prefix /usr --component cli --strip >/dev/null
      ;;
  esac
  [ "$(program_hash)" = "$before" ] || changed=1
}

install_deb() {
  local name version
  name=$(dpkg-deb -f "$from" Package) || fail "$from is not a package"
  [ "$name" = "culprit-$role" ] || fail "$from is the package $name, not culprit-$role"
  if [ -n "$root" ]; then
    dpkg-deb -x "$from" "$root"
    return
  fi
  version=$(dpkg-deb -f "$from" Version)
  if [ "$(dpkg-query -W -f='${db:Status-Abbrev}${Version}' "$name" 2>/dev/null)" = "ii $version" ]; then
    return
  fi
  # apt takes a file for what it is only by its path.
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$(realpath "$from")" </dev/null ||
    fail "apt-get could not install $from; its last lines are above (apt-get update, then again, where packages are not found)"
}

install_rpm() {
  local name
  name=$(rpm -qp --queryformat '%{NAME}' "$from" 2>/dev/null) || fail "$from is not a package, or there is no rpm here"
  [ "$name" = "culprit-$role" ] || fail "$from is the package $name, not culprit-$role"
  if [ -n "$root" ]; then
    rpm2archive - <"$from" | tar -xz -C "$root/" --no-same-owner --keep-directory-symlink || fail "$from could not be unpacked"
    return
  fi
  if [ "$(rpm -q --queryformat '%{SHA256HEADER}' "$name")" = "$(rpm -qp --queryformat '%{SHA256HEADER}' "$from" 2>/dev/null)" ]; then
    return
  fi
  if command -v dnf >/dev/null; then
    dnf install -y -q "$(realpath "$from")" </dev/null || fail "dnf could not install $from; its last lines are above"
  else
    rpm -U --replacepkgs "$from" || fail "rpm could not install $from; its last lines are above"
  fi
}

# put FILE MODE: standard input becomes FILE, if it is not so already. Not behind a pipe: what it notes in `changed` would be lost.
put() {
  local new=$1.new
  (umask 077 && cat >"$new")
  chmod "$2" "$new"
  if [ -e "$1" ] && cmp -s "$new" "$1"; then
    rm "$new"
    chmod "$2" "$1"
  else
    mv "$new" "$1"
    changed=1
  fi
}

# --- agent -------------------------------------------------------------------------------------------------------------
certificate_hash() {  # PEM -> SHA-256 of the first certificate in it
  sed -n '/^-----BEGIN CERTIFICATE-----/,/^-----END CERTIFICATE-----/p;/^-----END CERTIFICATE-----/q' "$1" | grep -v '^-----' |
    base64 -d 2>/dev/null | sha256sum | cut -d ' ' -f 1
}

check_credentials() {
  local file found
  [ -n "$credentials" ] || return 0
  for file in ca.pem agent.pem agent.key; do
    [ -s "$credentials/$file" ] || fail "$credentials/$file is missing or empty: culprit-collector issue agent NAME --out DIR makes it"
  done
  [ -n "$fingerprint" ] || return 0
  found=$(certificate_hash "$credentials/ca.pem")
  [ "$found" = "$fingerprint" ] ||
    fail "$credentials/ca.pem is of another authority: its SHA-256 is $found, expected was $fingerprint. Nothing was changed."
}

configure_agent() {
  local config=$root/etc/culprit/agent.toml file
  install -d -m 0755 "$root/etc/culprit" "$root/var/lib/culprit"
  install -d -m 0700 "$root/etc/culprit/agent" "$root/var/lib/culprit/agent"
  if [ -n "$credentials" ]; then
    for file in ca.pem agent.pem agent.key; do
      put "$root/etc/culprit/agent/$file" 0600 <"$credentials/$file"
    done
  fi
  if [ -n "$sink" ]; then
    configure_sink "$config"
    return
  fi
  [ -n "$collector" ] || return 0
  if [ ! -e "$config" ]; then
    put "$config" 0644 <<TOML
# Every key with its default and meaning: /usr/share/doc/culprit-agent/agent.toml
[collector]
address = "$collector"
TOML
    return
  fi
  awk '/^\[/ { on = /^\[collector\]/ } on && /^address *=/ { found = 1 } END { exit !found }' "$config" ||
    fail "$config has no address in [collector]; write it there: address = \"$collector\""
  put "$config" 0644 < <(sed "/^\[collector\]/,/^\[/s|^address *=.*|address = \"$collector\"|" "$config")
}

# The file `sink` is what the unit waits for where there is no key.
configure_sink() {  # FILE
  local bucket=${sink%%/*} prefix=culprit
  [ "$sink" = "$bucket" ] || prefix=${sink#*/}
  if [ ! -e "$1" ]; then
    put "$1" 0644 <<TOML
# Every key with its default and meaning: /usr/share/doc/culprit-agent/agent.toml
[sink]
bucket = "$bucket"
region = "$region"
prefix = "$prefix"
TOML
  fi
  awk -v bucket="\"$bucket\"" '/^\[/ { on = /^\[sink\]/ } on && /^bucket *=/ && $NF == bucket { found = 1 } END { exit !found }' "$1" ||
    fail "$1 is there and has no bucket = \"$bucket\" in [sink]: write it there, with region and prefix"
  put "$root/etc/culprit/agent/sink" 0600 </dev/null
}

# The key is made on this host. A collector that cannot be reached does not hold anything up: the agent watches, and goes on trying by what
# is in the file `enrol`, as it does at the first boot of an image.
enrol_agent() {
  local folder=$root/etc/culprit/agent status=0
  { [ -n "$fingerprint" ] && [ -z "$credentials" ] && [ ! -s "$folder/agent.pem" ]; } || return 0
  put "$folder/enrol" 0600 < <(
    echo "CULPRIT_CA_SHA256=$fingerprint"
    [ -z "$token" ] || echo "CULPRIT_TOKEN=$token"
  )
  [ -z "$root" ] || return 0
  CULPRIT_TOKEN=$token /usr/sbin/culprit-agent enrol --ca-fingerprint "$fingerprint" --wait 20s || status=$?
  changed=1
  if [ $status = 5 ]; then
    say "the collector cannot be reached yet: the agent goes on trying, and evidence waits in its spool"
    return
  fi
  rm -f "$folder/enrol"
  [ $status = 0 ] || fail "this host could not enrol; the reason is above"
}

agent_ready() {
  [ -s "$root/etc/culprit/agent.toml" ] && { [ -s "$root/etc/culprit/agent/agent.key" ] || [ -s "$root/etc/culprit/agent/enrol" ] || [ -e "$root/etc/culprit/agent/sink" ]; }
}

# --- collector ---------------------------------------------------------------------------------------------------------
configure_collector() {
  local config=$root/etc/culprit/collector.toml quoted
  install -d -m 0755 "$root/etc/culprit" "$root/var/lib/culprit"
  systemd-sysusers ${root:+--root="$root"} culprit-collector.conf || fail "the user culprit could not be made"
  if [ ! -e "$config" ]; then
    [ ${#names[@]} -gt 0 ] || fail "by which name or address do agents dial this machine? --name NAME"
    quoted=$(printf ', "%s"' "${names[@]}")
    put "$config" 0644 <<TOML
# Every key with its default and meaning: /usr/share/doc/culprit-collector/collector.toml
server_names = [${quoted:2}]

# Hosts enrol at this port, by join tokens (culprit-collector token create) or, where aws_accounts names theirs, by their identity document.
[enrol]
listen = "0.0.0.0:7444"
aws_accounts = []
TOML
  elif [ ${#names[@]} -gt 0 ]; then
    for quoted in "${names[@]}"; do
      grep -qF "\"$quoted\"" "$config" || fail "$config is there and does not name $quoted: add it to server_names, and see there what else to do"
    done
  fi
  [ -z "$root" ] || return 0
  install -d -m 0700 -o culprit -g culprit /var/lib/culprit/collector
  setpriv --reuid=culprit --regid=culprit --init-groups /usr/sbin/culprit-collector init >/dev/null
  say "agents need --ca-fingerprint $(certificate_hash /var/lib/culprit/collector/pki/ca.pem)"
}

collector_ready() { [ -n "$root" ] || [ -s /var/lib/culprit/collector/pki/server.key ]; }

# --- start -------------------------------------------------------------------------------------------------------------
enable_in_image() {
  local wants=$root/etc/systemd/system/multi-user.target.wants
  install -d -m 0755 "$wants"
  ln -sfn "/usr/lib/systemd/system/culprit-$role.service" "$wants/culprit-$role.service"
  say "culprit-$role is in $root and starts with it"
}

start_unit() {
  local unit=culprit-$role.service
  if ! "${role}_ready"; then
    say "installed; it waits for --collector, and for --ca-fingerprint or --credentials, or for --sink"
    return
  fi
  if [ -n "$root" ]; then
    enable_in_image
    return
  fi
  "/usr/sbin/culprit-$role" check-config >/dev/null || {
    "/usr/sbin/culprit-$role" check-config | grep '^# ERROR' >&2 || true
    fail "culprit-$role would not run with this configuration"
  }
  if [ ! -d /run/systemd/system ]; then
    say "installed; systemd does not run here, so start it yourself: culprit-$role run"
    return
  fi
  systemctl daemon-reload
  systemctl enable --quiet "$unit"
  case $changed$(systemctl is-active "$unit" || true) in
    0active | 0activating) ;;
    *) systemctl restart "$unit" || fail "it did not start: journalctl -u $unit" ;;
  esac
  say "culprit-$role runs"
}

parse_arguments "$@"
check_arguments
[ "$(id -u)" = 0 ] || fail "root is needed: sudo $0 $*"
check_credentials
install_programs
"configure_$role"
[ "$role" = collector ] || enrol_agent
if [ "$start" = 1 ]; then
  start_unit
fi
