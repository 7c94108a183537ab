#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The change log in the name of one of the packages that are made of this source, compressed:  changelog_of.sh PACKAGE
set -eu
sed "s/^culprit (/$1 (/" "$(dirname "$0")/changelog" | gzip -9nc
