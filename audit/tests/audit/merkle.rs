//! The tree of RFC 6962, its proofs, and their checks.

use audit::{Frontier, Hash, Tree, leaf_hash, verify_consistency, verify_inclusion};
use ring::digest::{SHA256, digest};

/// The leaves that RFC 6962 implementations test each other with.
const LEAVES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];
/// Their roots, for 1 to 8 leaves.
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

#[test]
fn roots_are_those_of_rfc_6962() {
    let (mut tree, mut frontier) = (Tree::new(), Frontier::new());
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(hex::encode(tree.root()), empty);
    assert_eq!(hex::encode(frontier.root()), empty);
    for (leaf, root) in LEAVES.iter().zip(ROOTS) {
        let leaf = hex::decode(leaf).unwrap();
        assert_eq!(tree.append(&leaf), frontier.append(&leaf));
        assert_eq!(hex::encode(tree.root()), root);
        assert_eq!(hex::encode(frontier.root()), root);
    }
}

#[test]
fn proofs_are_those_of_other_rfc_6962_programs() {
    let mut tree = Tree::new();
    for leaf in LEAVES {
        tree.append(&hex::decode(leaf).unwrap());
    }
    let inclusion = |index, size, expected: &[&str]| {
        let proof = tree.inclusion_proof(index, size).unwrap();
        assert_eq!(proof.iter().map(hex::encode).collect::<Vec<_>>(), expected, "{index} {size}");
    };
    inclusion(
        0,
        8,
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    );
    inclusion(2, 3, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]);
    let consistency = |from, to, expected: &[&str]| {
        let proof = tree.consistency_proof(from, to).unwrap();
        assert_eq!(proof.iter().map(hex::encode).collect::<Vec<_>>(), expected, "{from} {to}");
    };
    consistency(1, 1, &[]);
    consistency(
        6,
        8,
        &[
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    );
}

/// RFC 6962, 2.1, word by word: slow, obvious, and written without the code under test.
fn plain_root(leaves: &[Hash]) -> Hash {
    let hash = |bytes: &[u8]| digest(&SHA256, bytes).as_ref().try_into().unwrap();
    match leaves {
        [] => hash(&[]),
        [leaf] => *leaf,
        _ => {
            let mut left = 1;
            while left * 2 < leaves.len() {
                left *= 2;
            }
            let halves = [plain_root(&leaves[..left]), plain_root(&leaves[left..])];
            hash(&[&[1], halves[0].as_slice(), &halves[1]].concat())
        }
    }
}

const SIZE_MAX: u64 = 64;

fn leaves() -> Vec<Hash> {
    (0..SIZE_MAX).map(|n| leaf_hash(&n.to_le_bytes())).collect()
}

#[test]
fn frontier_and_tree_have_the_plain_root_at_every_size() {
    let leaves = leaves();
    let tree = Tree::from_leaf_hashes(leaves.iter().copied());
    let mut frontier = Frontier::new();
    for size in 0..=SIZE_MAX {
        let root = plain_root(&leaves[..size as usize]);
        assert_eq!(tree.root_at(size), Ok(root));
        assert_eq!(frontier.root(), root);
        assert_eq!(frontier.size(), size);
        assert_eq!(tree.frontier_at(size).as_ref(), Ok(&frontier));
        assert_eq!(Frontier::from_bytes(&frontier.to_bytes()).as_ref(), Ok(&frontier));
        if let Some(leaf) = leaves.get(size as usize) {
            assert_eq!(frontier.append_hash(*leaf), size);
        }
    }
    assert!(tree.root_at(SIZE_MAX + 1).is_err());
}

#[test]
fn every_inclusion_proof_holds_and_proves_nothing_else() {
    let leaves = leaves();
    let tree = Tree::from_leaf_hashes(leaves.iter().copied());
    for size in 1..=SIZE_MAX {
        let root = tree.root_at(size).unwrap();
        for index in 0..size {
            let proof = tree.inclusion_proof(index, size).unwrap();
            let leaf = leaves[index as usize];
            assert!(verify_inclusion(index, size, leaf, &proof, root), "{index} of {size}");
            for other in (0..=size).filter(|other| *other != index) {
                assert!(!verify_inclusion(other, size, leaf, &proof, root), "{other} of {size}");
            }
            assert!(!verify_inclusion(index, size, [0; 32], &proof, root));
            assert!(!verify_inclusion(index, size, leaf, &proof, [0; 32]));
            for at in 0..proof.len() {
                let mut bad = proof.clone();
                bad[at][31] ^= 1;
                assert!(!verify_inclusion(index, size, leaf, &bad, root));
                bad.remove(at);
                assert!(!verify_inclusion(index, size, leaf, &bad, root));
            }
            let longer = [proof, vec![[0; 32]]].concat();
            assert!(!verify_inclusion(index, size, leaf, &longer, root));
        }
        assert!(tree.inclusion_proof(size, size).is_err());
    }
    assert!(tree.inclusion_proof(0, SIZE_MAX + 1).is_err());
}

#[test]
fn every_consistency_proof_holds_and_proves_nothing_else() {
    let tree = Tree::from_leaf_hashes(leaves());
    for to in 0..=SIZE_MAX {
        let to_root = tree.root_at(to).unwrap();
        for from in 0..=to {
            let from_root = tree.root_at(from).unwrap();
            let proof = tree.consistency_proof(from, to).unwrap();
            assert!(verify_consistency(from, from_root, to, to_root, &proof), "{from} to {to}");
            assert!(!verify_consistency(from, [0; 32], to, to_root, &proof), "{from} to {to}");
            if from != to {
                assert!(!verify_consistency(to, to_root, from, from_root, &proof));
            }
            if from != 0 {
                assert!(!verify_consistency(from, from_root, to, [0; 32], &proof));
            }
            for at in 0..proof.len() {
                let mut bad = proof.clone();
                bad[at][0] ^= 1;
                assert!(!verify_consistency(from, from_root, to, to_root, &bad));
                bad.remove(at);
                assert!(!verify_consistency(from, from_root, to, to_root, &bad));
            }
            let longer = [proof, vec![[0; 32]]].concat();
            assert!(!verify_consistency(from, from_root, to, to_root, &longer));
        }
        assert!(tree.consistency_proof(to + 1, to).is_err());
    }
}

#[test]
fn bytes_that_hold_no_frontier_are_refused() {
    let mut frontier = Frontier::new();
    for n in 0..5u8 {
        frontier.append(&[n]);
    }
    let good = frontier.to_bytes();
    for cut in 0..good.len() {
        assert!(Frontier::from_bytes(&good[..cut]).is_err(), "{cut} bytes");
    }
    assert!(Frontier::from_bytes(&[good.as_slice(), &[0; 32]].concat()).is_err());
}
