//! The four modes: each takes its own blocks and refuses the others'.

use crate::world::*;
use activation::pool::check_receipt;
use activation::{
    BLOCK_BYTES, BlockFound, Claim, IssueError, KeyError, MAC_BLOCK_BYTES, MacSecret, Mode,
    ModeError, Openness, POOL_BLOCK_BYTES_MAX, PoolColumn, Refusal, check_block, check_mac_block,
    check_pool_block, check_stored_block, code_for, is_blank, look_at_stored, pool_block_bytes,
};

/// Every mode's own block of one chip, and its check with everything that is right for it.
fn blocks() -> Vec<(Mode, Vec<u8>)> {
    let world = world();
    vec![
        (Mode::Ed25519, world.block().to_vec()),
        (Mode::Stored, world.stored_block().to_vec()),
        (Mode::HmacSha256, mac_block().to_vec()),
        (Mode::Pool, world.pool_block().to_vec()),
    ]
}

fn check_as(mode: Mode, block: &[u8], claim: &Claim<'_>) -> Result<(), Refusal> {
    let keys = world().keys;
    match mode {
        Mode::Ed25519 => check_block(block, claim, &keys).map(drop),
        Mode::Stored => check_stored_block(block, claim, &keys).map(drop),
        Mode::HmacSha256 => {
            check_mac_block(block, claim, &[*mac_secret().as_bytes(), [0; 32]]).map(drop)
        }
        Mode::Pool => check_pool_block(block, claim, &keys).map(drop),
    }
}

/// The bytes a reader of `mode` takes from flash where `block` lies in front of erased bytes.
fn as_long_as_in(mode: Mode, block: &[u8]) -> Vec<u8> {
    let mut bytes = block.to_vec();
    match mode {
        Mode::Ed25519 | Mode::Stored => bytes.resize(BLOCK_BYTES, 0xFF),
        Mode::HmacSha256 => bytes.resize(MAC_BLOCK_BYTES, 0xFF),
        Mode::Pool => {}
    }
    bytes
}

#[test]
fn each_mode_takes_its_own_block_and_refuses_the_others_by_name() {
    for asked in Mode::ALL {
        for (made, block) in blocks() {
            let answer = check_as(asked, &as_long_as_in(asked, &block), &claim());
            if asked == made {
                assert_eq!(answer, Ok(()), "{asked}");
            } else {
                let refusal = Refusal::OtherMode { mode: made.number() };
                assert_eq!(answer, Err(refusal), "{made} block given to {asked}");
            }
        }
    }
}

#[test]
fn a_block_whose_mode_byte_is_rewritten_is_refused_in_the_mode_it_claims() {
    for asked in Mode::ALL {
        for (made, block) in blocks().into_iter().filter(|(made, _)| *made != asked) {
            let mut forged = as_long_as_in(asked, &block);
            forged[5] = asked.number();
            assert!(check_as(asked, &forged, &claim()).is_err(), "{made} as {asked}");
        }
    }
    // The nearest pair shares every other byte: only the signature tells them apart.
    let mut forged = world().stored_block();
    forged[5] = Mode::Ed25519.number();
    assert_eq!(check_as(Mode::Ed25519, &forged, &claim()), Err(Refusal::BlockNotSigned));
}

#[test]
fn in_every_mode_every_flipped_bit_and_every_cut_is_refused() {
    for (mode, good) in blocks() {
        for at in 0..good.len() {
            assert!(check_as(mode, &good[..at], &claim()).is_err(), "{mode} cut at {at}");
            for flip in [0x01, 0x10, 0x80] {
                let mut bad = good.clone();
                bad[at] ^= flip;
                assert!(check_as(mode, &bad, &claim()).is_err(), "{mode} byte {at} ^ {flip:#04x}");
            }
        }
        let longer = [good.as_slice(), &[0xFF; 32]].concat();
        assert!(check_as(mode, &longer, &claim()).is_err(), "{mode} lengthened");
    }
}

#[test]
fn in_every_mode_another_product_family_or_chip_is_refused_by_name() {
    let other_uid = [1, 2, 3, 4, 5, 6, 7, 9];
    for (mode, block) in blocks() {
        let check = |claim: Claim<'_>, refusal| {
            assert_eq!(check_as(mode, &block, &claim), Err(refusal), "{mode} {claim:?}");
        };
        check(Claim { product: "demo-fan", ..claim() }, Refusal::OtherProduct);
        check(Claim { family: "nrf51", ..claim() }, Refusal::OtherFamily);
        check(Claim { uid: &other_uid, ..claim() }, Refusal::OtherChip);
        check(Claim { uid: &UID[..7], ..claim() }, Refusal::OtherChip);
        check(Claim { uid: &[], ..claim() }, Refusal::ClaimUnusable);
        check(Claim { product: "", ..claim() }, Refusal::ClaimUnusable);
    }
}

#[test]
fn a_stored_block_says_what_an_ed25519_block_says_to_those_who_may_check_it() {
    let world = world();
    let block = world.stored_block();
    let stored = check_stored_block(&block, &claim(), &world.keys).unwrap();
    assert_eq!(stored, check_block(&world.block(), &claim(), &world.keys).unwrap());
    assert_eq!(look_at_stored(&block, &claim(), &world.keys), BlockFound::Valid(stored));
    assert_eq!(look_at_stored(&[0xFF; 288], &claim(), &world.keys), BlockFound::Blank);
    let foreign = look_at_stored(&world.block(), &claim(), &world.keys);
    assert_eq!(foreign, BlockFound::Foreign(Refusal::OtherMode { mode: 1 }));
    let issued = world.allotment().issue_stored(QUOTA, FAMILY, &UID);
    assert_eq!(issued, Err(IssueError::IndexBeyondQuota { index: QUOTA, quota: QUOTA }));
}

#[test]
fn a_mac_block_is_good_under_the_current_and_the_next_secret_and_no_other() {
    let (block, secret) = (mac_block(), *mac_secret().as_bytes());
    let check = |secrets: &[[u8; 32]], answer| {
        let found = check_mac_block(&block, &claim(), secrets).map(|block| block.code());
        assert_eq!(found, answer, "{secrets:02x?}");
    };
    let code = Ok(code_for(PRODUCT, FAMILY, &UID));
    let stranger = seed_of("a stranger");
    check(&[secret, NO_KEY], code);
    check(&[NO_KEY, secret], code);
    check(&[stranger, secret], code);
    check(&[stranger, NO_KEY], Err(Refusal::MacWrong));
    check(&[], Err(Refusal::MacWrong));
    let found = check_mac_block(&block, &claim(), &[secret]).unwrap();
    assert_eq!((found.allotment(), found.index()), (ALLOTMENT, 7));
}

#[test]
fn a_mac_made_with_the_absent_secret_of_zeros_is_refused() {
    assert!(matches!(MacSecret::from_bytes(&NO_KEY), Err(KeyError::NotASecret)));
    let mut block = mac_block();
    let mut message = b"flashline activation mac block".to_vec();
    message.resize(32, 0);
    message.extend_from_slice(&block[..128]);
    let tag = |secret: &[u8; 32]| {
        ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret), &message)
    };
    // The message is built rightly: with the real secret it is the block's own tag.
    assert_eq!(tag(mac_secret().as_bytes()).as_ref(), &block[128..]);
    block[128..].copy_from_slice(tag(&NO_KEY).as_ref());
    assert_eq!(check_mac_block(&block, &claim(), &[NO_KEY, NO_KEY]), Err(Refusal::MacWrong));
}

#[test]
fn a_mac_secret_is_random_and_shows_nothing() {
    let random = ring::rand::SystemRandom::new();
    let (one, two) = (MacSecret::generate(&random).unwrap(), MacSecret::generate(&random).unwrap());
    assert_ne!(one.as_bytes(), two.as_bytes());
    assert_eq!(format!("{one:?}"), "MacSecret");
    let issued = one.issue(PRODUCT, ALLOTMENT, 0, "", &UID);
    assert_eq!(issued, Err(IssueError::ChipUnusable));
}

#[test]
fn a_pool_block_gives_its_credential_column_by_column_and_its_code() {
    let world = world();
    let bytes = world.pool_block();
    assert_eq!(pool_block_bytes(&bytes), Some(bytes.len()));
    assert_eq!(bytes.len() % 32, 0);
    let block = check_pool_block(&bytes, &claim(), &world.keys).unwrap();
    assert_eq!(block.code(), "lamp-0007");
    assert_eq!((block.allotment(), block.index(), block.quota()), (ALLOTMENT, 7, QUOTA));
    assert_eq!(block.station_key(), public_of(&world.station_key));
    let columns: Vec<_> = block.columns().map(|column| (column.openness, column.bytes)).collect();
    let secret = hex::decode("00112233445566778899aabbccddeeff").unwrap();
    assert_eq!(
        columns,
        [
            (Openness::Public, b"a1ZxLamp".as_slice()),
            (Openness::Public, b"lamp-0007"),
            (Openness::Secret, secret.as_slice()),
        ]
    );
    let shown = format!("{block:?} {:?}", block.columns().collect::<Vec<_>>());
    assert!(shown.contains("lamp-0007") && shown.contains("Secret(16 bytes)"), "{shown}");
    assert!(!shown.contains("17, 34") && !shown.contains("0x11"), "{shown}");
}

#[test]
fn the_head_of_something_else_is_no_pool_block() {
    let good = world().pool_block();
    let check = |head: &[u8], bytes| assert_eq!(pool_block_bytes(head), bytes, "{head:02x?}");
    check(&good[..8], Some(good.len()));
    check(&good[..7], None);
    check(&[], None);
    check(&[0xFF; 8], None);
    check(&world().block(), None);
    check(b"FLAB\x01\x04\x20\x10", None);
    check(b"FLAB\x02\x04\x20\x01", None);
}

#[test]
fn malformed_pool_blocks_are_refused_even_when_properly_signed() {
    let world = world();
    let good = world.pool_block();
    let area = usize::from(u16::from_le_bytes([good[226], good[227]]));
    let check = |change: &dyn Fn(&mut Vec<u8>), refusal| {
        let mut odd = good.to_vec();
        change(&mut odd);
        resign(&mut odd, &world);
        let found = check_pool_block(&odd, &claim(), &world.keys).map(drop);
        assert_eq!(found, Err(refusal), "{odd:02x?}");
    };
    check(&|odd| odd[6] ^= 32, Refusal::Malformed);
    check(&|odd| odd[48] = b'B', Refusal::Malformed);
    check(&|odd| odd[67] = 1, Refusal::Malformed);
    check(&|odd| odd[224] = 2, Refusal::Malformed);
    check(&|odd| odd[224] = 4, Refusal::Malformed);
    check(&|odd| odd[224] = 17, Refusal::Malformed);
    check(&|odd| odd[225] = 2, Refusal::Malformed);
    check(&|odd| odd[225] = 3, Refusal::Malformed);
    check(&|odd| odd[226] = 0xFF, Refusal::Malformed);
    check(&|odd| odd[226] += 1, Refusal::Malformed);
    check(&|odd| odd[228] += 1, Refusal::Malformed);
    check(&|odd| odd[230] = 2, Refusal::Malformed);
    check(&|odd| odd[231] = 1, Refusal::Malformed);
    check(&|odd| odd[228 + 4 + 8 + 4] = b' ', Refusal::Malformed);
    check(&|odd| odd[228 + 4 + 8 + 4] = 0xFF, Refusal::Malformed);
    check(&|odd| odd[228 + area] = 1, Refusal::Malformed);
    let index = |odd: &mut Vec<u8>| odd[44..48].copy_from_slice(&QUOTA.to_le_bytes());
    check(&index, Refusal::IndexBeyondQuota { index: QUOTA, quota: QUOTA });
    // One word longer than it needs to be.
    let longer = |odd: &mut Vec<u8>| {
        odd.resize(odd.len() + 32, 0);
        let bytes = (odd.len() as u16).to_le_bytes();
        odd[6..8].copy_from_slice(&bytes);
    };
    check(&longer, Refusal::Malformed);
    let check = |bytes: &[u8]| {
        let found = check_pool_block(bytes, &claim(), &world.keys).map(drop);
        assert_eq!(found, Err(Refusal::WrongSize { found: bytes.len() }));
    };
    check(&[]);
    check(&good[..32]);
    check(&good[..good.len() - 1]);
    check(&vec![0xFF; POOL_BLOCK_BYTES_MAX + 32]);
}

#[test]
fn credentials_that_a_pool_block_cannot_hold_are_not_issued() {
    let allotment = world().allotment();
    let public = |bytes| PoolColumn { openness: Openness::Public, bytes };
    let secret = |bytes| PoolColumn { openness: Openness::Secret, bytes };
    let long = vec![b'a'; 4096];
    let check = |columns: &[PoolColumn<'_>], code, made: bool| {
        let issued = allotment.issue_pool(0, FAMILY, &UID, columns, code);
        match issued {
            Ok(block) => {
                assert!(made, "{columns:?}");
                check_pool_block(&block, &claim(), &world().keys).unwrap();
            }
            Err(error) => {
                assert!(!made, "{columns:?}");
                assert_eq!(error, IssueError::CredentialUnusable);
            }
        }
    };
    check(&[public(b"code")], 0, true);
    check(&[public(&long[..64])], 0, true);
    check(&[secret(&[]), public(b"code")], 1, true);
    check(&[public(b"c"); 16], 15, true);
    check(&[public(b"c"), secret(&long[..3790])], 0, true);
    check(&[public(b"c"), secret(&long[..3800])], 0, false);
    check(&[public(b"c"); 17], 0, false);
    check(&[], 0, false);
    check(&[public(b"code")], 1, false);
    check(&[secret(b"code")], 0, false);
    check(&[public(b"")], 0, false);
    check(&[public(&long[..65])], 0, false);
    check(&[public("灯".as_bytes())], 0, false);
    check(&[public(b"a b")], 0, false);
}

#[test]
fn a_receipt_is_proven_for_its_chip_and_refused_when_one_byte_is_another() {
    let world = world();
    let good = world.receipt();
    let receipt = check_receipt(&good, &claim(), &world.keys).unwrap();
    assert_eq!((receipt.code(), receipt.index()), ("lamp-0007", 7));
    assert_eq!(receipt.allotment(), ALLOTMENT);
    assert_eq!(receipt.credential(), sealed(7).digest());
    assert_eq!(receipt.station_key(), public_of(&world.station_key));
    for at in 0..good.len() {
        let mut bad = good;
        bad[at] ^= 0x04;
        assert!(check_receipt(&bad, &claim(), &world.keys).is_err(), "byte {at}");
        assert!(check_receipt(&good[..at], &claim(), &world.keys).is_err(), "cut at {at}");
    }
    let clone = Claim { uid: &[9; 8], ..claim() };
    assert_eq!(check_receipt(&good, &clone, &world.keys), Err(Refusal::OtherChip));
    let fan = Claim { product: "demo-fan", ..claim() };
    assert_eq!(check_receipt(&good, &fan, &world.keys), Err(Refusal::OtherProduct));
    let unknown = check_receipt(&good, &claim(), &[NO_KEY]);
    assert_eq!(unknown, Err(Refusal::CertificateNotSigned));
    // A pool block is no receipt, a receipt no pool block.
    let pool_block = world.pool_block();
    let cut = check_receipt(&pool_block[..good.len().min(pool_block.len())], &claim(), &world.keys);
    assert!(cut.is_err());
    assert!(check_pool_block(&good[..352], &claim(), &world.keys).is_err());
}

#[test]
fn modes_are_numbered_and_named_for_ever() {
    let named: Vec<_> = Mode::ALL.iter().map(|mode| (mode.number(), mode.as_str())).collect();
    assert_eq!(named, [(1, "ed25519"), (2, "stored"), (3, "hmac-sha256"), (4, "pool")]);
    for mode in Mode::ALL {
        assert_eq!(Mode::of(mode.number()), Some(mode));
        assert_eq!(mode.as_str().parse(), Ok(mode));
    }
    assert_eq!((Mode::of(0), Mode::of(5)), (None, None));
    assert_eq!("Ed25519".parse::<Mode>(), Err(ModeError));
}

#[test]
fn blank_is_erased_flash_and_nothing_else() {
    let check = |bytes: &[u8], blank| assert_eq!(is_blank(bytes), blank, "{bytes:02x?}");
    check(&[0xFF], true);
    check(&[0xFF; 160], true);
    check(&[], false);
    check(&[0xFF, 0xFE], false);
    check(&[0], false);
}

/// Signs a tampered pool block as the station would.
fn resign(block: &mut [u8], world: &World) {
    let (body, signature) = block.split_at_mut(block.len() - 64);
    let mut message = b"flashline pool block".to_vec();
    message.resize(32, 0);
    message.extend_from_slice(ring::digest::digest(&ring::digest::SHA256, body).as_ref());
    signature.copy_from_slice(world.station_key.sign(&message).as_ref());
}
