#!/bin/sh
# Builds libflashline.a for a chip in one of two profiles and says where it lies.
# Usage: build.sh [fast|small] [TARGET]   (default: small thumbv6m-none-eabi)
# Needs the Debian packages rustc-web, cargo-web and rust-web-src.
set -eu
cd "$(dirname "$0")/staticlib"
. ../profiles.sh
profile=${1:-small}
target=${2:-thumbv6m-none-eabi}
profile_flags "$profile"
/usr/bin/cargo build --quiet --locked --target "$target" -Z build-std=core \
    --profile "$profile" --features "$features"
echo "${CARGO_TARGET_DIR:-device-sdk/staticlib/target}/$target/$profile/libflashline.a"
