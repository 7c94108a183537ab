#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs one libFuzzer binary from its seed corpus for some seconds: run_fuzzer.sh BINARY SEED_DIR SECONDS
# New inputs go to a scratch folder; a crash leaves its input there and its path on the output.
set -euo pipefail
binary=$1 seeds=$2 seconds=$3
if ! [ -d "$seeds" ] || [ -z "$(ls -A "$seeds")" ]; then
  echo "no seed corpus in $seeds" >&2
  exit 1
fi
scratch=$(mktemp -d)
cd "$scratch"
"$binary" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 "$scratch" "$seeds"
rm -rf "$scratch"
