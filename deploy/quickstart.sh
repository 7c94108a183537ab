#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds Culprit, starts its collector and its agent on this machine, and shows live which process talks to whom.
# Usage: sudo deploy/quickstart.sh [OPTION...]
#   --data DIR       where everything that it makes is kept (default /var/lib/culprit-quickstart)
#   --port N         collector's port on 127.0.0.1 (default: 7443, or the next free one)
#   --identity HOW   machine | imds | auto: where the host's identity comes from (default: auto on EC2, else machine)
#   --preset NAME    which build of CMakePresets.json to make and run (default: release)
#   --detach         leave both running and return
#   --duration N     show connections for N seconds, then stop both
#   --status         say what runs, and where its data and logs are
#   --stop           stop what an earlier quickstart left running; data stays
#   --help           this text
# Without --detach both daemons are stopped when the view is left (Ctrl-C). Needs root; no systemd. The data directory
# can be deleted when nothing runs.
# Exit: 0 fine, 1 something is missing or did not start (the message says what), 2 usage.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
data=/var/lib/culprit-quickstart
port='' identity='' duration='' preset=release action=start detach=0

say() { printf 'quickstart: %s\n' "$*"; }
fail() { printf 'quickstart: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '3,17s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

parse_arguments() {
  while [ $# -gt 0 ]; do
    case $1 in
      --data | --port | --identity | --duration | --preset)
        if [ $# -lt 2 ]; then
          echo "quickstart: $1 needs a value" >&2
          exit 2
        fi
        printf -v "${1#--}" '%s' "$2"
        shift
        ;;
      --detach) detach=1 ;;
      --stop | --status) action=${1#--} ;;
      -h | --help) usage; exit 0 ;;
      *)
        echo "quickstart: unknown argument '$1'" >&2
        usage >&2
        exit 2
        ;;
    esac
    shift
  done
  bin=$top/build/$preset/bin
  case $data in
    /*) ;;
    *) data=$PWD/$data ;;
  esac
  case $data in
    / | /bin | /boot | /dev | /etc | /home | /lib | /opt | /proc | /root | /run | /sbin | /srv | /sys | /tmp | /usr | /var)
      echo "quickstart: --data $data is a directory of the system; name a new one" >&2
      exit 2
      ;;
  esac
  for value in "$port" "$duration"; do
    case $value in *[!0-9]*) echo "quickstart: '$value' is not a number" >&2; exit 2 ;; esac
  done
}

# --- processes: a pid file holds the pid and its start time, so that a pid used again is never taken for ours ---------
start_time_of() {  # PID -> clock ticks since boot, or nothing
  local stat fields
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
  read -ra fields <<<"${stat##*) }"
  [ "${fields[0]}" = Z ] || echo "${fields[19]}"
}

running() {  # NAME -> its pid, if it is alive and the one that we started
  local pid started
  [ -r "$data/run/$1.pid" ] || return 1
  read -r pid started <"$data/run/$1.pid" || return 1
  [ -n "$pid" ] && [ -n "$started" ] && [ "$(start_time_of "$pid")" = "$started" ] || return 1
  echo "$pid"
}

start_daemon() {  # NAME COMMAND...
  local name=$1 pid
  shift
  setsid "$@" </dev/null >>"$data/log/$name.log" 2>&1 9>&- &
  pid=$!
  echo "$pid $(start_time_of "$pid")" >"$data/run/$name.pid"
}

stop_daemon() {  # NAME
  local pid tries=0
  pid=$(running "$1") || { rm -f "$data/run/$1.pid"; return 0; }
  kill -TERM "$pid" 2>/dev/null || true
  while running "$1" >/dev/null; do
    tries=$((tries + 1))
    if [ "$tries" -gt 150 ]; then
      say "$1 (pid $pid) did not stop within 15 s; killing it"
      kill -KILL "$pid" 2>/dev/null || true
      break
    fi
    sleep 0.1
  done
  rm -f "$data/run/$1.pid"
}

stop_all() {
  stop_daemon agent
  stop_daemon collector
}

# --- set-up ------------------------------------------------------------------------------------------------------------
build() {
  "$top/deploy/install-packages.sh" build
  local began=$SECONDS log=$data/log/build.log
  if [ ! -f "$top/build/$preset/build.ninja" ]; then
    say "building (the first time takes some minutes on two cores; log: $log)"
  fi
  if ! {
    (cd "$top" && cmake --preset "$preset") &&
      (cd "$top" && cmake --build --preset "$preset" --target culprit-agent culprit-agent-sender culprit-agent-parser culprit-collector culprit)
  } >"$log" 2>&1; then
    grep -E 'error|FAILED' "$log" | head -n 20 >&2 || true
    fail "the build failed; whole log: $log"
  fi
  say "built in $((SECONDS - began)) s: $bin"
}

port_in_use() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

choose_port() {
  local candidate
  if [ -n "$port" ]; then
    if port_in_use "$port"; then
      fail "port $port on 127.0.0.1 is in use by another program; name another with --port, or leave --port out"
    fi
    return
  fi
  for candidate in $(seq 7443 7473); do
    if ! port_in_use "$candidate"; then
      [ "$candidate" = 7443 ] || say "port 7443 is in use by another program; taking $candidate"
      port=$candidate
      return
    fi
  done
  fail "no free port between 7443 and 7473 on 127.0.0.1; name one with --port"
}

# Reads the board's name; asks nothing over the network.
on_ec2() { grep -qi '^Amazon EC2' /sys/class/dmi/id/sys_vendor /sys/class/dmi/id/board_vendor 2>/dev/null; }

write_configuration() {
  if [ -z "$identity" ]; then
    if on_ec2; then identity=auto; else identity=machine; fi
  fi
  cat >"$data/collector.toml" <<TOML
# Written by quickstart.sh; overwritten at its next start.
listen = "127.0.0.1:$port"
data_dir = "$data/collector"
pki_dir = "$data/pki"
# What is tried out takes no snapshot of the machine by itself.
[snapshot]
on_finding = "off"
TOML
  cat >"$data/agent.toml" <<TOML
# Written by quickstart.sh; overwritten at its next start.
state_dir = "$data/agent"
[collector]
address = "127.0.0.1:$port"
ca = "$data/agent-credentials/ca.pem"
certificate = "$data/agent-credentials/agent.pem"
key = "$data/agent-credentials/agent.key"
[identity]
source = "$identity"
TOML
}

make_certificates() {
  local log=$data/log/pki.log
  "$bin/culprit-collector" init --dir "$data/pki" >"$log" 2>&1 || { cat "$log" >&2; fail "could not make certificates"; }
  if [ ! -f "$data/agent-credentials/agent.key" ]; then
    "$bin/culprit-collector" issue agent "$(uname -n | tr -cs 'A-Za-z0-9._\n-' -)" --pki "$data/pki" \
      --out "$data/agent-credentials" >"$log" 2>&1 || { cat "$log" >&2; fail "could not make the agent's certificate"; }
  fi
}

# The operator's command with this quickstart's collector and credential.
culprit() { "$bin/culprit" --collector "127.0.0.1:$port" --credentials "$data/pki" "$@"; }

await() {  # NAME SECONDS CONDITION...: until the condition holds; fails as soon as the daemon has ended
  local name=$1 deadline=$((SECONDS + $2))
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ! running "$name" >/dev/null || [ "$SECONDS" -ge "$deadline" ]; then
      tail -n 15 "$data/log/$name.log" >&2
      stop_all
      fail "the $name did not start; its last words are above, its log is $data/log/$name.log"
    fi
    sleep 0.1
  done
}

host_seen() { culprit hosts --json | grep -q online; }

start_all() {
  choose_port
  write_configuration
  make_certificates
  echo "$port" >"$data/run/port"
  : >"$data/log/collector.log"
  : >"$data/log/agent.log"
  start_daemon collector "$bin/culprit-collector" run --config "$data/collector.toml"
  await collector 20 port_in_use "$port"
  start_daemon agent "$bin/culprit-agent" run --config "$data/agent.toml"
  await agent 30 host_seen
  say "collector (pid $(running collector)) on 127.0.0.1:$port and agent (pid $(running agent)) are up; data: $data"
}

show_commands() {
  local with="--collector 127.0.0.1:$port --credentials $data/pki"
  cat <<TEXT
Look:  $bin/culprit $with top
       $bin/culprit $with flows --follow
       $bin/culprit $with flows --group-by process
Stop:  $top/deploy/quickstart.sh --data $data --stop
TEXT
}

view() {
  local command=(flows --follow) status=0
  if [ -t 1 ] && [ -z "$duration" ]; then
    command=(top)
  fi
  if [ -n "$duration" ]; then
    timeout --foreground --signal=INT "$duration" "$bin/culprit" --collector "127.0.0.1:$port" \
      --credentials "$data/pki" "${command[@]}" || status=$?
    [ "$status" = 124 ] || [ "$status" = 130 ] || return "$status"
  else
    culprit "${command[@]}" || true
  fi
}

start() {
  mkdir -p "$data"/{run,log}
  chmod 700 "$data"
  exec 9>"$data/run/lock"
  flock -n 9 || fail "another quickstart is at work in $data"
  build
  if running collector >/dev/null && running agent >/dev/null; then
    port=$(cat "$data/run/port")
    say "already running; data: $data"
  else
    stop_all
    start_all
  fi
  if [ "$detach" = 1 ]; then
    show_commands
    return 0
  fi
  trap 'stop_all; say "stopped; data stays in $data"' EXIT
  trap 'exit 0' INT TERM HUP
  view
}

status() {
  local name
  for name in collector agent; do
    if running "$name" >/dev/null; then
      say "$name runs (pid $(running "$name")), log: $data/log/$name.log"
    else
      say "$name does not run"
    fi
  done
  if running agent >/dev/null; then
    port=$(cat "$data/run/port")
    show_commands
    "$bin/culprit-agent" status --config "$data/agent.toml" || true
  fi
}

parse_arguments "$@"
if [ "$(id -u)" != 0 ]; then
  fail "root is needed (packages, eBPF, reading other users' processes): sudo $0 $*"
fi
case $action in
  start) start ;;
  stop)
    if running agent >/dev/null || running collector >/dev/null; then
      stop_all
      say "stopped; data stays in $data"
    else
      stop_all
      say "nothing runs from $data"
    fi
    ;;
  status) status ;;
esac
