#!/bin/sh
# Regenerates src/ from the CUDA headers with jextract 25: JEXTRACT=/path/to/jextract regenerate.sh INCLUDE_DIR...
#
# The folders hold cuda.h, cublasLt.h, nccl.h, nvrtc.h and cudnn_graph.h; includes/*.includes list the symbols. Review the diff:
# the names and layouts are part of the contract that dev.gatun.cuda is written against.
set -eu
jextract=${JEXTRACT:?set JEXTRACT to the jextract 25 executable}
[ $# -gt 0 ] || { echo "usage: JEXTRACT=... $0 INCLUDE_DIR..." >&2; exit 2; }
cd "$(dirname "$0")"
sources=src/main/java

generate() { # header, package, class, NativeLibrary constant
  header=
  flags=
  for folder in "$@"; do
    case $folder in
      /*) flags="$flags -I $folder"; [ -n "$header" ] || [ ! -f "$folder/$1" ] || header=$folder/$1 ;;
    esac
  done
  [ -n "$header" ] || { echo "$1 is in none of the folders given (absolute paths)" >&2; exit 1; }
  rm -rf "$sources/dev/gatun/bindings/$2"
  # shellcheck disable=SC2086 -- flags are words
  "$jextract" $flags --output "$sources" --target-package "dev.gatun.bindings.$2" --header-class-name "$3" "@includes/$2.includes" "$header"
  for file in "$sources/dev/gatun/bindings/$2"/*.java; do
    perl -0pi -e 's{[ \t]*/\*\*.*?\*/\n}{}gs' "$file" # Javadoc repeats the C declarations
    # The library is opened at the first look-up, so that a constant can be read without it.
    perl -0pi -e "s{static final SymbolLookup SYMBOL_LOOKUP =.*?;}{static final SymbolLookup SYMBOL_LOOKUP = dev.gatun.bindings.NativeLibrary.$4;}s" "$file"
  done
}

generate cuda.h cuda Cuda CUDA "$@"
generate cublasLt.h cublaslt CublasLt CUBLASLT "$@"
generate nccl.h nccl Nccl NCCL "$@"
generate nvrtc.h nvrtc Nvrtc NVRTC "$@"
generate cudnn_graph.h cudnn Cudnn CUDNN "$@"
