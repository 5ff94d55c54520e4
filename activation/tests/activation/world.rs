//! One product, one station, one chip: what most tests start from.

use activation::{Allotment, AllotmentCertificate, BLOCK_BYTES, Claim, ProductKey};
use ring::digest::{SHA256, digest};
use ring::signature::{Ed25519KeyPair, KeyPair};
use std::sync::Arc;

pub(crate) const PRODUCT: &str = "demo-lamp";
pub(crate) const FAMILY: &str = "nrf52";
pub(crate) const UID: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
pub(crate) const QUOTA: u32 = 1000;
pub(crate) const ALLOTMENT: [u8; 16] = *b"allotment no. 01";
/// The key slot of firmware that has no next key yet.
pub(crate) const NO_KEY: [u8; 32] = [0; 32];

pub(crate) struct World {
    pub(crate) product_key: ProductKey,
    pub(crate) station_key: Arc<Ed25519KeyPair>,
    pub(crate) keys: [[u8; 32]; 2],
}

pub(crate) fn seed_of(words: &str) -> [u8; 32] {
    digest(&SHA256, words.as_bytes()).as_ref().try_into().unwrap()
}

pub(crate) fn product_key(words: &str) -> ProductKey {
    ProductKey::from_seed(&seed_of(words)).unwrap()
}

pub(crate) fn station_key(words: &str) -> Arc<Ed25519KeyPair> {
    Arc::new(Ed25519KeyPair::from_seed_unchecked(&seed_of(words)).unwrap())
}

pub(crate) fn public_of(key: &Ed25519KeyPair) -> [u8; 32] {
    key.public_key().as_ref().try_into().unwrap()
}

pub(crate) fn world() -> World {
    let product_key = product_key("flashline demo product key, not a secret");
    let keys = [product_key.public(), NO_KEY];
    World {
        product_key,
        station_key: station_key("flashline demo station key, not a secret"),
        keys,
    }
}

impl World {
    pub(crate) fn certificate(&self) -> AllotmentCertificate {
        self.product_key.certify(PRODUCT, ALLOTMENT, QUOTA, public_of(&self.station_key))
    }

    pub(crate) fn allotment(&self) -> Allotment {
        Allotment::take_up(self.certificate(), PRODUCT, &self.keys, self.station_key.clone())
            .unwrap()
    }

    pub(crate) fn block(&self) -> [u8; BLOCK_BYTES] {
        self.allotment().issue(7, FAMILY, &UID).unwrap()
    }
}

pub(crate) fn claim() -> Claim<'static> {
    Claim { product: PRODUCT, family: FAMILY, uid: &UID }
}
