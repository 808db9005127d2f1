#!/usr/bin/env bash
# Builds the Dockerfile unchanged and runs the image like a locked-down pod: as its own user, as process 1, with a
# read-only root, without capabilities and without writable mounts. Then it fills a hole over HTTP, runs the health
# check, stops the service with SIGTERM, and prints the size of the image. It needs root on Debian, but no container
# engine and no image registry: docker/stand-in-base.sh builds a replacement for the base image. All files are temporary.
set -euo pipefail
cd "$(dirname "$0")/.."

PORT=${PORT:-8000}
node=$(sed -n 's/^ARG NODE=//p' Dockerfile)
version=$(sed 's/.*:\(.*\)-bookworm-slim/\1/' <<< "$node")

work=$(mktemp -d)
store=(--storage-driver vfs --root "$work/store" --runroot "$work/run")
container=
service=
cleanup() {
  [ -z "$service" ] || pkill -KILL --parent "$service" || true # process 1: the whole PID namespace ends with it
  [ -z "$container" ] || buildah "${store[@]}" umount "$container" > /dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
fail() { echo "check-image: $*" >&2; [ ! -s "$work/service.log" ] || cat "$work/service.log" >&2; exit 1; }

missing=()
for tool in buildah debootstrap jq curl; do command -v $tool > /dev/null || missing+=($tool); done
if [ ${#missing[@]} -gt 0 ]; then
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
fi

docker/stand-in-base.sh "$node" "$version" "${store[@]}"
buildah "${store[@]}" bud --isolation chroot --pull-never --format docker --tag ddpm-inpaint . > "$work/build.log" 2>&1 \
  || { cat "$work/build.log"; exit 1; }

# The configuration stored in the image.
image=$(buildah "${store[@]}" inspect --type image ddpm-inpaint)
config=$(jq .Docker.config <<< "$image")
label=$(jq -r '.Labels["org.opencontainers.image.version"]' <<< "$config")
[ "$label" = "$(jq -r .version package.json)" ] || fail "VERSION in the Dockerfile is $label, which differs from package.json"
container=$(buildah "${store[@]}" from --pull-never ddpm-inpaint)
root=$(buildah "${store[@]}" mount "$container")
for unwanted in node_modules/typescript node_modules/vitest training src; do
  [ ! -e "$root/app/$unwanted" ] || fail "the image contains $unwanted"
done
mapfile -t env < <(jq -r '.Env[]' <<< "$config")
mapfile -t command < <(jq -r '.Cmd[]' <<< "$config")
mapfile -t health < <(jq -r '.Healthcheck.Test[1:][]' <<< "$config")
IFS=: read -r uid gid < <(jq -r .User <<< "$config")
as_user=(env -i "${env[@]}" "PORT=$PORT" env --chdir "$(jq -r .WorkingDir <<< "$config")"
  setpriv --reuid "$uid" --regid "$gid" --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs)

# As a container engine does: separate namespaces (except the network) and a read-only root.
unshare --mount --pid --ipc --uts --fork --kill-child bash -ec '
  root=$1
  mount --bind "$root" "$root"
  mount -t proc proc "$root/proc"
  mount -t tmpfs -o mode=755 tmpfs "$root/dev"
  for device in null zero full random urandom; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
  done
  mount --rbind /sys "$root/sys"
  mount -o remount,bind,ro "$root"
  exec chroot "$@"' bash "$root" "${as_user[@]}" "${command[@]}" > "$work/service.log" 2>&1 &
service=$!
inside() { nsenter --target "$(pgrep --parent $service)" --mount --pid --root -- "${as_user[@]}" "$@"; }
for _ in $(seq 240); do
  curl -sf "http://localhost:$PORT/health/ready" > /dev/null && break
  kill -0 $service 2> /dev/null || fail "the service did not start"
  sleep 0.5
done

first=$(inside sh -c 'id -u; tr "\0" " " < /proc/1/cmdline; grep -E "^(CapEff|NoNewPrivs)" /proc/1/status' | tr -s '\n\t' ' ')
[ "$first" = "$uid ${command[*]} CapEff: 0000000000000000 NoNewPrivs: 1 " ] || fail "process 1 runs as: $first"
[ "$uid" != 0 ] || fail "it runs as root"
! inside sh -c 'touch /app/x 2> /dev/null || touch /tmp/x 2> /dev/null' || fail "the root file system is writable"
inside "${health[@]}" || fail "the health check failed"

# The first curl of the README.
curl -sf "http://localhost:$PORT/v1/inpaint" \
  -F image=@examples/face-1.png -F mask=@examples/mask-1.png -F seed=7 -o "$work/filled.png" || fail "the hole was not filled"
# The largest accepted picture, interlaced with 16 bits per channel: 200 MB, decoded without a temporary file.
node -e '
  require("sharp")({ create: { width: 5000, height: 5000, channels: 4, background: "#aa8866" } })
    .toColourspace("rgb16").png({ compressionLevel: 1, progressive: true }).toFile(process.argv[1])' "$work/large.png"
status=$(curl -s "http://localhost:$PORT/v1/diffuse" -F image=@"$work/large.png" -F timesteps=10 -o "$work/large.json" -w '%{http_code}')
[ "$status" = 200 ] || fail "a large picture got $status: $(head -c 400 "$work/large.json")"

kill -TERM "$(pgrep --parent $service)"
wait $service || fail "it exited with $? on SIGTERM"
service=
inner=$(du -sm "$root/app" | cut -f1)
all=$(du -smx "$root" | cut -f1)
echo "the image fills a hole as user $uid on a read-only root; unpacked $all MB, of which $inner MB are the service and its model"
