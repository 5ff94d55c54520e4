#!/bin/sh
# Builds every check for a Cortex-M0 in both profiles, runs it on QEMU and prints what it took.
# Usage: run.sh [fast|small]   (default: both)
# Needs the Debian packages rustc-web, cargo-web, rust-web-src, lld, binutils and qemu-system-arm.
set -eu
cd "$(dirname "$0")"
. ../profiles.sh
[ $# -gt 0 ] || set -- fast small
target=thumbv6m-none-eabi

# build PROFILE FEATURES: the program, and the bytes of flash it takes.
build() {
    /usr/bin/cargo build --quiet --locked --target "$target" -Z build-std=core \
        --profile "$1" --features "$2"
    elf=${CARGO_TARGET_DIR:-target}/$target/$1/activation-chip
    bytes=$(size -A "$elf" | awk '$1 == ".text" || $1 == ".rodata" || $1 == ".data" { n += $2 } END { print n }')
}

for profile in "$@"; do
    profile_flags "$profile"
    RUSTFLAGS="$RUSTFLAGS -C linker=ld.lld -C linker-flavor=ld.lld -C link-arg=-Tlink.x"
    export RUSTFLAGS
    build "$profile" "$features"
    without=$bytes
    for check in ed25519 mac pool; do
        build "$profile" "$features $check"
        echo "$profile $check: $((bytes - without)) bytes of flash," \
            "$(nm "$elf" | grep -c panicking || true) panic functions"
        timeout 300 qemu-system-arm -machine microbit -nographic -semihosting -icount shift=0 \
            -kernel "$elf"
    done
done
