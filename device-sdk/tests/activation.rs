//! What firmware is told about its own activation.

use activation::{Allotment, ProductKey, code_for};
use device_sdk::{Activation, BLOCK_BYTES, Refusal, check_activation};
use ring::signature::{Ed25519KeyPair, KeyPair};
use std::sync::Arc;

#[test]
fn firmware_learns_whether_its_chip_is_activated_and_under_which_code() {
    let product_key = ProductKey::from_seed(&[1; 32]).unwrap();
    let station = Arc::new(Ed25519KeyPair::from_seed_unchecked(&[2; 32]).unwrap());
    let station_key = station.public_key().as_ref().try_into().unwrap();
    let keys = [[0; 32], product_key.public()];
    let certificate = product_key.certify("demo-lamp", [3; 16], 10, station_key);
    let allotment = Allotment::take_up(certificate, "demo-lamp", &keys, station).unwrap();
    let uid = [0xDE, 0xAD, 0xBE, 0xEF, 1, 2, 3, 4];
    let block = allotment.issue(9, "nrf52", &uid).unwrap();

    let check = |block: &[u8], uid: &[u8], product: &str, keys, answer| {
        assert_eq!(check_activation(block, uid, product, "nrf52", keys), answer);
    };
    let code = code_for("demo-lamp", "nrf52", &uid);
    check(&block, &uid, "demo-lamp", &keys, Activation::Valid { code });
    check(&[0xFF; BLOCK_BYTES], &uid, "demo-lamp", &keys, Activation::Absent);
    check(&block, &[1; 8], "demo-lamp", &keys, Activation::Invalid(Refusal::OtherChip));
    check(&block, &uid, "demo-fan", &keys, Activation::Invalid(Refusal::OtherProduct));
    let none = [[0; 32]; 2];
    let unsigned = Activation::Invalid(Refusal::CertificateNotSigned);
    check(&block, &uid, "demo-lamp", &none, unsigned);
}
