#!/usr/bin/env bash
# Usage, in the repository after npm ci: docker/install-tfjs.sh cpu
#
# Installs @tensorflow/tfjs-node without its install script, which fetches an old libtensorflow from a host of its
# own: PyPI's wheel carries the same C API, and the addon is two source files of the npm package. Linux x86-64;
# needs g++ and python3 with pip. With npm_config_omit=dev it leaves development packages out, as npm ci does.
set -euo pipefail

TFJS=4.22.0
NODE_API_HEADERS=1.9.0
TENSORFLOW=2.15.1
SHA256=54660c074d7241a503e81edfd9f5ef5af88f64051b72e2945f26318c790f2d26

case "${1:-}" in
  cpu) ;;
  gpu) echo "gpu: not built yet; npm install @tensorflow/tfjs-node-gpu brings its own, for CUDA 11" >&2; exit 1 ;;
  *) echo "usage: $0 cpu" >&2; exit 1 ;;
esac
[ "$(uname -sm)" = "Linux x86_64" ] || { echo "$0: Linux on x86-64 only, this is $(uname -sm)" >&2; exit 1; }

package=$PWD/node_modules/@tensorflow/tfjs-node
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# --save-prod: as the optional peer that package.json calls it, npm would leave the package itself out.
npm install --no-save --save-prod --ignore-scripts --no-audit --no-fund \
  "@tensorflow/tfjs-node@$TFJS" "node-api-headers@$NODE_API_HEADERS"

# The tags name the wheel, not the Python at hand: nothing of it is ever imported.
echo "tensorflow-cpu==$TENSORFLOW --hash=sha256:$SHA256" > "$work/requirements.txt"
python3 -m pip download --quiet --no-deps --require-hashes --only-binary=:all: \
  --implementation cp --python-version 3.11 --abi cp311 --platform manylinux2014_x86_64 \
  --requirement "$work/requirements.txt" --dest "$work"

rm -rf "$package/deps" "$package/lib"
mkdir -p "$package/deps/lib" "$package/lib/napi-v8"
python3 - "$work"/tensorflow_cpu-*.whl "$work" <<'PY'
import re, sys, zipfile
wheel, out = sys.argv[1:]
wanted = re.compile(r"tensorflow/(libtensorflow_(cc|framework)\.so\.2|include/(tensorflow|tsl)/(c/|(core/)?platform/ctstring).*\.h)")
with zipfile.ZipFile(wheel) as z:
    z.extractall(out, [name for name in z.namelist() if wanted.fullmatch(name)])
PY
mv "$work/tensorflow/include" "$package/deps/include"
mv "$work"/tensorflow/libtensorflow_*.so.2 "$package/deps/lib/"
strip --strip-unneeded "$package"/deps/lib/*

# What the package's binding.gyp says: two sources, two libraries, found beside the addon.
g++ -std=c++17 -O2 -w -fPIC -shared -DNAPI_VERSION=8 \
  -I node_modules/node-api-headers/include -I "$package/deps/include" \
  "$package/binding/tfjs_backend.cc" "$package/binding/tfjs_binding.cc" \
  -o "$package/lib/napi-v8/tfjs_binding.node" \
  -L "$package/deps/lib" -l:libtensorflow_cc.so.2 -l:libtensorflow_framework.so.2 \
  -Wl,-rpath,'$ORIGIN/../../deps/lib'

TF_CPP_MIN_LOG_LEVEL=2 node -e '
const tf = require("@tensorflow/tfjs-node");
const [corner, , , , , inside] = tf.conv2d(tf.ones([1, 4, 4, 2]), tf.ones([3, 3, 2, 1]), 1, "same").dataSync();
if (corner !== 8 || inside !== 18) throw new Error("TensorFlow computes nonsense");
console.log("tfjs-node", tf.version["tfjs-node"], "on TensorFlow", tf.backend().binding.TF_Version);'
