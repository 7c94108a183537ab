#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds everything and runs every test, on a bare Debian 12 as root. Ends with ctest's summary over all of it.
# Usage: tests/run.sh [--quick | --ci | --list] [-R REGEX]
#   --ci       everything, at the sizes that continuous integration runs (the default)
#   --quick    lint and unit tests of the everyday build only; no root, no packages installed
#   --list     name the tests that would run, after building them
#   -R REGEX   only tests whose name matches
# Environment: JOBS (default: processors), FUZZ_SECONDS (default 30, for each fuzzer).
# Exit: 0 all tests passed and none was skipped; 1 otherwise; 2 usage.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
top=$PWD
jobs=${JOBS:-$(nproc)}
fuzz_seconds=${FUZZ_SECONDS:-30}
mode=ci
only=()

usage() { sed -n '3,11s/^# \{0,1\}//p' "$top/tests/run.sh"; }
while [ $# -gt 0 ]; do
  case $1 in
    --quick) mode=quick ;;
    --ci) mode=ci ;;
    --list) mode=list ;;
    -R) only=(-R "${2:?}"); shift ;;
    -h | --help) usage; exit 0 ;;
    *) echo "tests/run.sh: unknown argument '$1'" >&2; usage >&2; exit 2 ;;
  esac
  shift
done

stage() { printf '\n=== %s (%s s)\n' "$1" "$SECONDS"; }

build() {  # PRESET [CMAKE ARGUMENT...]: quiet unless it fails
  local preset=$1 log=$top/build/$1.log
  shift
  stage "build $preset"
  mkdir -p "$top/build"
  if ! { cmake --preset "$preset" "$@" && cmake --build --preset "$preset" -j "$jobs"; } >"$log" 2>&1; then
    grep -nE 'error|FAILED|undefined reference' "$log" | head -n 40
    tail -n 30 "$log"
    echo "tests/run.sh: build of preset '$preset' failed; whole log: $log" >&2
    exit 1
  fi
}

# One CTest directory over all builds, so that one summary covers them. clang-tidy sees what the last commits changed;
# all of the tree takes it half an hour on two cores: cmake --workflow --preset tidy.
write_suite() {  # BUILD DIRECTORY...
  mkdir -p "$top/build/all"
  {
    echo "# Written by tests/run.sh."
    for dir in "$@"; do echo "subdirs(\"$dir\")"; done
    if [ "$mode" != quick ]; then
      echo "add_test(tidy \"$top/tests/lint/tidy_changed.sh\")"
      echo "set_tests_properties(tidy PROPERTIES TIMEOUT 900 LABELS lint)"
    fi
  } >"$top/build/all/CTestTestfile.cmake"
}

# Anything that did not run fails the whole: a test that skips itself proves nothing.
check_all_ran() {  # JUNIT FILE
  python3 - "$1" <<'PY'
import sys
import xml.etree.ElementTree as tree
cases = tree.parse(sys.argv[1]).getroot().findall("testcase")
idle = [c.get("name") for c in cases if c.find("skipped") is not None or c.get("status") in ("notrun", "disabled")]
if idle:
    print("tests/run.sh: these tests did not run, which counts as a failure:", *idle, sep="\n  ", file=sys.stderr)
if not cases:
    print("tests/run.sh: no test ran", file=sys.stderr)
sys.exit(1 if idle or not cases else 0)
PY
}

if [ "$mode" = quick ]; then
  build dev
  write_suite "$top/build/dev"
  labels=(-LE 'bpf|e2e|bench')
else
  if [ "$(id -u)" != 0 ]; then
    echo "tests/run.sh: root is needed: it installs packages, loads eBPF programs and makes network namespaces" >&2
    echo "  (without root: tests/run.sh --quick)" >&2
    exit 1
  fi
  stage "packages"
  deploy/install-packages.sh build test
  build dev
  build asan -DCULPRIT_FUZZ_SECONDS="$fuzz_seconds"
  build tsan
  write_suite "$top/build/dev" "$top/build/asan" "$top/build/tsan"
  labels=(-LE bench)
fi

if [ "$mode" = list ]; then
  exec ctest --test-dir "$top/build/all" "${labels[@]}" "${only[@]}" -N
fi
stage "tests"
junit=$top/build/all/junit.xml
export CULPRIT_SECOND_TRIES=$top/build/all/second_tries.txt
rm -f "$junit" "$CULPRIT_SECOND_TRIES"
status=0
# Quick cases that pass are not worth a line each; everything else is, as it happens.
ctest --test-dir "$top/build/all" "${labels[@]}" "${only[@]}" -j "$jobs" --output-on-failure --no-label-summary \
  --output-junit "$junit" </dev/null 2>&1 |
  awk -v second="$CULPRIT_SECOND_TRIES" '
    /^ +Start +[0-9]+:/ || / Passed +[0-9]\.[0-9]+ sec$/ { next }
    / tests passed, / { while ((getline name < second) > 0) print "needed a second try: " name }
    { print; fflush() }' || status=$?
check_all_ran "$junit" || status=1
exit "$status"
