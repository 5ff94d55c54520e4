#!/bin/sh
# Builds resident.bin from resident.s. Needs objcopy (Debian's binutils) and any rustc of 1.90 or
# later: rustup's, or Debian's rustc-web by RUSTC=/usr/bin/rustc; both give the same bytes.
set -eu
cd "$(dirname "$0")"
object=$(mktemp)
trap 'rm -f "$object"' EXIT
RUSTC_BOOTSTRAP=1 "${RUSTC:-rustc}" --edition 2024 --target thumbv6m-none-eabi --crate-type lib \
    --emit obj -C panic=abort resident.rs -o "$object"
objcopy -I elf32-little -O binary -j .text "$object" resident.bin
echo "resident.bin: $(wc -c < resident.bin) bytes, sha256 $(sha256sum < resident.bin | cut -d' ' -f1)"
