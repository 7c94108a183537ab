#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The long form of tests/e2e/86_snapshot_fetch.py: campaign_snapshot_kill.sh [ROUNDS [SEED]], 100 rounds by default: link, sensor, sender or collector
# broken at a random byte of a snapshot on its way. As root; binaries of the everyday build unless CULPRIT_BIN names others.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export CULPRIT_BIN=${CULPRIT_BIN:-$PWD/build/dev/bin} PYTHONDONTWRITEBYTECODE=1
exec python3 tests/e2e/86_snapshot_fetch.py "${1:-100}" ${2:+"$2"}
