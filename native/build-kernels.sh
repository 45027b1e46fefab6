#!/bin/sh
# Compiles src/main/cuda to PTX: build-kernels.sh OUTPUT_DIR
#
# Files in cuda/ become compute_80 PTX, files in cuda/sm90a/ compute_90a PTX. Without nvcc the build goes on without kernels.
# A kernel is rebuilt when its source or any header is newer than its PTX.
set -eu
out=$1
src=$(cd "$(dirname "$0")" && pwd)/src/main/cuda
mkdir -p "$out"

find_nvcc() {
  for candidate in "${GATUN_NVCC:-}" "${CUDA_HOME:+$CUDA_HOME/bin/nvcc}" "${CUDA_PATH:+$CUDA_PATH/bin/nvcc}" \
    "$(command -v nvcc || true)" /usr/local/cuda/bin/nvcc /opt/cuda/bin/nvcc; do
    if [ -n "$candidate" ] && [ -x "$candidate" ]; then
      echo "$candidate"
      return
    fi
  done
}

nvcc=
[ "${GATUN_NATIVE_SKIP:-false}" = true ] || nvcc=$(find_nvcc)
if [ -z "$nvcc" ]; then
  if [ "${GATUN_NATIVE_REQUIRE:-false}" = true ]; then
    echo "nvcc not found: install the CUDA Toolkit 13 or pass -Dgatun.nvcc=/path/to/nvcc" >&2
    exit 1
  fi
  echo "NOTICE: nvcc not found (or gatun.native.skip=true): building without GPU kernels; training runs on the CPU only"
  rm -f "$out"/*.ptx
  echo "kernels=absent" >"$out/kernels.properties"
  exit 0
fi

compile() { # source, target architecture, output name
  if [ -f "$out/$3" ] && [ -z "$(find "$1" "$src" -name '*.cuh' -newer "$out/$3" -o -path "$1" -newer "$out/$3")" ]; then
    return
  fi
  echo "nvcc $2 $(basename "$1")"
  "$nvcc" -ptx -O3 -std=c++17 --Werror all-warnings -I "$src/include" -arch="$2" -o "$out/$3.part" "$1"
  mv "$out/$3.part" "$out/$3"
}

for file in "$src"/*.cu; do
  [ -f "$file" ] || continue
  compile "$file" compute_80 "$(basename "$file" .cu).ptx"
done
for file in "$src"/sm90a/*.cu; do
  [ -f "$file" ] || continue
  compile "$file" compute_90a "$(basename "$file" .cu).sm90a.ptx"
done
echo "kernels=present" >"$out/kernels.properties"
