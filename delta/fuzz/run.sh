#!/bin/sh
# Builds the fuzz targets and runs one, without cargo-fuzz.
# Usage: run.sh TARGET SECONDS [WORK]      WORK: a folder for the growing corpus, outside the repository
# Needs a C++ compiler; the unstable flags are taken by the stable compiler, too.
set -eu
target=$1
seconds=$2
work=${3:-$(mktemp -d)}
cd "$(dirname "$0")"
RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
RUSTFLAGS="$RUSTFLAGS -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
RUSTFLAGS="$RUSTFLAGS -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Ccodegen-units=1"
export RUSTC_BOOTSTRAP=1 RUSTFLAGS
triple=$(rustc -vV | sed -n 's/^host: //p')
cargo build --quiet --release --locked --target "$triple"
mkdir -p "$work/$target"
exec "${CARGO_TARGET_DIR:-target}/$triple/release/$target" "$work/$target" "corpus/$target" \
    -max_total_time="$seconds" -max_len=8192 -timeout=20 -print_final_stats=1 -artifact_prefix="$work/"
