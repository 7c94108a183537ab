#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# clang-tidy, as error, over the sources that the last commits changed: tidy_changed.sh [COMMITS] [FILES]
# At most FILES files (default 6) of the last COMMITS commits (default 3). Needs the everyday build's compile commands.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
commits=${1:-3}
most=${2:-6}
base=$(git rev-parse --quiet --verify "HEAD~$commits" || git rev-list --max-parents=0 HEAD | tail -n 1)
mapfile -t files < <(git diff --name-only --diff-filter=d "$base" HEAD -- 'common/*.cc' 'agent/*.cc' 'collector/*.cc' |
  head -n "$most")
if [ ${#files[@]} = 0 ]; then
  echo "no source changed since $base"
  exit 0
fi
printf '%s\n' "${files[@]}"
clang-tidy --quiet -p build/dev --extra-arg=-Wno-unknown-warning-option "${files[@]}"
