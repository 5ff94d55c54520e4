//! How large anything may be. Every parser of this room asks here before it believes a length.

/// Plain bytes sealed into one chunk unless the packer says otherwise.
pub const CHUNK_BYTES: u32 = 64 * 1024;
/// The smallest chunk a manifest may name.
pub const CHUNK_BYTES_MIN: u32 = 16;
/// The largest chunk a manifest may name.
pub const CHUNK_BYTES_MAX: u32 = 4 * 1024 * 1024;
/// What sealing adds to a chunk: the AES-GCM tag.
pub const TAG_BYTES: usize = 16;
/// Plain bytes of one image.
pub const IMAGE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// An image file as R&D hands it in (Intel HEX is about 2.8 characters a byte).
pub const IMAGE_FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Records in one image file: 16 bytes in each of the largest image's.
pub const IMAGE_RECORDS_MAX: usize = 16 * 1024 * 1024;
/// Entry points that one image may name.
pub const ENTRY_POINTS_MAX: usize = 4;
/// MCUboot headers that one image may show.
pub const MCUBOOT_HEADERS_MAX: usize = 8;
/// Type, length values behind one MCUboot image.
pub const MCUBOOT_TLVS_MAX: usize = 64;
/// Lines that one image may say of itself.
pub const REMARKS_MAX: usize = 64;
/// One of those lines, in bytes.
pub const REMARK_BYTES_MAX: usize = 256;
/// Images in one release.
pub const IMAGES_MAX: usize = 16;
/// Contiguous pieces in one image.
pub const SEGMENTS_MAX: usize = 4096;
/// Chunks of one image.
pub const CHUNKS_MAX: usize = 16_384;
/// Chips of one unit.
pub const CHIPS_MAX: usize = 8;
/// Memories in the map of a chip.
pub const MEMORIES_MAX: usize = 16;
/// Excluded ranges of a chip.
pub const EXCLUDES_MAX: usize = 16;
/// Hardware revisions a release may name.
pub const REVISIONS_MAX: usize = 32;
/// Product activation keys in a recipe: current and next.
pub const PRODUCT_KEYS_MAX: usize = 2;
/// The text a self-test waits for, in bytes.
pub const EXPECT_BYTES_MAX: usize = 200;
/// The longest self-test, in milliseconds.
pub const SELF_TEST_MS_MAX: u32 = 10 * 60 * 1000;
/// A manifest, in bytes.
pub const MANIFEST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A root document, in bytes.
pub const ROOT_BYTES_MAX: usize = 512_000;
/// A timestamp document, in bytes.
pub const TIMESTAMP_BYTES_MAX: usize = 16_384;
/// A snapshot document, in bytes.
pub const SNAPSHOT_BYTES_MAX: usize = 2_000_000;
/// A targets document (top level or a product's), in bytes.
pub const TARGETS_BYTES_MAX: usize = 5_000_000;
/// The document that names the lease keys, in bytes.
pub const LEASE_KEYS_BYTES_MAX: usize = 16_384;
/// The document in which a hub shows its public keys, in bytes.
pub const HUB_KEYS_BYTES_MAX: usize = 16_384;
/// The content keys of one release wrapped to the hub, in bytes.
pub const HUB_WRAP_BYTES_MAX: usize = 16_384;
/// A lease, in bytes.
pub const LEASE_BYTES_MAX: usize = 1024 * 1024;
/// Releases in one lease.
pub const LEASE_RELEASES_MAX: usize = 256;
/// Portions in one lease.
pub const LEASE_PORTIONS_MAX: usize = 256;
/// Probe kinds in one lease.
pub const LEASE_PROBE_KINDS_MAX: usize = 32;
/// An allotment certificate in a portion, in hex characters.
pub const ALLOTMENT_CHARACTERS_MAX: usize = 4096;
/// A work order's number, in bytes.
pub const ORDER_BYTES_MAX: usize = 64;
/// A roster, in bytes.
pub const ROSTER_BYTES_MAX: usize = 1024 * 1024;
/// Operators in one roster.
pub const OPERATORS_MAX: usize = 1024;
/// A line's name, in bytes.
pub const LINE_BYTES_MAX: usize = 63;
/// How far before its `issued_ms` a lease already counts: two clocks of one factory may differ.
pub const LEASE_EARLY_MS_MAX: i64 = 5 * 60 * 1000;
/// Root rotations walked from the pinned root.
pub const ROOT_ROTATIONS_MAX: u32 = 64;
/// Signatures on one document.
pub const SIGNATURES_MAX: usize = 64;
/// Keys for one role.
pub const KEYS_MAX: usize = 32;
/// Products of one tenant.
pub const PRODUCTS_MAX: usize = 4096;
/// A key file, in bytes.
pub const KEY_FILE_BYTES_MAX: u64 = 8192;
/// A recipe file, in bytes.
pub const RECIPE_FILE_BYTES_MAX: u64 = 256 * 1024;
/// Files in a publication bundle.
pub const BUNDLE_FILES_MAX: usize = IMAGES_MAX * CHUNKS_MAX;
/// All files of a publication bundle, in bytes.
pub const BUNDLE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// The largest integer our documents carry: what every JSON reader holds exactly.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;
