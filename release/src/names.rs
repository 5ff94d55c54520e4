//! The short texts that may stand in a path, a role name or a line on a screen.
//!
//! [`Name`] is for what becomes part of a file or role name (tenant, product, family); [`Label`]
//! for what people number as they please (version, hardware revision, chip).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A lower-case name: `[a-z0-9][a-z0-9_-]{0,62}`. No dot, no slash: it is safe in a path, and a
/// product's role can never be mistaken for `1.root`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// A label: `[A-Za-z0-9][A-Za-z0-9._+-]{0,62}` without `..`. Safe as the last part of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(String);

/// A text that cannot be a name or label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Names are lower-case words.
    #[error(
        "reading the name {0:?}: expected 1-63 of a-z 0-9 _ -, beginning with a letter or digit"
    )]
    Name(String),
    /// Labels are a little freer.
    #[error(
        "reading the label {0:?}: expected 1-63 of A-Z a-z 0-9 . _ + -, beginning with a letter or digit"
    )]
    Label(String),
    /// The TUF roles and our own documents have these names already.
    #[error("reading the product name {0:?}: it is the name of a document")]
    Reserved(String),
}

const LENGTH_MAX: usize = 63;

/// Names that a product must not have, because a document of that name means something else.
const RESERVED: [&str; 9] = [
    "root",
    "targets",
    "snapshot",
    "timestamp",
    "lease-keys",
    "lease",
    "orders",
    "roster",
    "manifest",
];

impl Name {
    /// Reads a name.
    ///
    /// # Errors
    /// [`BadName::Name`] when it is not one.
    pub fn new(text: &str) -> Result<Self, BadName> {
        let good = (1..=LENGTH_MAX).contains(&text.len())
            && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
            && text.as_bytes()[0].is_ascii_alphanumeric();
        if good { Ok(Self(text.to_owned())) } else { Err(BadName::Name(shown(text))) }
    }

    /// What a unit's only chip is called.
    #[must_use]
    pub fn main() -> Self {
        Self("main".to_owned())
    }

    /// Reads a name for a product: one that no document of ours has already.
    ///
    /// # Errors
    /// [`BadName`] when it is not a name or a reserved one.
    pub fn new_product(text: &str) -> Result<Self, BadName> {
        let name = Self::new(text)?;
        if RESERVED.contains(&text) { Err(BadName::Reserved(shown(text))) } else { Ok(name) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Label {
    /// Reads a label.
    ///
    /// # Errors
    /// [`BadName::Label`] when it is not one.
    pub fn new(text: &str) -> Result<Self, BadName> {
        let good = (1..=LENGTH_MAX).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'+' | b'-'))
            && text.as_bytes()[0].is_ascii_alphanumeric()
            && !text.contains("..");
        if good { Ok(Self(text.to_owned())) } else { Err(BadName::Label(shown(text))) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An error message quotes no more than this of what a stranger sent.
fn shown(text: &str) -> String {
    text.chars().take(LENGTH_MAX + 1).collect()
}

/// What a release may be flashed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// New units on the line.
    Production,
    /// Units that failed or were repaired.
    Rework,
    /// Units that were sold.
    AfterSales,
}

impl Channel {
    /// The word used in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Rework => "rework",
            Self::AfterSales => "after-sales",
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! text_newtype {
    ($type:ident) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                Self::new(text)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

text_newtype!(Name);
text_newtype!(Label);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_never_climb_out_of_a_folder_or_pose_as_a_role() {
        for good in ["demo-lamp", "nrf52", "a", "0_1"] {
            assert!(Name::new(good).is_ok(), "{good}");
        }
        let long = "a".repeat(64);
        for bad in ["", "-a", "A", "a.b", "a/b", "..", "a b", "é", "a\n", &long] {
            assert!(Name::new(bad).is_err(), "{bad:?}");
        }
        for reserved in RESERVED {
            assert!(matches!(Name::new_product(reserved), Err(BadName::Reserved(_))));
        }
    }

    #[test]
    fn a_label_is_freer_but_still_one_step_of_a_path() {
        for good in ["1.0.0", "nRF52832_xxAA", "1.2.0-rc.1+build7", "B"] {
            assert!(Label::new(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "1..2", "a/b", "-x", "a b", "a\\b", "1\n"] {
            assert!(Label::new(bad).is_err(), "{bad:?}");
        }
    }
}
