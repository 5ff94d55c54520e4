#!/bin/sh
# Applies a patch on QEMU, built for Armv6-M (Cortex-M0) and Armv7-M (Cortex-M3), and prints what it took.
# Usage: run.sh OLD PATCH
# Needs the Debian packages rustc-web, cargo-web, rust-web-src, lld, binutils and qemu-system-arm.
set -eu
DELTA_OLD=$(realpath "$1")
DELTA_PATCH=$(realpath "$2")
export DELTA_OLD DELTA_PATCH
cd "$(dirname "$0")"
RUSTFLAGS="-C linker=ld.lld -C linker-flavor=ld.lld -C link-arg=-Tlink.x -Z location-detail=none"
RUSTFLAGS="$RUSTFLAGS --cfg sha2_backend_soft=\"compact\""
export RUSTFLAGS RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
for target in thumbv6m-none-eabi thumbv7m-none-eabi; do
    /usr/bin/cargo build --quiet --release --locked --target "$target"
    elf=${CARGO_TARGET_DIR:-target}/$target/release/delta-chip
    echo "$target: $(size -A "$elf" | awk '$1 == ".text" { print $2 }') bytes of code with start-up and printing," \
        "$(nm "$elf" | grep -c panicking || true) panic functions"
    timeout 300 qemu-system-arm -machine mps2-an385 -nographic -semihosting -icount shift=0 -kernel "$elf"
done
