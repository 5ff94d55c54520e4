//! Why bytes are not a valid activation block (or certificate) for a chip.

/// Why a block or certificate is refused. [`Refusal::number`] is stable, for firmware that has no
/// room for texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The caller's product, family or UID is empty or longer than the format can hold.
    #[error("the chip to check for has an empty or overlong product, family or UID")]
    ClaimUnusable,
    /// Not the fixed number of bytes.
    #[error("an activation block or certificate has a fixed size; {found} bytes were given")]
    WrongSize {
        /// Bytes given.
        found: usize,
    },
    /// The magic bytes are missing: something else lies here.
    #[error("these bytes are no activation block or certificate")]
    NotOurs,
    /// A version this reader does not know.
    #[error("activation format version {version} is not known to this reader")]
    UnknownVersion {
        /// The version byte found.
        version: u8,
    },
    /// A signature scheme this reader does not know.
    #[error("activation signature scheme {scheme} is not known to this reader")]
    UnknownScheme {
        /// The scheme byte found.
        scheme: u8,
    },
    /// A field is outside its allowed values: a length too long, padding that is not zero.
    #[error("a field of the activation block or certificate is malformed")]
    Malformed,
    /// Certified for another product.
    #[error("the activation belongs to another product")]
    OtherProduct,
    /// Made for another chip family.
    #[error("the activation belongs to another chip family")]
    OtherFamily,
    /// Made for another chip.
    #[error("the activation belongs to another chip")]
    OtherChip,
    /// The code in the block is not the code of this chip.
    #[error("the activation code in the block is not this chip's code")]
    OtherCode,
    /// The index is not below the allotment's quota.
    #[error("activation index {index} is not within the allotment's quota of {quota}")]
    IndexBeyondQuota {
        /// Index in the block, counted from 0.
        index: u32,
        /// Indices the allotment holds.
        quota: u32,
    },
    /// No given product key signed the certificate.
    #[error("the allotment certificate is not signed by a key of this product")]
    CertificateNotSigned,
    /// The certified station key did not sign the block.
    #[error("the activation block is not signed by the station its certificate names")]
    BlockNotSigned,
    /// A block of another mode than the one asked for.
    #[error("the activation block is of mode {mode}, which is not the mode asked for")]
    OtherMode {
        /// The mode byte found; [`Mode::of`](crate::Mode::of) names it.
        mode: u8,
    },
    /// No given secret made the block's MAC.
    #[error("the activation block's MAC was not made with a secret of this product")]
    MacWrong,
}

impl Refusal {
    /// A stable number, never reused: what firmware reports where a text does not fit. 1 to 15.
    #[must_use]
    pub const fn number(&self) -> u8 {
        match self {
            Self::ClaimUnusable => 1,
            Self::WrongSize { .. } => 2,
            Self::NotOurs => 3,
            Self::UnknownVersion { .. } => 4,
            Self::UnknownScheme { .. } => 5,
            Self::Malformed => 6,
            Self::OtherProduct => 7,
            Self::OtherFamily => 8,
            Self::OtherChip => 9,
            Self::OtherCode => 10,
            Self::IndexBeyondQuota { .. } => 11,
            Self::CertificateNotSigned => 12,
            Self::BlockNotSigned => 13,
            Self::OtherMode { .. } => 14,
            Self::MacWrong => 15,
        }
    }
}
