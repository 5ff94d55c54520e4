#!/bin/sh
# Builds rom.bin and boot2.bin from their sources, as flash/targets/build.sh does.
set -eu
cd "$(dirname "$0")"
object=$(mktemp)
trap 'rm -f "$object"' EXIT
for name in rom boot2; do
    RUSTC_BOOTSTRAP=1 "${RUSTC:-rustc}" --edition 2024 --target thumbv6m-none-eabi --crate-type lib \
        --emit obj -C panic=abort "$name.rs" -o "$object"
    objcopy -I elf32-little -O binary -j .text "$object" "$name.bin"
    echo "$name.bin: $(wc -c < "$name.bin") bytes, sha256 $(sha256sum < "$name.bin" | cut -d' ' -f1)"
done
