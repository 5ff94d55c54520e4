//! Checking Merkle proofs without the tree: RFC 9162, 2.1.3.2 and 2.1.4.2.

use crate::frontier::{Hash, node_hash};

/// Whether `proof` shows that the record with hash `leaf` stands at `index` in the tree of `size`
/// records with this `root`.
#[must_use]
pub fn verify_inclusion(index: u64, size: u64, leaf: Hash, proof: &[Hash], root: Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = leaf;
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if node % 2 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            // A right edge without a sibling rises until it has one.
            while node % 2 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == root
}

/// Whether `proof` shows that the tree of `from` records with `from_root` is the beginning of the
/// tree of `to` records with `to_root`.
#[must_use]
pub fn verify_consistency(
    from: u64,
    from_root: Hash,
    to: u64,
    to_root: Hash,
    proof: &[Hash],
) -> bool {
    if from == to {
        return proof.is_empty() && from_root == to_root;
    }
    if from > to {
        return false;
    }
    if from == 0 {
        return proof.is_empty() && from_root == crate::Frontier::new().root();
    }
    let mut hashes = proof.iter();
    // A complete first tree is its own first hash and is left out of the proof.
    let first = if from.is_power_of_two() { Some(&from_root) } else { hashes.next() };
    let Some(first) = first else { return false };
    let (mut node, mut last) = (from - 1, to - 1);
    while node % 2 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut old, mut new) = (*first, *first);
    for hash in hashes {
        if last == 0 {
            return false;
        }
        if node % 2 == 1 || node == last {
            old = node_hash(hash, &old);
            new = node_hash(hash, &new);
            while node % 2 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new = node_hash(&new, hash);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && old == from_root && new == to_root
}
