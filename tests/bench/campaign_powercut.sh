#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The long form of tests/e2e/22_powercut.py: campaign_powercut.sh [ROUNDS [SEED]], 20 rounds by default. As root; binaries of the
# everyday build unless CULPRIT_BIN names others.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export CULPRIT_BIN=${CULPRIT_BIN:-$PWD/build/dev/bin} PYTHONDONTWRITEBYTECODE=1
exec python3 tests/e2e/22_powercut.py "${1:-20}" ${2:+"$2"}
