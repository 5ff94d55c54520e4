//! What a refused release means to the person who packs, publishes or checks it: a code, one act.
//!
//! The one place that judges this room's errors for people. The codes are the ones a station shows
//! on its screen for the same cause, so that R&D, the hub's administrator and the line speak of the
//! same thing. Every error is matched by name: a new one does not compile until it has a meaning.

use std::error::Error;

use crate::bundle::BundleError;
use crate::canonical::DocumentError;
use crate::image::ImageError;
use crate::pack::PackError;
use crate::sealed::OpenError;
use crate::tuf::TrustError;

/// Why a release was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReleaseTrouble {
    /// Signed by too few, by strangers, too old, or not belonging together.
    NotTrusted,
    /// Bytes are missing, cut off or changed.
    Damaged,
    /// An image has bytes where the chip has no memory for them.
    ImageOutOfRange,
    /// An image was built for another chip than the recipe names.
    WrongChip,
    /// The recipe names a chip without a memory map.
    ChipNotSupported,
    /// An image file cannot be read as what it is said to be.
    ImageUnreadable,
    /// The recipe, or what was asked for, breaks a rule.
    RecipeRefused,
    /// R&D took the release back.
    Withdrawn,
    /// The machine it runs on: its disk, its source of randomness.
    Machine,
}

impl ReleaseTrouble {
    /// Every trouble.
    pub const ALL: &'static [Self] = &[
        Self::NotTrusted,
        Self::Damaged,
        Self::ImageOutOfRange,
        Self::WrongChip,
        Self::ChipNotSupported,
        Self::ImageUnreadable,
        Self::RecipeRefused,
        Self::Withdrawn,
        Self::Machine,
    ];

    /// The code, as a station shows it: `F-33`. Codes are never reused.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::WrongChip => "F-15",
            Self::NotTrusted => "F-31",
            Self::Damaged => "F-32",
            Self::ImageOutOfRange => "F-33",
            Self::Withdrawn => "F-36",
            Self::ChipNotSupported => "F-39",
            Self::ImageUnreadable => "F-71",
            Self::RecipeRefused => "F-72",
            Self::Machine => "F-79",
        }
    }

    /// The one thing to do, as a sentence.
    #[must_use]
    pub const fn act(self) -> &'static str {
        match self {
            Self::NotTrusted => "Have the product's people sign it with the tenant's own keys.",
            Self::Damaged => "Copy the bundle again from where it was packed.",
            Self::ImageOutOfRange => {
                "Link the image for this chip, or exclude the range in the recipe."
            }
            Self::WrongChip => "Take the image that was built for the recipe's chip.",
            Self::ChipNotSupported => "Write the chip's memory map into the recipe.",
            Self::ImageUnreadable => "Export the image again and name its format.",
            Self::RecipeRefused => "Change the recipe or the command where it says so.",
            Self::Withdrawn => "Publish a newer version.",
            Self::Machine => "Make room, grant access or correct the path where it says so.",
        }
    }

    /// The trouble behind an error, by the first cause in its chain that this room knows.
    #[must_use]
    pub fn behind(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(cause) = next {
            let known = None
                .or_else(|| cause.downcast_ref::<BundleError>().map(Self::from))
                .or_else(|| cause.downcast_ref::<PackError>().map(Self::from))
                .or_else(|| cause.downcast_ref::<ImageError>().map(Self::from))
                .or_else(|| cause.downcast_ref::<TrustError>().map(Self::from))
                .or_else(|| cause.downcast_ref::<OpenError>().map(Self::from))
                .or_else(|| cause.downcast_ref::<DocumentError>().map(Self::from));
            if known.is_some() {
                return known;
            }
            next = cause.source();
        }
        None
    }
}

impl From<&BundleError> for ReleaseTrouble {
    fn from(error: &BundleError) -> Self {
        match error {
            BundleError::Folder { .. } => Self::Machine,
            BundleError::StrangeFile { .. }
            | BundleError::FileTooLarge { .. }
            | BundleError::TooLarge { .. }
            | BundleError::Missing { .. }
            | BundleError::Unreadable { .. }
            | BundleError::ChunkDamaged { .. }
            | BundleError::ChunkNotNamed { .. } => Self::Damaged,
            BundleError::NotTrusted(trust) => Self::from(trust),
            BundleError::OtherWrap => Self::NotTrusted,
        }
    }
}

impl From<&TrustError> for ReleaseTrouble {
    fn from(error: &TrustError) -> Self {
        match error {
            TrustError::Missing { .. } | TrustError::Unreadable { .. } => Self::Damaged,
            TrustError::Withdrawn { .. } => Self::Withdrawn,
            TrustError::NotThePinnedRoot { .. }
            | TrustError::TooFewSignatures { .. }
            | TrustError::Expired { .. }
            | TrustError::RolledBack { .. }
            | TrustError::RootOutOfOrder { .. }
            | TrustError::Mixed { .. }
            | TrustError::Rule { .. }
            | TrustError::Verifier { .. }
            | TrustError::ThinRoot { .. }
            | TrustError::OtherTenant { .. }
            | TrustError::ForeignTarget { .. }
            | TrustError::NotNamed { .. }
            | TrustError::NotWhatItIsNamed { .. } => Self::NotTrusted,
        }
    }
}

impl From<&PackError> for ReleaseTrouble {
    fn from(error: &PackError) -> Self {
        match error {
            PackError::Image { source, .. } => Self::from(source),
            PackError::UnknownChip { .. } => Self::ChipNotSupported,
            PackError::Overlap { .. }
            | PackError::Order(_)
            | PackError::Chip { .. }
            | PackError::NoSuchChip { .. }
            | PackError::Rule(_)
            | PackError::NoCanonicalForm(_) => Self::RecipeRefused,
            PackError::NoRandom(_) | PackError::Seal(_) => Self::Machine,
        }
    }
}

impl From<&ImageError> for ReleaseTrouble {
    fn from(error: &ImageError) -> Self {
        match error {
            ImageError::OutOfRange { .. } => Self::ImageOutOfRange,
            ImageError::WrongFamily { .. } => Self::WrongChip,
            ImageError::Hex(_)
            | ImageError::Srec(_)
            | ImageError::Elf(_)
            | ImageError::Uf2(_)
            | ImageError::Esp(_)
            | ImageError::Dfu(_)
            | ImageError::Mcuboot(_)
            | ImageError::Unrecognised
            | ImageError::AddressGiven { .. }
            | ImageError::AddressNeeded { .. }
            | ImageError::Overlap { .. }
            | ImageError::Empty
            | ImageError::FileTooLarge { .. }
            | ImageError::TooLarge { .. }
            | ImageError::TooManyRecords { .. }
            | ImageError::TooManySegments { .. } => Self::ImageUnreadable,
        }
    }
}

impl From<&OpenError> for ReleaseTrouble {
    fn from(error: &OpenError) -> Self {
        match error {
            OpenError::NotForChannel(_) => Self::NotTrusted,
            OpenError::Unreadable { .. }
            | OpenError::WrongLength { .. }
            | OpenError::WrongDigest { .. }
            | OpenError::NotAuthentic { .. }
            | OpenError::WrongPiece { .. } => Self::Damaged,
        }
    }
}

impl From<&DocumentError> for ReleaseTrouble {
    fn from(error: &DocumentError) -> Self {
        match error {
            DocumentError::Rule { .. } => Self::RecipeRefused,
            DocumentError::TooLong { .. }
            | DocumentError::Shape { .. }
            | DocumentError::NotCanonical { .. }
            | DocumentError::UnknownFormat { .. } => Self::Damaged,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_trouble_has_a_code_of_its_own_and_one_act() {
        let mut codes = BTreeSet::new();
        for trouble in ReleaseTrouble::ALL {
            let digits = trouble.code().strip_prefix("F-").unwrap();
            assert!(digits.len() == 2 && digits.parse::<u8>().is_ok(), "{trouble:?}");
            assert!(codes.insert(trouble.code()), "{trouble:?}");
            let act = trouble.act();
            assert!(act.ends_with('.') && act.matches('.').count() == 1, "one sentence: {act}");
        }
    }

    #[test]
    fn the_trouble_of_an_error_is_found_behind_what_was_attempted() {
        let check = |error: &(dyn Error + 'static), trouble: Option<ReleaseTrouble>| {
            assert_eq!(ReleaseTrouble::behind(error), trouble, "{error}");
        };
        let beyond = ImageError::OutOfRange { address: 0x8_0000, origin: None };
        check(&beyond, Some(ReleaseTrouble::ImageOutOfRange));
        let image = crate::names::Name::new("app").unwrap();
        let pack = PackError::Image { image, source: beyond };
        check(&pack, Some(ReleaseTrouble::ImageOutOfRange));
        let missing = BundleError::Missing { name: "manifest.json".to_owned() };
        check(&missing, Some(ReleaseTrouble::Damaged));
        let few =
            TrustError::TooFewSignatures { role: "demo-lamp".to_owned(), found: 1, threshold: 2 };
        check(&BundleError::NotTrusted(few), Some(ReleaseTrouble::NotTrusted));
        check(&std::io::Error::other("no such thing"), None);
    }
}
