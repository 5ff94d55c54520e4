//! Names and numbers that hub and station use for the same things.
//!
//! Promise: a name holds 1 to 63 characters, begins with a letter or a digit and has no slash, so
//! it is safe in a path, a URL and a checkpoint's origin line. Tenant, product and station are of
//! `a-z 0-9 _ -` only, because they also name files and TUF roles.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest name, in characters.
pub const NAME_CHARS_MAX: usize = 63;

/// Why a name or number was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing was given.
    #[error("a {what} cannot be empty")]
    Empty {
        /// What was to be named.
        what: &'static str,
    },
    /// More than [`NAME_CHARS_MAX`] characters.
    #[error("a {what} has at most {NAME_CHARS_MAX} characters, not {chars}")]
    TooLong {
        /// What was to be named.
        what: &'static str,
        /// How many characters came.
        chars: usize,
    },
    /// A character that a name may not hold (at its place).
    #[error("{character:?} cannot stand in a {what} (character {position})")]
    Character {
        /// What was to be named.
        what: &'static str,
        /// The character.
        character: char,
        /// Counted from 1.
        position: usize,
    },
    /// The name means something else already.
    #[error("{name:?} is reserved and cannot be a {what}")]
    Reserved {
        /// What was to be named.
        what: &'static str,
        /// The reserved word.
        name: String,
    },
    /// Not the right number of hexadecimal digits.
    #[error("a {what} is {bytes} bytes in hexadecimal")]
    Hex {
        /// What was to be read.
        what: &'static str,
        /// Its length in bytes.
        bytes: usize,
    },
    /// Not a number of the right size.
    #[error("a {what} is a whole number below 2^32")]
    Number {
        /// What was to be read.
        what: &'static str,
    },
}

/// Which letters a name may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Letters {
    /// Both cases and dots: what people print on paper.
    Any,
    /// Lower case without dots: what becomes a file name or a TUF role.
    Lower,
}

fn check_name(text: &str, what: &'static str, letters: Letters) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty { what });
    }
    let chars = text.chars().count();
    if chars > NAME_CHARS_MAX {
        return Err(IdError::TooLong { what, chars });
    }
    for (index, character) in text.chars().enumerate() {
        let fits = match character {
            'a'..='z' | '0'..='9' => true,
            'A'..='Z' => letters == Letters::Any,
            '_' | '-' => index > 0,
            '.' => index > 0 && letters == Letters::Any,
            _ => false,
        };
        if !fits {
            return Err(IdError::Character { what, character, position: index + 1 });
        }
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $letters:expr, $reserved:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(value_type = String))]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                check_name(text, $what, $letters)?;
                let reserved: &[&str] = $reserved;
                if reserved.contains(&text) {
                    return Err(IdError::Reserved { what: $what, name: text.to_owned() });
                }
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The company whose firmware it is. Lower case.
    TenantName, "tenant name", Letters::Lower, &[]
);
name!(
    /// A thing with one or more chips. Also the name of its TUF delegation, so the names of the
    /// top-level roles and of other documents are reserved.
    ProductName, "product name", Letters::Lower,
    &[
        "root", "targets", "snapshot", "timestamp", "lease-keys", "lease", "orders", "roster",
        "revocations", "manifest",
    ]
);
name!(
    /// One flashing station of a tenant.
    StationName, "station name", Letters::Lower, &[]
);
name!(
    /// The production line a station stands at.
    LineName, "line name", Letters::Any, &[]
);
name!(
    /// A work order, as printed on the traveller (without the `WO:` a scanner may put before it).
    OrderNumber, "work order number", Letters::Any, &[]
);

macro_rules! hex_bytes {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(value_type = String))]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub [u8; $bytes]);

        impl $name {
            /// The bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let mut bytes = [0; $bytes];
                hex::decode_to_slice(text, &mut bytes)
                    .map_err(|_| IdError::Hex { what: $what, bytes: $bytes })?;
                Ok(Self(bytes))
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                hex::encode(value.0)
            }
        }
    };
}

macro_rules! shown_bytes {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

hex_bytes!(
    /// A SHA-256 digest; lower-case hexadecimal on the wire.
    Sha256, 32, "SHA-256 digest"
);
shown_bytes!(Sha256);
hex_bytes!(
    /// An Ed25519 public key; hexadecimal on the wire.
    Ed25519Key, 32, "Ed25519 public key"
);
shown_bytes!(Ed25519Key);
hex_bytes!(
    /// An X25519 public key that HPKE seals to; hexadecimal on the wire.
    HpkeKey, 32, "HPKE public key"
);
shown_bytes!(HpkeKey);
hex_bytes!(
    /// The one-use secret of an enrolment code. Never shown, not even by `Debug`.
    EnrolmentSecret, 16, "enrolment secret"
);

impl fmt::Debug for EnrolmentSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnrolmentSecret(..)")
    }
}

/// Which of a station's journals: counted from 1, a new one only by an administrator's decision.
/// Zero, the default, stands for none.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(value_type = u32))]
#[serde(transparent)]
pub struct Epoch(pub u32);

impl Epoch {
    /// The epoch every station begins with.
    pub const FIRST: Self = Self(1);
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Epoch {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        text.parse().map(Self).map_err(|_| IdError::Number { what: "journal epoch" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_leave_its_place_in_a_path_or_url_is_refused() {
        for (text, why) in [
            ("", "empty"),
            ("..", "dots first"),
            (".hidden", "dot first"),
            ("a/b", "slash"),
            ("a b", "space"),
            ("a\nb", "line feed"),
            ("a%2fb", "percent"),
            ("größe", "beyond ASCII"),
            (&"x".repeat(64), "too long"),
        ] {
            assert!(text.parse::<StationName>().is_err(), "{why}: {text:?}");
        }
        for text in ["st-1", "line_7", "4711", &"x".repeat(63)] {
            assert_eq!(text.parse::<StationName>().unwrap().as_str(), text);
        }
        assert!("St.1".parse::<StationName>().is_err());
        assert_eq!("WO-47.11".parse::<OrderNumber>().unwrap().as_str(), "WO-47.11");
    }

    #[test]
    fn a_product_cannot_take_the_name_of_a_top_level_role() {
        for name in ["root", "targets", "snapshot", "timestamp"] {
            assert!(matches!(name.parse::<ProductName>(), Err(IdError::Reserved { .. })));
        }
        assert!("Demo".parse::<ProductName>().is_err(), "upper case");
        assert!("demo-lamp".parse::<ProductName>().is_ok());
    }

    #[test]
    fn a_digest_is_64_hexadecimal_digits_and_nothing_else() {
        let digest = Sha256([0xAB; 32]);
        assert_eq!(digest.to_string().parse::<Sha256>().unwrap(), digest);
        for text in ["", "ab", &"zz".repeat(32), &"ab".repeat(33)] {
            assert!(text.parse::<Sha256>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_enrolment_secret_never_shows_in_a_log() {
        assert_eq!(format!("{:?}", EnrolmentSecret([7; 16])), "EnrolmentSecret(..)");
    }

    #[test]
    fn a_name_is_checked_when_it_arrives_as_json() {
        assert!(serde_json::from_str::<TenantName>("\"../x\"").is_err());
        assert_eq!(serde_json::from_str::<TenantName>("\"acme\"").unwrap().as_str(), "acme");
    }
}
