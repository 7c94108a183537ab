#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The long form of tests/e2e/20_kill.py: campaign_kill.sh [ROUNDS [SEED]], 200 rounds by default. As root; binaries of the
# everyday build unless CULPRIT_BIN names others.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export CULPRIT_BIN=${CULPRIT_BIN:-$PWD/build/dev/bin} PYTHONDONTWRITEBYTECODE=1
exec python3 tests/e2e/20_kill.py "${1:-200}" ${2:+"$2"}
