#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# EC2 user-data (Debian, Ubuntu, Amazon Linux 2023): Culprit's agent, at the first boot. Fill in the first four values; README.md says where they
# come from. The host enrols by its instance identity document, or by CULPRIT_TOKEN. Everybody on the instance can read user-data: a token here
# should be for one use and short. A failure is in /var/log/cloud-init-output.log and in `cloud-init status`; the boot goes on. Running it again is
# harmless. The collector may be down meanwhile.
PACKAGE_URL=''      # https://…/culprit-agent_VERSION_amd64.deb, or …-VERSION-1.x86_64.rpm; on Graviton …_arm64.deb, ….aarch64.rpm
PACKAGE_SHA256=''   # its sha256sum
COLLECTOR=''        # HOST:7443
CA_SHA256=''        # as `install.sh collector` shows it
CULPRIT_TOKEN=''    # `culprit-collector token create`; empty: the identity document (enrol.aws_accounts of the collector)
CREDENTIALS_URL=''  # instead of enrolling: https://…, a .tar.gz of ca.pem, agent.pem and agent.key, good for minutes

set -u
say() { echo "culprit: $*"; }
fail() { say "NOT INSTALLED: $*"; exit 1; }

get() {  # URL FILE; the network may come up late
  curl --proto '=https,file' --fail --silent --show-error --location --max-time 300 --retry 8 --retry-all-errors -o "$2" "$1" ||
    fail "cannot fetch ${1%%\?*}"
}

for value in PACKAGE_URL PACKAGE_SHA256 COLLECTOR CA_SHA256; do
  [ -n "${!value}" ] || fail "$value is not filled in"
done
[ "$(id -u)" = 0 ] || fail "root is needed"
export DEBIAN_FRONTEND=noninteractive
work=$(mktemp -d) || fail "no temporary directory"
trap 'rm -rf "$work"' EXIT
package=${PACKAGE_URL%%\?*}
package=$work/culprit-agent.${package##*.}
if [ "${package##*.}" = rpm ]; then
  manager=dnf
else
  manager=apt-get
  apt-get update -q </dev/null || say "apt-get update failed; going on with what is known"
fi
command -v curl >/dev/null || "$manager" install -y -q curl ca-certificates </dev/null || fail "curl could not be installed"

get "$PACKAGE_URL" "$package"
echo "$PACKAGE_SHA256  $package" | sha256sum --check --status || fail "the package is not the one of PACKAGE_SHA256"
"$manager" install -y -q "$package" </dev/null || fail "$manager could not install the package"

given=(--collector "$COLLECTOR")
# Later runs keep the credentials that are there: the address of the first ones has expired.
if [ -z "$CREDENTIALS_URL" ]; then
  export CULPRIT_TOKEN
  given+=(--ca-fingerprint "$CA_SHA256")
elif [ ! -s /etc/culprit/agent/agent.key ]; then
  get "$CREDENTIALS_URL" "$work/credentials.tar.gz"
  mkdir "$work/credentials"
  tar -xzf "$work/credentials.tar.gz" -C "$work/credentials" --no-same-owner || fail "the credentials are not a .tar.gz"
  given+=(--credentials "$work/credentials" --ca-fingerprint "$CA_SHA256")
fi
/usr/share/culprit-agent/install.sh agent "${given[@]}" || fail "it could not be configured"
