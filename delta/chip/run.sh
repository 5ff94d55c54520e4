#!/bin/sh
# Applies a patch on QEMU, built for Armv6-M (Cortex-M0) and Armv7-M (Cortex-M3/M4), and prints what it took.
# Usage: run.sh OLD PATCH [FEATURES]      FEATURES: all (default), thumb; with ,in-place the patch goes over OLD
# Needs the Debian packages rustc-web, cargo-web, rust-web-src, lld, binutils and qemu-system-arm.
set -eu
DELTA_OLD=$(realpath "$1")
DELTA_PATCH=$(realpath "$2")
export DELTA_OLD DELTA_PATCH
features=${3:-all}
cd "$(dirname "$0")"
RUSTFLAGS="-C linker=ld.lld -C linker-flavor=ld.lld -C link-arg=-Tlink.x -Z location-detail=none"
RUSTFLAGS="$RUSTFLAGS --cfg sha2_backend_soft=\"compact\""
export RUSTFLAGS RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
# Another compiler than that of whoever calls: nothing of that one's settings.
unset RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER LD_LIBRARY_PATH
for target in thumbv6m-none-eabi thumbv7m-none-eabi; do
    /usr/bin/cargo build --quiet --release --locked --target "$target" --no-default-features --features "$features"
    elf=${CARGO_TARGET_DIR:-target}/$target/release/delta-chip
    # The program's own parts: start-up, printing, and the division that only printing needs.
    harness='<delta_chip::flash::Chip( as|>::)|delta_chip::(print|paint|used_bytes|copy$|semihosting|__cortex|main)|Reset|__pre_init|SysTick|DefaultHandler|HardFault|main$|_div_rem|udiv'
    nm -S -C "$elf" | awk '$3 ~ /^[tT]$/' | grep -vE "$harness" | cut -d ' ' -f 2 | {
        total=0
        while read -r hex; do total=$((total + 0x$hex)); done
        echo "$target, $features: $total bytes of code, $(nm "$elf" | grep -c panicking || true) panic functions"
    }
    machines=mps2-an385
    [ "$target" = thumbv6m-none-eabi ] || machines="$machines mps2-an386"
    for machine in $machines; do
        echo "$machine:"
        timeout 300 qemu-system-arm -machine "$machine" -nographic -semihosting -icount shift=0 -kernel "$elf" </dev/null
    done
done
