//! One product, one station, one chip: what most tests start from.

use activation::pool::{Bound, BoundState, RECEIPT_BYTES, RecordId, SealedCredential, Share};
use activation::pool::{Column, Credential, Fingerprint, Form, Journalled, Pepper, Row, Schema};
use activation::pool::{Limits, Staging, import};
use activation::{
    Allotment, AllotmentCertificate, BLOCK_BYTES, Chip, Claim, MAC_BLOCK_BYTES, MacSecret,
    Openness, ProductKey,
};
use ring::digest::{SHA256, digest};
use ring::signature::{Ed25519KeyPair, KeyPair};
use std::convert::Infallible;
use std::sync::Arc;
use zeroize::Zeroizing;

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

    pub(crate) fn stored_block(&self) -> [u8; BLOCK_BYTES] {
        self.allotment().issue_stored(7, FAMILY, &UID).unwrap()
    }

    pub(crate) fn pool_block(&self) -> Zeroizing<Vec<u8>> {
        let journalled = journalled(7);
        let (credential, schema) = (sealed(7), schema());
        let open = journalled.open(&credential, &schema, unsealed).unwrap();
        Zeroizing::new(open.into_block(&self.allotment()).unwrap().as_bytes().to_vec())
    }

    pub(crate) fn receipt(&self) -> [u8; RECEIPT_BYTES] {
        journalled(7).receipt(&sealed(7), &schema(), &self.allotment()).unwrap()
    }
}

pub(crate) fn mac_secret() -> MacSecret {
    MacSecret::from_bytes(&seed_of("flashline demo mac secret, not a secret")).unwrap()
}

pub(crate) fn mac_block() -> [u8; MAC_BLOCK_BYTES] {
    mac_secret().issue(PRODUCT, ALLOTMENT, 7, FAMILY, &UID).unwrap()
}

/// A cloud's triple: the product key names the batch, the device name is the code.
pub(crate) fn schema() -> Schema {
    let column = |name: &str, openness, form, bytes_min, bytes_max, repeats| Column {
        name: name.into(),
        openness,
        form,
        bytes_min,
        bytes_max,
        repeats,
    };
    let columns = vec![
        column("ProductKey", Openness::Public, Form::Text, 4, 16, true),
        column("DeviceName", Openness::Public, Form::Text, 4, 32, false),
        column("DeviceSecret", Openness::Secret, Form::Hex, 8, 32, false),
    ];
    Schema::new(columns, "DeviceName", ',').unwrap()
}

/// One row of a file in [`schema`].
pub(crate) const ROW: &str = "a1ZxLamp,lamp-0007,00112233445566778899aabbccddeeff";

/// What came out of an import of good rows.
pub(crate) fn credentials(rows: &[&str]) -> Vec<Credential> {
    struct Shelf(Vec<Credential>);
    impl Staging for Shelf {
        type Error = Infallible;
        type Kept = Vec<Credential>;
        fn seen(&mut self, _: &Column, _: Fingerprint) -> Result<Option<String>, Infallible> {
            Ok(None)
        }
        fn stage(&mut self, row: Row) -> Result<(), Infallible> {
            self.0.push(row.credential);
            Ok(())
        }
        fn keep(self, rows: u32) -> Result<Self::Kept, Infallible> {
            assert_eq!(rows as usize, self.0.len());
            Ok(self.0)
        }
    }
    let file = format!("ProductKey,DeviceName,DeviceSecret\n{}\n", rows.join("\n"));
    import(file.as_bytes(), &schema(), &pepper(), Limits::default(), Shelf(Vec::new())).unwrap()
}

pub(crate) fn pepper() -> Pepper {
    Pepper::new(&seed_of("a pool's pepper"))
}

/// The credential of [`ROW`] in a seal of these tests: the bytes it authenticates, then the clear.
pub(crate) fn sealed(number: u32) -> SealedCredential {
    let credential = credentials(&[ROW]).remove(0);
    let seal = |clear: &[u8], bound: &[u8; 32]| Ok::<_, Infallible>([bound, clear].concat());
    credential.seal(number, seal).unwrap()
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the seal was made for another credential")]
pub(crate) struct OtherSeal;

/// Opens the seal of [`sealed`].
pub(crate) fn unsealed(sealed: &[u8], bound: &[u8; 32]) -> Result<Zeroizing<Vec<u8>>, OtherSeal> {
    let clear = sealed.strip_prefix(bound.as_slice()).ok_or(OtherSeal)?;
    Ok(Zeroizing::new(clear.to_vec()))
}

pub(crate) fn chip(uid: &[u8]) -> Chip {
    Chip::new(FAMILY, uid).unwrap()
}

pub(crate) const RECORD: RecordId = RecordId { epoch: 1, sequence: 42, hash: [9; 32] };

/// The chip's reservation of credential `number`, journalled.
pub(crate) fn journalled(number: u32) -> Journalled {
    let mut share = Share::new(ALLOTMENT, QUOTA);
    let (state, chip) = (BoundState::Reserved, chip(&UID));
    share.restore(number, Bound { chip: chip.clone(), state, acknowledged: false }).unwrap();
    share.reserve(&chip).unwrap().journalled(RECORD)
}

pub(crate) fn claim() -> Claim<'static> {
    Claim { product: PRODUCT, family: FAMILY, uid: &UID }
}
