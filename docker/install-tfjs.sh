#!/usr/bin/env bash
# Usage, in the repository after npm ci: docker/install-tfjs.sh cpu|gpu
#
# Installs @tensorflow/tfjs-node or tfjs-node-gpu without its install script, which downloads an old libtensorflow from
# another host. Instead, it takes the same C API from TensorFlow's wheel on PyPI and compiles the addon, two source files
# in the npm package. For the GPU, it also unpacks CUDA's wheels; the driver must be installed on the machine.
# Requires Linux x86-64, g++, and python3 with pip. npm_config_omit=dev omits development packages, as for npm ci.
set -euo pipefail

TFJS=4.22.0
NODE_API_HEADERS=1.9.0

case "${1:-}" in
  cpu) name=tfjs-node ;;
  gpu) name=tfjs-node-gpu ;;
  *) echo "usage: $0 cpu|gpu" >&2; exit 1 ;;
esac
[ "$(uname -sm)" = "Linux x86_64" ] || { echo "$0: Linux on x86-64 only, not $(uname -sm)" >&2; exit 1; }

wheels=$(dirname "$0")/tensorflow-$1.txt
package=$PWD/node_modules/@tensorflow/$name
# Next to the package: the GPU needs several gigabytes, too much for a /tmp that is kept in memory.
work=$(mktemp -d "$PWD/node_modules/.tfjs-XXXXXX")
trap 'rm -rf "$work"' EXIT

# --save-prod, because package.json lists the package as an optional peer, which npm would otherwise skip.
npm install --no-save --save-prod --ignore-scripts --no-audit --no-fund \
  "@tensorflow/$name@$TFJS" "node-api-headers@$NODE_API_HEADERS"

# The tags select the wheel independently of the installed Python; nothing in it is ever imported.
python3 -m pip download --quiet --no-cache-dir --no-deps --require-hashes --only-binary=:all: \
  --implementation cp --python-version 3.11 --abi cp311 --abi none --requirement "$wheels" --dest "$work"

# The libraries go to deps/lib and CUDA's to deps/nvidia, where they expect each other.
rm -rf "$package/deps" "$package/lib"
mkdir -p "$package/deps" "$package/lib/napi-v8"
python3 - "$package/deps" "$work"/*.whl <<'PY'
import os, re, shutil, sys, zipfile
deps, *wheels = sys.argv[1:]
WANTED = (
    r"tensorflow/(include/(?:tensorflow|tsl|xla/tsl)/(?:c/|(?:core/)?platform/ctstring).*\.h)",
    r"tensorflow/(libtensorflow_(?:cc|framework)\.so\.2)",
    r"(nvidia/\w+/lib/.*\.so[.\d]*|nvidia/cuda_nvcc/(?:bin/ptxas|nvvm/libdevice/.*))",
)
for wheel in wheels:
    with zipfile.ZipFile(wheel) as files:
        for name in files.namelist():
            match = next(filter(None, (re.fullmatch(pattern, name) for pattern in WANTED)), None)
            if not match: continue
            path = os.path.join(deps, "lib" * match[1].startswith("lib"), match[1])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with files.open(name) as source, open(path, "wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
            os.chmod(path, 0o755)
    os.remove(wheel)
PY
strip --strip-unneeded "$package"/deps/lib/*

# As in the package's binding.gyp: two source files and two libraries, which are found relative to the addon.
g++ -std=c++17 -O2 -w -fPIC -shared -DNAPI_VERSION=8 \
  -I node_modules/node-api-headers/include -I "$package/deps/include" \
  "$package/binding/tfjs_backend.cc" "$package/binding/tfjs_binding.cc" \
  -o "$package/lib/napi-v8/tfjs_binding.node" \
  -L "$package/deps/lib" -l:libtensorflow_cc.so.2 -l:libtensorflow_framework.so.2 \
  -Wl,-rpath,'$ORIGIN/../../deps/lib'

TF_CPP_MIN_LOG_LEVEL=2 TF_FORCE_GPU_ALLOW_GROWTH=true node - "$1" "$name" <<'JS'
const [, , kind, name] = process.argv;
require("util").isNullOrUndefined ??= (value) => value == null; // removed in Node 23, but called by tfjs-node
const tf = require(`@tensorflow/${name}`);
const [corner, , , , , inside] = tf.conv2d(tf.ones([1, 4, 4, 2]), tf.ones([3, 3, 2, 1]), 1, "same").dataSync();
if (corner !== 8 || inside !== 18) throw new Error("TensorFlow returned a wrong convolution");
const { binding, isUsingGpuDevice } = tf.backend();
const where = isUsingGpuDevice
  ? "runs on a GPU"
  : kind === "cpu"
    ? "runs on the CPU"
    : "found no GPU and runs on the CPU; it uses a GPU that nvidia-smi lists (docker run --gpus all)";
console.log(`${name} ${tf.version["tfjs-node"] ?? tf.version.tfjs} on TensorFlow ${binding.TF_Version}: ${where}`);
JS
