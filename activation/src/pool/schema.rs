//! What a pool's file looks like: its columns, which of them are secret, which one is the code.

use crate::pool_block::{self, COLUMNS_MAX, Openness, POOL_CODE_BYTES_MAX};
use serde::{Deserialize, Serialize};
use std::string::String;
use std::vec::Vec;

/// Longest value of one column, in bytes as the chip holds it.
pub const VALUE_BYTES_MAX: u16 = 2048;
/// Longest column name, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// How a column's values are written in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// The chip gets the text as it stands: UTF-8 without control characters, quotation marks, or
    /// space at either end.
    Text,
    /// Hexadecimal digits in either case; the chip gets the bytes.
    Hex,
    /// Base64 (RFC 4648 §4, padded); the chip gets the bytes.
    Base64,
}

/// One column of a pool's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its heading in the file, 1 to 64 bytes without commas, semicolons, tabs or quotes.
    pub name: String,
    /// Secret columns are sealed at once and opened only for their write.
    #[serde(with = "openness_word")]
    pub openness: Openness,
    /// How values are written.
    pub form: Form,
    /// Shortest value, in bytes as the chip holds it; at least 1.
    pub bytes_min: u16,
    /// Longest value, in bytes as the chip holds it; at most [`VALUE_BYTES_MAX`].
    pub bytes_max: u16,
    /// Whether rows may share a value: a column that names the batch, not the device (a product
    /// key, an intermediate certificate). Every other column is unique over all that the pool ever
    /// imported. A secret column never repeats.
    #[serde(default)]
    pub repeats: bool,
}

/// A pool's columns, in the order in which chips hold them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Draft", into = "Draft")]
pub struct Schema {
    columns: Vec<Column>,
    code: usize,
    delimiter: u8,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    columns: Vec<Column>,
    code: String,
    #[serde(default = "comma")]
    delimiter: char,
}

const fn comma() -> char {
    ','
}

/// Why a schema is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// None, or more than a block can hold.
    #[error("a pool has 1 to {COLUMNS_MAX} columns; {found} were given")]
    ColumnCount {
        /// Columns given.
        found: usize,
    },
    /// Not a comma, semicolon or tab.
    #[error("columns are separated by a comma, a semicolon or a tab")]
    Delimiter,
    /// Empty, overlong, or with characters a heading cannot have.
    #[error("column {column} has a name that no heading can have")]
    Name {
        /// Counted from 1.
        column: usize,
    },
    /// Two columns of one name.
    #[error("column {column} has the name of an earlier one")]
    NameTwice {
        /// Counted from 1.
        column: usize,
    },
    /// Not 1 ≤ shortest ≤ longest ≤ [`VALUE_BYTES_MAX`].
    #[error("column {column} needs a shortest and a longest value of 1 to {VALUE_BYTES_MAX} bytes")]
    Lengths {
        /// Counted from 1.
        column: usize,
    },
    /// A secret that several devices would share.
    #[error("column {column} is secret and may repeat; a shared secret is none")]
    SecretRepeats {
        /// Counted from 1.
        column: usize,
    },
    /// The code column is not there, secret, repeating, not text, or longer than a code.
    #[error(
        "the code must be a public text column of at most {POOL_CODE_BYTES_MAX} bytes whose values \
         never repeat"
    )]
    Code,
    /// The longest credential does not fit a pool block.
    #[error("the columns together are longer than a pool block can hold")]
    TooLong,
}

impl Schema {
    /// A schema of these columns; `code` names the column that is the activation code.
    ///
    /// # Errors
    /// [`SchemaError`].
    pub fn new(columns: Vec<Column>, code: &str, delimiter: char) -> Result<Self, SchemaError> {
        if !(1..=COLUMNS_MAX).contains(&columns.len()) {
            return Err(SchemaError::ColumnCount { found: columns.len() });
        }
        let delimiter = match delimiter {
            ',' => b',',
            ';' => b';',
            '\t' => b'\t',
            _ => return Err(SchemaError::Delimiter),
        };
        let mut names = std::collections::BTreeSet::new();
        for (at, column) in (1..).zip(&columns) {
            let heading = |c: char| !c.is_control() && !matches!(c, ',' | ';' | '"');
            let name = column.name.as_str();
            let fits = (1..=NAME_BYTES_MAX).contains(&name.len()) && name.trim() == name;
            if !fits || !name.chars().all(heading) {
                return Err(SchemaError::Name { column: at });
            }
            if !names.insert(name) {
                return Err(SchemaError::NameTwice { column: at });
            }
            let (min, max) = (column.bytes_min, column.bytes_max);
            if !(1..=VALUE_BYTES_MAX).contains(&min) || !(min..=VALUE_BYTES_MAX).contains(&max) {
                return Err(SchemaError::Lengths { column: at });
            }
            if column.repeats && column.openness == Openness::Secret {
                return Err(SchemaError::SecretRepeats { column: at });
            }
        }
        let can_be_code = |column: &Column| {
            column.name == code
                && column.openness == Openness::Public
                && column.form == Form::Text
                && !column.repeats
                && usize::from(column.bytes_max) <= POOL_CODE_BYTES_MAX
        };
        let code = columns.iter().position(can_be_code).ok_or(SchemaError::Code)?;
        let longest = columns.iter().map(|column| usize::from(column.bytes_max));
        if pool_block::bytes_with(longest).is_none() {
            return Err(SchemaError::TooLong);
        }
        Ok(Self { columns, code, delimiter })
    }

    /// The columns, in the order in which chips hold them.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Which column is the activation code, counted from 0.
    #[must_use]
    pub const fn code(&self) -> usize {
        self.code
    }

    /// What separates columns in the file: `,`, `;` or a tab.
    #[must_use]
    pub const fn delimiter(&self) -> u8 {
        self.delimiter
    }
}

impl TryFrom<Draft> for Schema {
    type Error = SchemaError;

    fn try_from(draft: Draft) -> Result<Self, SchemaError> {
        Self::new(draft.columns, &draft.code, draft.delimiter)
    }
}

impl From<Schema> for Draft {
    fn from(schema: Schema) -> Self {
        let code = schema.columns.get(schema.code).map(|column| column.name.clone());
        Self {
            code: code.unwrap_or_default(),
            columns: schema.columns,
            delimiter: char::from(schema.delimiter),
        }
    }
}

/// `public` and `secret`, as schemas write them.
mod openness_word {
    use super::Openness;
    use serde::{Deserialize, Deserializer, Serializer, de};
    use std::string::String;

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    pub(super) fn serialize<S: Serializer>(
        openness: &Openness,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match openness {
            Openness::Public => "public",
            Openness::Secret => "secret",
        })
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Openness, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "public" => Ok(Openness::Public),
            "secret" => Ok(Openness::Secret),
            _ => Err(de::Error::custom("a column is public or secret")),
        }
    }
}
