//! A whole RFC 6962 Merkle tree, for making proofs.
//!
//! Keeps the hash of every complete subtree, so a proof costs a handful of hashes and not a walk
//! over the journal.

use crate::frontier::{Frontier, Hash, leaf_hash, node_hash};

/// The leaf hashes of a journal and every complete subtree above them.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// `levels[k][i]` is the hash of leaves `i * 2^k .. (i + 1) * 2^k`; only complete subtrees.
    levels: Vec<Vec<Hash>>,
}

/// A proof or root was asked for that the tree does not reach to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the tree of {size} records does not reach to what was asked for")]
pub struct OutOfRange {
    /// Records in the tree.
    pub size: u64,
}

impl Tree {
    /// The empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The tree of these leaves, oldest first.
    #[must_use]
    pub fn from_leaf_hashes(leaves: impl IntoIterator<Item = Hash>) -> Self {
        let mut tree = Self::new();
        for leaf in leaves {
            tree.append_hash(leaf);
        }
        tree
    }

    /// Appends a record and answers its index.
    pub fn append(&mut self, record: &[u8]) -> u64 {
        self.append_hash(leaf_hash(record))
    }

    /// Appends a record of which only the [`leaf_hash`] is at hand, and answers its index.
    pub fn append_hash(&mut self, leaf: Hash) -> u64 {
        let index = self.size();
        let mut hash = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let row = &mut self.levels[level];
            row.push(hash);
            match row.as_slice() {
                [.., left, right] if row.len().is_multiple_of(2) => hash = node_hash(left, right),
                _ => break,
            }
        }
        index
    }

    /// How many records the tree holds.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// The root over everything.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.hash_of(0, self.size())
    }

    /// The root when the tree had `size` records.
    ///
    /// # Errors
    /// [`OutOfRange`] when it never had so many.
    pub fn root_at(&self, size: u64) -> Result<Hash, OutOfRange> {
        self.reaches(size)?;
        Ok(self.hash_of(0, size))
    }

    /// The frontier when the tree had `size` records.
    ///
    /// # Errors
    /// [`OutOfRange`] when it never had so many.
    pub fn frontier_at(&self, size: u64) -> Result<Frontier, OutOfRange> {
        self.reaches(size)?;
        let mut frontier = Frontier::new();
        let leaves = self.levels.first().map_or(&[][..], Vec::as_slice);
        for leaf in leaves.iter().take(usize::try_from(size).unwrap_or(usize::MAX)) {
            frontier.append_hash(*leaf);
        }
        Ok(frontier)
    }

    /// The leaf hash of record `index`.
    #[must_use]
    pub fn leaf(&self, index: u64) -> Option<Hash> {
        self.levels.first()?.get(usize::try_from(index).ok()?).copied()
    }

    /// The hashes that prove record `index` to be in the tree of `size` records: RFC 6962, 2.1.1,
    /// from the leaf's sibling upwards.
    ///
    /// # Errors
    /// [`OutOfRange`] unless `index < size` and the tree ever had `size` records.
    pub fn inclusion_proof(&self, index: u64, size: u64) -> Result<Vec<Hash>, OutOfRange> {
        self.reaches(size)?;
        if index >= size {
            return Err(OutOfRange { size: self.size() });
        }
        let (mut start, mut end) = (0, size);
        let mut siblings = Vec::new();
        while end - start > 1 {
            let middle = start + left_size(end - start);
            if index < middle {
                siblings.push(self.hash_of(middle, end));
                end = middle;
            } else {
                siblings.push(self.hash_of(start, middle));
                start = middle;
            }
        }
        siblings.reverse();
        Ok(siblings)
    }

    /// The hashes that prove the tree of `from` records to be the beginning of the tree of `to`
    /// records: RFC 6962, 2.1.2. Empty when `from` is 0 or equal to `to`.
    ///
    /// # Errors
    /// [`OutOfRange`] unless `from <= to` and the tree ever had `to` records.
    pub fn consistency_proof(&self, from: u64, to: u64) -> Result<Vec<Hash>, OutOfRange> {
        self.reaches(to)?;
        if from > to {
            return Err(OutOfRange { size: self.size() });
        }
        if from == 0 || from == to {
            return Ok(Vec::new());
        }
        let (mut start, mut end) = (0, to);
        let mut hashes = Vec::new();
        while end != from {
            let middle = start + left_size(end - start);
            if from <= middle {
                hashes.push(self.hash_of(middle, end));
                end = middle;
            } else {
                hashes.push(self.hash_of(start, middle));
                start = middle;
            }
        }
        if start != 0 {
            hashes.push(self.hash_of(start, end));
        }
        hashes.reverse();
        Ok(hashes)
    }

    fn reaches(&self, size: u64) -> Result<(), OutOfRange> {
        if size <= self.size() { Ok(()) } else { Err(OutOfRange { size: self.size() }) }
    }

    /// The hash over leaves `start..end`, where `start` is a multiple of the range's left part, as
    /// all ranges of RFC 6962 are. Callers stay within the tree.
    fn hash_of(&self, start: u64, end: u64) -> Hash {
        let size = end - start;
        if size == 0 {
            return Frontier::new().root();
        }
        if size.is_power_of_two() {
            let level = size.trailing_zeros();
            let kept = self
                .levels
                .get(level as usize)
                .and_then(|row| row.get(usize::try_from(start >> level).ok()?));
            if let Some(hash) = kept {
                return *hash;
            }
        }
        let middle = start + left_size(size);
        node_hash(&self.hash_of(start, middle), &self.hash_of(middle, end))
    }
}

/// The largest power of two below `size`, for `size` of 2 and more.
fn left_size(size: u64) -> u64 {
    1 << (u64::BITS - 1 - (size - 1).leading_zeros())
}
