//! What the readers must keep, whatever the bytes: shared by the fuzz targets and by their replay in
//! the room's tests.

use std::collections::BTreeSet;
use std::convert::Infallible;

use activation::pool::{
    Column, Fingerprint, Form, Limits, Pepper, Row, Schema, Staging, check_receipt, import,
};
use activation::{
    AllotmentCertificate, BlockFound, Claim, Openness, check_block, check_mac_block,
    check_pool_block, check_stored_block, look_at, look_at_stored, pool_block_bytes,
};

/// The chip, product and keys of FORMAT.md's worked example.
const CLAIM: Claim<'static> =
    Claim { product: "demo-lamp", family: "nrf52", uid: &[1, 2, 3, 4, 5, 6, 7, 8] };

/// The only bytes that are good for them.
const ED25519: &[u8] = include_bytes!("corpus/block/ed25519");
const STORED: &[u8] = include_bytes!("corpus/block/stored");
const HMAC: &[u8] = include_bytes!("corpus/block/hmac-sha256");
const POOL: &[u8] = include_bytes!("corpus/block/pool");
const RECEIPT: &[u8] = include_bytes!("corpus/block/receipt");
const CERTIFICATE: &[u8] = include_bytes!("corpus/certificate/good");
const PRODUCT_KEY: &[u8; 32] = include_bytes!("corpus/product-key");
const MAC_SECRET: &[u8; 32] = include_bytes!("corpus/mac-secret");

/// Reads bytes as a fuzz target's name says; panics when a promise is broken.
pub(crate) fn judge(target: &str, bytes: &[u8]) {
    match target {
        "block" => judge_block(bytes),
        "certificate" => judge_certificate(bytes),
        "csv" => judge_csv(bytes),
        other => panic!("no such target: {other}"),
    }
}

fn judge_block(bytes: &[u8]) {
    let keys = [*PRODUCT_KEY, [0; 32]];
    assert_eq!(check_block(bytes, &CLAIM, &keys).is_ok(), bytes == ED25519);
    assert_eq!(check_stored_block(bytes, &CLAIM, &keys).is_ok(), bytes == STORED);
    assert_eq!(check_mac_block(bytes, &CLAIM, &[*MAC_SECRET]).is_ok(), bytes == HMAC);
    assert_eq!(check_receipt(bytes, &CLAIM, &keys).is_ok(), bytes == RECEIPT);
    match check_pool_block(bytes, &CLAIM, &keys) {
        Ok(block) => {
            assert_eq!(bytes, POOL);
            assert_eq!(pool_block_bytes(bytes), Some(bytes.len()));
            assert!(block.columns().any(|column| column.bytes == block.code().as_bytes()));
        }
        Err(refusal) => {
            assert_ne!(bytes, POOL);
            assert!(!refusal.to_string().is_empty());
        }
    }
    let valid = |found| matches!(found, BlockFound::Valid(_));
    assert_eq!(valid(look_at(bytes, &CLAIM, &keys)), bytes == ED25519);
    assert_eq!(valid(look_at_stored(bytes, &CLAIM, &keys)), bytes == STORED);
}

fn judge_certificate(bytes: &[u8]) {
    match AllotmentCertificate::from_bytes(bytes) {
        Ok(certificate) => {
            assert_eq!(certificate.as_bytes(), bytes);
            let verified = certificate.verify(&[*PRODUCT_KEY], CLAIM.product);
            assert_eq!(verified.is_ok(), bytes == CERTIFICATE);
        }
        Err(refusal) => assert!(!refusal.to_string().is_empty()),
    }
}

fn judge_csv(bytes: &[u8]) {
    let mut staged = Vec::new();
    match import(bytes, &schema(), &Pepper::new(&[7; 32]), Limits::default(), Shelf(&mut staged)) {
        Ok(()) => {
            let codes = staged;
            let lines = bytes.iter().filter(|&&byte| byte == b'\n').count();
            let rows = if bytes.ends_with(b"\n") { lines - 1 } else { lines };
            assert_eq!(codes.len(), rows, "one line is one row");
            let distinct: BTreeSet<_> = codes.iter().collect();
            assert_eq!(distinct.len(), codes.len(), "codes are unique");
            let plain = |code: &String| code.bytes().all(|byte| byte.is_ascii_graphic());
            assert!(codes.iter().all(plain));
        }
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty() && !text.chars().any(char::is_control), "{text:?}");
            assert!(staged.len() <= bytes.iter().filter(|&&byte| byte == b'\n').count());
        }
    }
}

/// A batch's name, the code, and one secret in each form.
pub(crate) fn schema() -> Schema {
    let column = |name: &str, openness, form, repeats| Column {
        name: name.into(),
        openness,
        form,
        bytes_min: 2,
        bytes_max: 24,
        repeats,
    };
    let columns = vec![
        column("batch", Openness::Public, Form::Text, true),
        column("id", Openness::Public, Form::Text, false),
        column("key", Openness::Secret, Form::Hex, false),
        column("certificate", Openness::Secret, Form::Base64, false),
    ];
    Schema::new(columns, "id", ';').expect("the schema of these targets is one")
}

/// Keeps the codes of the rows that were staged.
struct Shelf<'a>(&'a mut Vec<String>);

impl Staging for Shelf<'_> {
    type Error = Infallible;
    type Kept = ();

    fn seen(&mut self, _: &Column, _: Fingerprint) -> Result<Option<String>, Infallible> {
        Ok(None)
    }

    fn stage(&mut self, row: Row) -> Result<(), Infallible> {
        self.0.push(row.credential.code().to_owned());
        // The heading is line 1, and no line is passed over.
        assert_eq!(row.line as usize, self.0.len() + 1);
        Ok(())
    }

    fn keep(self, rows: u32) -> Result<(), Infallible> {
        assert_eq!(rows as usize, self.0.len());
        Ok(())
    }
}
