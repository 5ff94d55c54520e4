//! Blocks: which are taken, which are refused and why.

use crate::world::*;
use activation::{
    Allotment, AllotmentCertificate, BLOCK_BYTES, BlockFound, CERTIFICATE_BYTES, Claim, IssueError,
    ProductKey, Refusal, check_block, code_for, look_at,
};

#[test]
fn a_block_made_for_a_chip_is_valid_for_it_and_says_where_it_came_from() {
    let world = world();
    let block = check_block(&world.block(), &claim(), &world.keys).unwrap();
    assert_eq!(block.code(), code_for(PRODUCT, FAMILY, &UID));
    assert_eq!(block.allotment(), ALLOTMENT);
    assert_eq!(block.index(), 7);
    assert_eq!(block.quota(), QUOTA);
    assert_eq!(block.station_key(), public_of(&world.station_key));
}

#[test]
fn every_flipped_bit_of_a_block_is_refused() {
    let world = world();
    let good = world.block();
    for at in 0..BLOCK_BYTES {
        for flip in (0..8).map(|bit| 1 << bit) {
            let mut bad = good;
            bad[at] ^= flip;
            assert!(check_block(&bad, &claim(), &world.keys).is_err(), "byte {at} ^ {flip:#04x}");
        }
    }
}

#[test]
fn every_truncated_or_lengthened_block_is_refused() {
    let world = world();
    let mut bytes = world.block().to_vec();
    bytes.push(0xFF);
    for found in (0..BLOCK_BYTES).chain([BLOCK_BYTES + 1]) {
        assert_eq!(
            check_block(&bytes[..found], &claim(), &world.keys),
            Err(Refusal::WrongSize { found })
        );
    }
}

#[test]
fn a_block_for_another_product_family_or_chip_is_refused_by_name() {
    let world = world();
    let block = world.block();
    let check = |claim: Claim<'_>, refusal| {
        assert_eq!(check_block(&block, &claim, &world.keys), Err(refusal), "{claim:?}");
    };
    check(Claim { product: "demo-fan", ..claim() }, Refusal::OtherProduct);
    check(Claim { product: "demo-lam", ..claim() }, Refusal::OtherProduct);
    check(Claim { family: "nrf51", ..claim() }, Refusal::OtherFamily);
    check(Claim { family: "nrf5", ..claim() }, Refusal::OtherFamily);
    check(Claim { uid: &[1, 2, 3, 4, 5, 6, 7, 9], ..claim() }, Refusal::OtherChip);
    check(Claim { uid: &UID[..7], ..claim() }, Refusal::OtherChip);
    check(Claim { uid: &[1, 2, 3, 4, 5, 6, 7, 8, 0], ..claim() }, Refusal::OtherChip);
    check(Claim { uid: &[], ..claim() }, Refusal::ClaimUnusable);
    check(Claim { uid: &[1; 17], ..claim() }, Refusal::ClaimUnusable);
    check(Claim { family: "", ..claim() }, Refusal::ClaimUnusable);
    check(Claim { family: "a-family-too-long", ..claim() }, Refusal::ClaimUnusable);
    check(Claim { product: "", ..claim() }, Refusal::ClaimUnusable);
    check(Claim { product: &"p".repeat(65), ..claim() }, Refusal::ClaimUnusable);
}

#[test]
fn current_and_next_product_key_are_both_accepted_and_a_stranger_is_not() {
    let world = world();
    let (block, current) = (world.block(), world.product_key.public());
    let stranger = product_key("a stranger").public();
    let check = |keys: &[[u8; 32]], accepted: bool| {
        assert_eq!(check_block(&block, &claim(), keys).is_ok(), accepted, "{keys:02x?}");
    };
    check(&[current, NO_KEY], true);
    check(&[NO_KEY, current], true);
    check(&[stranger, current], true);
    check(&[current], true);
    check(&[stranger, NO_KEY], false);
    check(&[NO_KEY, NO_KEY], false);
    check(&[], false);
    assert_eq!(
        check_block(&block, &claim(), &[stranger, NO_KEY]),
        Err(Refusal::CertificateNotSigned)
    );
}

#[test]
fn an_absent_product_key_of_zeros_verifies_nothing_even_when_the_hint_matches() {
    let world = world();
    let mut block = world.block();
    // The hint says "key 00 00": the all-zero key is then tried, and must not verify.
    block[68 + 6..68 + 8].fill(0);
    // R = identity point, S = 0: the classic signature that small-order keys accept.
    block[68 + 92..68 + 156].fill(0);
    block[68 + 92] = 1;
    assert_eq!(
        check_block(&block, &claim(), &[NO_KEY, NO_KEY]),
        Err(Refusal::CertificateNotSigned)
    );
}

#[test]
fn indices_below_the_quota_are_issued_and_others_are_not() {
    let world = world();
    let allotment = world.allotment();
    for index in [0, 1, QUOTA - 1] {
        let block = allotment.issue(index, FAMILY, &UID).unwrap();
        assert_eq!(check_block(&block, &claim(), &world.keys).unwrap().index(), index);
    }
    for index in [QUOTA, QUOTA + 1, u32::MAX] {
        assert_eq!(
            allotment.issue(index, FAMILY, &UID),
            Err(IssueError::IndexBeyondQuota { index, quota: QUOTA })
        );
    }
}

#[test]
fn a_thief_of_the_station_key_gains_no_index_beyond_the_quota() {
    let world = world();
    for index in [QUOTA, u32::MAX] {
        let mut forged = world.block();
        forged[44..48].copy_from_slice(&index.to_le_bytes());
        resign(&mut forged, &world);
        assert_eq!(
            check_block(&forged, &claim(), &world.keys),
            Err(Refusal::IndexBeyondQuota { index, quota: QUOTA })
        );
    }
    // The thief raises the quota in the certificate: then the product key's signature breaks.
    let mut forged = world.block();
    forged[44..48].copy_from_slice(&QUOTA.to_le_bytes());
    forged[68 + 56..68 + 60].copy_from_slice(&(QUOTA + 1).to_le_bytes());
    resign(&mut forged, &world);
    assert_eq!(check_block(&forged, &claim(), &world.keys), Err(Refusal::CertificateNotSigned));
}

#[test]
fn a_quota_of_nothing_allows_nothing() {
    let world = world();
    let none = world.product_key.certify(PRODUCT, ALLOTMENT, 0, public_of(&world.station_key));
    let allotment =
        Allotment::take_up(none, PRODUCT, &world.keys, world.station_key.clone()).unwrap();
    assert_eq!(
        allotment.issue(0, FAMILY, &UID),
        Err(IssueError::IndexBeyondQuota { index: 0, quota: 0 })
    );
}

#[test]
fn a_block_signed_by_a_station_without_the_allotment_is_refused() {
    let world = world();
    let thief = World { station_key: station_key("another station"), ..self::world() };
    let mut forged = world.block();
    resign(&mut forged, &thief);
    assert_eq!(check_block(&forged, &claim(), &world.keys), Err(Refusal::BlockNotSigned));
}

#[test]
fn a_block_copied_to_another_chip_with_its_uid_rewritten_needs_the_station_key() {
    let world = world();
    let mut copied = world.block();
    let clone = [9; 8];
    copied[28..36].copy_from_slice(&clone);
    let claim = Claim { uid: &clone, ..claim() };
    assert_eq!(check_block(&copied, &claim, &world.keys), Err(Refusal::OtherCode));
    let code = code_for(PRODUCT, FAMILY, &clone);
    copied[48..65].copy_from_slice(&code.to_symbols());
    assert_eq!(check_block(&copied, &claim, &world.keys), Err(Refusal::BlockNotSigned));
}

#[test]
fn malformed_fields_are_refused_even_when_properly_signed() {
    let world = world();
    let check = |at: usize, value: u8, refusal| {
        let mut odd = world.block();
        odd[at] = value;
        resign(&mut odd, &world);
        assert_eq!(check_block(&odd, &claim(), &world.keys), Err(refusal), "byte {at} = {value}");
    };
    check(0, b'f', Refusal::NotOurs);
    check(4, 0, Refusal::UnknownVersion { version: 0 });
    check(4, 2, Refusal::UnknownVersion { version: 2 });
    check(5, 0, Refusal::UnknownScheme { scheme: 0 });
    check(5, 2, Refusal::OtherMode { mode: 2 });
    check(5, 5, Refusal::UnknownScheme { scheme: 5 });
    check(6, 0, Refusal::Malformed);
    check(7, 0, Refusal::Malformed);
    check(8, 17, Refusal::Malformed);
    check(8, 4, Refusal::Malformed);
    check(8, 0, Refusal::Malformed);
    check(8, 6, Refusal::OtherFamily);
    check(9, 255, Refusal::Malformed);
    check(9, 7, Refusal::Malformed);
    check(9, 9, Refusal::OtherChip);
    check(10, 1, Refusal::Malformed);
    check(11, 1, Refusal::Malformed);
    check(27, 1, Refusal::Malformed);
    check(43, 1, Refusal::Malformed);
    check(48, b'!', Refusal::OtherCode);
    check(65, 1, Refusal::Malformed);
    check(67, b'A', Refusal::Malformed);
    check(68, b'f', Refusal::NotOurs);
    check(72, 9, Refusal::UnknownVersion { version: 9 });
    check(73, 0, Refusal::UnknownScheme { scheme: 0 });
    check(74, 0, Refusal::CertificateNotSigned);
}

#[test]
fn erased_flash_is_blank_and_nearly_erased_flash_is_not() {
    let world = world();
    let mut bytes = [0xFF; BLOCK_BYTES];
    assert_eq!(look_at(&bytes, &claim(), &world.keys), BlockFound::Blank);
    for at in [0, 100, BLOCK_BYTES - 1] {
        bytes[at] = 0xFE;
        assert!(matches!(look_at(&bytes, &claim(), &world.keys), BlockFound::Foreign(_)));
        bytes[at] = 0xFF;
    }
    assert_eq!(
        look_at(&bytes[..4], &claim(), &world.keys),
        BlockFound::Foreign(Refusal::WrongSize { found: 4 })
    );
    assert_eq!(
        look_at(&[0; BLOCK_BYTES], &claim(), &world.keys),
        BlockFound::Foreign(Refusal::NotOurs)
    );
    assert!(matches!(look_at(&world.block(), &claim(), &world.keys), BlockFound::Valid(_)));
}

#[test]
fn a_write_cut_short_is_never_valid() {
    let world = world();
    let block = world.block();
    for written in (0..BLOCK_BYTES).step_by(4) {
        let mut torn = [0xFF; BLOCK_BYTES];
        torn[..written].copy_from_slice(&block[..written]);
        let found = look_at(&torn, &claim(), &world.keys);
        assert_eq!(found == BlockFound::Blank, written == 0, "{written} bytes written");
        assert!(!matches!(found, BlockFound::Valid(_)), "{written} bytes written");
    }
}

#[test]
fn the_same_index_and_chip_give_the_same_bytes_again() {
    assert_eq!(world().block(), world().block());
}

#[test]
fn an_allotment_is_taken_up_only_with_a_proven_certificate_and_its_own_key() {
    let world = world();
    let (certificate, key) = (world.certificate(), world.station_key.clone());
    let refused = |certificate, product: &str, keys: &[[u8; 32]], key| {
        Allotment::take_up(certificate, product, keys, key).unwrap_err()
    };
    assert_eq!(
        refused(certificate, "demo-fan", &world.keys, key.clone()),
        IssueError::Certificate(Refusal::OtherProduct)
    );
    assert_eq!(
        refused(certificate, PRODUCT, &[NO_KEY; 2], key.clone()),
        IssueError::Certificate(Refusal::CertificateNotSigned)
    );
    assert_eq!(
        refused(certificate, PRODUCT, &world.keys, station_key("another station")),
        IssueError::OtherStation
    );
    let overlong = world.product_key.certify(&"p".repeat(65), ALLOTMENT, 1, public_of(&key));
    assert_eq!(
        refused(overlong, &"p".repeat(65), &world.keys, key),
        IssueError::Certificate(Refusal::ClaimUnusable)
    );
}

#[test]
fn chips_that_a_block_cannot_name_are_not_activated() {
    let allotment = world().allotment();
    for (family, uid) in
        [("", &UID[..]), (FAMILY, &[]), (FAMILY, &[0; 17]), ("seventeen letters", &UID)]
    {
        assert_eq!(allotment.issue(0, family, uid), Err(IssueError::ChipUnusable));
    }
}

#[test]
fn every_flipped_byte_of_a_certificate_is_refused() {
    let world = world();
    let good = world.certificate();
    good.verify(&world.keys, PRODUCT).unwrap();
    for at in 0..CERTIFICATE_BYTES {
        let mut bad = *good.as_bytes();
        bad[at] ^= 0x10;
        let refused = AllotmentCertificate::from_bytes(&bad)
            .and_then(|certificate| certificate.verify(&world.keys, PRODUCT));
        assert!(refused.is_err(), "byte {at}");
    }
}

#[test]
fn a_certificate_survives_bytes_and_json() {
    let certificate = world().certificate();
    assert_eq!(AllotmentCertificate::from_bytes(certificate.as_bytes()), Ok(certificate));
    let json = serde_json::to_string(&certificate).unwrap();
    assert_eq!(json, format!("\"{}\"", hex::encode(certificate.as_bytes())));
    assert_eq!(serde_json::from_str::<AllotmentCertificate>(&json).unwrap(), certificate);
    for bad in ["\"\"", "\"46\"", "7", &json.replace("464c4143", "464c4142")] {
        assert!(serde_json::from_str::<AllotmentCertificate>(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_product_key_survives_pkcs8_and_its_debug_form_holds_no_secret() {
    let key = product_key("some key");
    let again = ProductKey::from_pkcs8(key.to_pkcs8()).unwrap();
    assert_eq!(again.public(), key.public());
    assert!(ProductKey::from_pkcs8(&key.to_pkcs8()[1..]).is_err());
    assert!(!format!("{key:?}").contains(&format!("{:?}", &seed_of("some key")[..4])));
    let random = ring::rand::SystemRandom::new();
    let (one, two) =
        (ProductKey::generate(&random).unwrap(), ProductKey::generate(&random).unwrap());
    assert_ne!(one.public(), two.public());
}

#[test]
fn refusal_numbers_are_distinct_and_fixed() {
    let numbers = [
        Refusal::ClaimUnusable,
        Refusal::WrongSize { found: 0 },
        Refusal::NotOurs,
        Refusal::UnknownVersion { version: 0 },
        Refusal::UnknownScheme { scheme: 0 },
        Refusal::Malformed,
        Refusal::OtherProduct,
        Refusal::OtherFamily,
        Refusal::OtherChip,
        Refusal::OtherCode,
        Refusal::IndexBeyondQuota { index: 0, quota: 0 },
        Refusal::CertificateNotSigned,
        Refusal::BlockNotSigned,
        Refusal::OtherMode { mode: 0 },
        Refusal::MacWrong,
    ]
    .map(|refusal| refusal.number());
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
}

/// Signs a tampered block as the station would.
fn resign(block: &mut [u8; BLOCK_BYTES], world: &World) {
    let mut message = b"flashline activation block".to_vec();
    message.resize(32, 0);
    message.extend_from_slice(&block[..224]);
    block[224..].copy_from_slice(world.station_key.sign(&message).as_ref());
}
