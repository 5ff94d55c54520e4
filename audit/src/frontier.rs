//! The growing edge of an RFC 6962 Merkle tree: enough to append and to know the root, in at most
//! 64 hashes however long the journal is.

use ring::digest::{Context, SHA256};

/// A SHA-256 hash of a leaf, a node or a whole tree.
pub type Hash = [u8; 32];

/// The RFC 6962 hash of one record: SHA-256 over a zero byte and the record.
#[must_use]
pub fn leaf_hash(record: &[u8]) -> Hash {
    hash_of(&[&[0], record])
}

/// The RFC 6962 hash of two subtrees.
pub(crate) fn node_hash(left: &Hash, right: &Hash) -> Hash {
    hash_of(&[&[1], left, right])
}

fn hash_of(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// The roots of the complete subtrees that make up a tree, largest first: one for every 1 in the
/// binary form of its size.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    roots: Vec<Hash>,
}

/// Why stored bytes are no frontier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes hold no Merkle frontier")]
pub struct FrontierError {
    /// Bytes given.
    pub bytes: usize,
}

impl Frontier {
    /// The frontier of the empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a record and answers its index.
    pub fn append(&mut self, record: &[u8]) -> u64 {
        self.append_hash(leaf_hash(record))
    }

    /// Appends a record of which only the [`leaf_hash`] is at hand, and answers its index.
    pub fn append_hash(&mut self, leaf: Hash) -> u64 {
        let index = self.size;
        let mut right = leaf;
        // Every trailing 1 of the old size is a complete subtree that now finds its right half.
        for _ in 0..index.trailing_ones() {
            if let Some(left) = self.roots.pop() {
                right = node_hash(&left, &right);
            }
        }
        self.roots.push(right);
        self.size += 1;
        index
    }

    /// How many records the tree holds.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The tree's root hash; of the empty tree SHA-256 of nothing.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut roots = self.roots.iter().rev();
        match roots.next() {
            None => hash_of(&[]),
            Some(last) => roots.fold(*last, |right, left| node_hash(left, &right)),
        }
    }

    /// For storage beside the records: the size as u64 little endian, then the subtree roots.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.size.to_le_bytes().to_vec();
        bytes.extend(self.roots.iter().flatten());
        bytes
    }

    /// Reads [`Frontier::to_bytes`]. Cannot know whether the hashes are right: compare the root
    /// with a signed checkpoint.
    ///
    /// # Errors
    /// [`FrontierError`] when size and number of hashes do not fit.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FrontierError> {
        let refused = FrontierError { bytes: bytes.len() };
        let (size, rest) = bytes.split_first_chunk().ok_or(refused)?;
        let size = u64::from_le_bytes(*size);
        let (roots, odd) = rest.as_chunks();
        if !odd.is_empty() || roots.len() != size.count_ones() as usize {
            return Err(refused);
        }
        Ok(Self { size, roots: roots.to_vec() })
    }
}
