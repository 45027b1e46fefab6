#!/bin/sh
# Compiles src/main/cuda to PTX and reports what each kernel uses: build-kernels.sh OUTPUT_DIR
#
# Files in cuda/ become compute_80 PTX, files in cuda/sm90a/ compute_90a PTX. Without nvcc the build goes on without kernels.
# A kernel is rebuilt when its source, any header or this script is newer than its PTX; two files are compiled at a time.
#
# Every PTX file is also assembled by ptxas, as the driver will do at run time: inline PTX is checked, and registers, shared
# memory, stack and spills of every kernel go to kernels.report.tsv (base PTX for sm_80 and sm_90, Hopper's for sm_90a).
set -eu

if [ "$1" != --one ]; then
  out=$(mkdir -p "$1" && cd "$1" && pwd)
  home=$(cd "$(dirname "$0")" && pwd)
  src=$home/src/main/cuda
  work=${GATUN_NATIVE_WORK:-$home/target/kernels}
  mkdir -p "$work"
fi

first_executable() { # candidates
  for candidate in "$@"; do
    if [ -n "$candidate" ] && [ -x "$candidate" ]; then
      echo "$candidate"
      return
    fi
  done
}

# Appends the lines of `ptxas -v` as "kernel module target registers shared stack spill-stores spill-loads".
report() { # log, module, target
  awk -v module="$2" -v target="$3" '
    function flush() {
      if (name != "") printf "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\n", name, module, target, registers, shared, stack, stores, loads
      name = ""; registers = shared = stack = stores = loads = 0
    }
    /Function properties for / { flush(); name = $NF }
    /bytes stack frame/ { stack = $1; stores = $5; loads = $9 }
    /Used [0-9]+ registers/ {
      for (i = 1; i <= NF; i++) {
        if ($i == "registers,") registers = $(i - 1)
        if ($i ~ /^smem/) shared = $(i - 2)
      }
    }
    END { flush() }' "$1"
}

compile() { # source, architecture, PTX file name, targets to assemble for
  ptx=$out/$3
  tables=$work/$3.tsv
  newer=$(find "$1" "$script" "$src" \( -path "$1" -o -path "$script" -o -name '*.cuh' \) -newer "$ptx" 2>/dev/null || echo stale)
  if [ -f "$ptx" ] && [ -f "$tables" ] && [ -z "$newer" ]; then
    return
  fi
  echo "nvcc $2 $(basename "$1")"
  "$nvcc" -ptx -O3 -std=c++17 --Werror all-warnings -I "$src/include" -arch="$2" -o "$work/$3" "$1"
  : >"$tables.part"
  for target in $4; do
    if ! "$ptxas" -v -O3 --warning-as-error -arch="$target" -o "$work/$3.$target.cubin" "$work/$3" >"$work/$3.log" 2>&1; then
      echo "ptxas rejects $1 for $target:" >&2
      cat "$work/$3.log" >&2
      exit 255 # makes xargs stop
    fi
    report "$work/$3.log" "${3%%.*}" "$target" >>"$tables.part"
  done
  mv "$tables.part" "$tables"
  mv "$work/$3" "$ptx"
}

if [ "$1" = --one ]; then
  case $3 in
    compute_80) compile "$2" "$3" "$4" "sm_80 sm_90" ;;
    *) compile "$2" "$3" "$4" "sm_90a" ;;
  esac
  exit
fi

nvcc=
[ "${GATUN_NATIVE_SKIP:-false}" = true ] || nvcc=$(first_executable "${GATUN_NVCC:-}" "${CUDA_HOME:+$CUDA_HOME/bin/nvcc}" \
  "${CUDA_PATH:+$CUDA_PATH/bin/nvcc}" "$(command -v nvcc || true)" /usr/local/cuda/bin/nvcc /opt/cuda/bin/nvcc)
if [ -z "$nvcc" ]; then
  if [ "${GATUN_NATIVE_REQUIRE:-false}" = true ]; then
    echo "nvcc not found: install the CUDA Toolkit 13 or pass -Dgatun.nvcc=/path/to/nvcc" >&2
    exit 1
  fi
  echo "NOTICE: nvcc not found (or gatun.native.skip=true): building without GPU kernels; training runs on the CPU only"
  rm -f "$out"/*.ptx "$out/kernels.report.tsv"
  echo "kernels=absent" >"$out/kernels.properties"
  exit 0
fi
ptxas=$(first_executable "$(dirname "$nvcc")/ptxas" "$(command -v ptxas || true)" /usr/local/cuda/bin/ptxas)
if [ -z "$ptxas" ]; then
  echo "ptxas not found beside $nvcc: the CUDA Toolkit is incomplete" >&2
  exit 1
fi

script=$home/$(basename "$0")
export out src work nvcc ptxas script
jobs=$work/jobs
for file in "$src"/*.cu; do
  [ -f "$file" ] && echo "$file compute_80 $(basename "$file" .cu).ptx"
done >"$jobs" || true
for file in "$src"/sm90a/*.cu; do
  [ -f "$file" ] && echo "$file compute_90a $(basename "$file" .cu).sm90a.ptx"
done >>"$jobs" || true

for ptx in "$out"/*.ptx; do # PTX of sources that are gone
  if [ -f "$ptx" ] && ! grep -q " $(basename "$ptx")\$" "$jobs"; then
    rm "$ptx"
  fi
done
if [ -s "$jobs" ]; then
  xargs -P 2 -n 3 sh "$script" --one <"$jobs" || exit 1
fi

report=$out/kernels.report.tsv
printf 'kernel\tmodule\ttarget\tregisters\tshared_bytes\tstack_bytes\tspill_store_bytes\tspill_load_bytes\n' >"$report.part"
while read -r _ _ name; do
  cat "$work/$name.tsv"
done <"$jobs" | LC_ALL=C sort >>"$report.part"
mv "$report.part" "$report"
# The PTX version decides which drivers can run the kernels.
version=$(cat "$out"/*.ptx 2>/dev/null | sed -n 's/^\.version //p' | sort -V | tail -n 1)
printf 'kernels=present\nptx=%s\n' "$version" >"$out/kernels.properties"
