#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The long form of tests/e2e/41_fork_storm.py: campaign_forkstorm.sh [PROCESSES [CONNECTED]], 100,000 and 40,000 by default. As
# root; binaries of the everyday build unless CULPRIT_BIN names others.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export CULPRIT_BIN=${CULPRIT_BIN:-$PWD/build/dev/bin} PYTHONDONTWRITEBYTECODE=1
exec python3 tests/e2e/41_fork_storm.py "${1:-100000}" "${2:-40000}"
