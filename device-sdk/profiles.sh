# Read by build.sh and chip/run.sh: the compiler, and what makes the two profiles.
export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1

# profile_flags PROFILE: sets RUSTFLAGS and features.
profile_flags() {
    RUSTFLAGS="-Z location-detail=none"
    features=
    case $1 in
    fast) features=fast ;;
    small) RUSTFLAGS="$RUSTFLAGS --cfg sha2_backend_soft=\"compact\"" ;;
    *)
        echo "the profiles are fast and small, not '$1'" >&2
        exit 2
        ;;
    esac
    export RUSTFLAGS
}
