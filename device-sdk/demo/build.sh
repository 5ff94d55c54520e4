#!/bin/sh
# Builds the demo firmware and writes demo-lamp-<version>.hex beside this script.
# Usage: build.sh [VERSION...]   (default: 1.0.0 1.1.0)
# Needs the Debian packages rustc-web, cargo-web, rust-web-src, lld and binutils.
set -eu
cd "$(dirname "$0")"
here=$(pwd)
cargo_home=${CARGO_HOME:-$HOME/.cargo}
[ $# -gt 0 ] || set -- 1.0.0 1.1.0

# No path of the building machine and no order that depends on one may reach the image.
RUSTFLAGS="-C linker-flavor=ld.lld -C link-arg=-Tlink.x -C link-arg=--build-id=none"
RUSTFLAGS="$RUSTFLAGS -Z location-detail=none"
RUSTFLAGS="$RUSTFLAGS --remap-path-prefix=$here=demo --remap-path-prefix=$cargo_home=cargo"
export RUSTFLAGS
export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1

for version in "$@"; do
    DEMO_LAMP_VERSION=$version /usr/bin/cargo build --release --locked
    elf=target/thumbv6m-none-eabi/release/demo-lamp
    objcopy -I elf32-little -O ihex "$elf" "demo-lamp-$version.hex"
    echo "demo-lamp-$version.hex: $(wc -c < "demo-lamp-$version.hex") bytes," \
        "sha256 $(sha256sum < "demo-lamp-$version.hex" | cut -d' ' -f1)"
done
