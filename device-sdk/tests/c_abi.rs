//! The C interface: a C program that gcc compiles against the header and links with the static
//! library, as firmware is; and the same functions called with what nobody should hand over.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod staticlib;

use device_sdk::c::{self, ABSENT, BAD_CALL, CODE_ROOM, Chip, Column, POOL_CODE_ROOM, VALID};
use device_sdk::{BLOCK_BYTES, COLUMNS_MAX, MAC_BLOCK_BYTES, POOL_BLOCK_BYTES_MAX, Refusal};
use staticlib::run;
use std::ffi::{CString, c_char};
use std::process::Command;
use std::ptr;

const PRODUCT: &str = "demo-lamp";
const FAMILY: &str = "nrf52";
const UID: &str = "0102030405060708";
const CODE: &str = "BWHA-HYG6-8W71-2FVB-Z";

/// The blocks of the worked examples of activation/FORMAT.md, which that room checks.
const BLOCK: &[u8] = include_bytes!("../../activation/fuzz/corpus/block/ed25519");
const STORED: &[u8] = include_bytes!("../../activation/fuzz/corpus/block/stored");
const MAC_BLOCK: &[u8] = include_bytes!("../../activation/fuzz/corpus/block/hmac-sha256");
const POOL_BLOCK: &[u8] = include_bytes!("../../activation/fuzz/corpus/block/pool");
const PRODUCT_KEY: &[u8; 32] = include_bytes!("../../activation/fuzz/corpus/product-key");
const MAC_SECRET: &[u8; 32] = include_bytes!("../../activation/fuzz/corpus/mac-secret");

#[test]
fn a_c_program_takes_its_own_chips_blocks_and_refuses_the_others() {
    let judge = staticlib::program("judge");
    let key = format!("{}{}", hex::encode([0; 32]), hex::encode(PRODUCT_KEY));
    let secret = format!("{}{}", hex::encode(MAC_SECRET), hex::encode([0; 32]));
    let check = |mode: &str, product: &str, uid: &str, keys: &str, block: &[u8], says: &str| {
        let arguments = [mode, product, FAMILY, uid, keys, &hex::encode(block)];
        assert_eq!(run(Command::new(&judge).args(arguments)), says, "{mode} {product} {uid}");
    };
    let valid = format!("0 {CODE}\n");
    check("ed25519", PRODUCT, UID, &key, BLOCK, &valid);
    check("ed25519", PRODUCT, "0102030405060709", &key, BLOCK, "9 untouched\n");
    check("ed25519", "demo-fan", UID, &key, BLOCK, "7 untouched\n");
    check("ed25519", PRODUCT, UID, &secret, BLOCK, "12 untouched\n");
    check("ed25519", PRODUCT, UID, &key, STORED, "14 untouched\n");
    check("ed25519", PRODUCT, UID, &key, &[0xFF; BLOCK_BYTES], "-1 untouched\n");
    check("ed25519", PRODUCT, UID, &key, &BLOCK[..287], "2 untouched\n");
    check("ed25519", PRODUCT, "", &key, BLOCK, "1 untouched\n");
    check("ed25519", PRODUCT, &"01".repeat(17), &key, BLOCK, "1 untouched\n");
    check("hmac-sha256", PRODUCT, UID, &secret, MAC_BLOCK, &valid);
    check("hmac-sha256", PRODUCT, "0102030405060709", &secret, MAC_BLOCK, "9 untouched\n");
    check("hmac-sha256", PRODUCT, UID, &key, MAC_BLOCK, "15 untouched\n");
    check("hmac-sha256", PRODUCT, UID, &secret, &[0xFF; MAC_BLOCK_BYTES], "-1 untouched\n");
    let columns = "0 lamp-0007\npublic 61315a784c616d70\npublic 6c616d702d30303037\n\
        secret 00112233445566778899aabbccddeeff\n";
    check("pool", PRODUCT, UID, &key, POOL_BLOCK, columns);
    check("pool", PRODUCT, UID, &key, &[POOL_BLOCK, &[0xFF; 100]].concat(), columns);
    check("pool", PRODUCT, "0102030405060709", &key, POOL_BLOCK, "9 untouched\n");
    check("pool", PRODUCT, UID, &key, &POOL_BLOCK[..350], "2 untouched\n");
    check("pool", PRODUCT, UID, &key, &[0xFF; POOL_BLOCK_BYTES_MAX], "-1 untouched\n");
    check("pool", PRODUCT, UID, &key, &[0; 64], "3 untouched\n");
    check("pool", PRODUCT, UID, &key, BLOCK, "14 untouched\n");
}

/// What a chip says of itself, in C's types, kept alive together.
struct Said {
    product: CString,
    family: CString,
    uid: Vec<u8>,
    keys: [[u8; 32]; 2],
}

impl Said {
    fn new() -> Self {
        let text = |text| CString::new(text).unwrap();
        let (product, family) = (text(PRODUCT), text(FAMILY));
        Self { product, family, uid: hex::decode(UID).unwrap(), keys: [*PRODUCT_KEY, *MAC_SECRET] }
    }

    fn chip(&self) -> Chip {
        Chip {
            product: self.product.as_ptr(),
            family: self.family.as_ptr(),
            uid: self.uid.as_ptr(),
            uid_bytes: self.uid.len(),
            keys: &raw const self.keys,
        }
    }
}

#[allow(unsafe_code, reason = "the interface under test is C's")]
fn check(block: &[u8], chip: *const Chip) -> (i32, Vec<c_char>) {
    let mut code = vec![0x55; CODE_ROOM + 1];
    // SAFETY: all pointers are to live values of the sizes stated, or null where that is allowed.
    let answer =
        unsafe { c::flashline_check(block.as_ptr(), block.len(), chip, code.as_mut_ptr()) };
    (answer, code)
}

#[test]
fn what_no_program_should_hand_over_is_a_bad_call_and_touches_nothing() {
    let said = Said::new();
    let chip = said.chip();
    let (answer, code) = check(BLOCK, &raw const chip);
    assert_eq!(answer, VALID);
    let text: Vec<u8> = code.iter().map(|&byte| byte as u8).collect();
    assert_eq!(text, [CODE.as_bytes(), b"\0\x55"].concat(), "the code, its NUL, and no byte more");

    let bad = |change: &dyn Fn(&mut Chip), expected: i32| {
        let mut chip = said.chip();
        change(&mut chip);
        let (answer, code) = check(BLOCK, &raw const chip);
        assert_eq!(answer, expected);
        assert!(code.iter().all(|&byte| byte == 0x55), "the code was touched");
    };
    bad(&|chip| chip.product = ptr::null(), BAD_CALL);
    bad(&|chip| chip.family = ptr::null(), BAD_CALL);
    bad(&|chip| chip.uid = ptr::null(), BAD_CALL);
    bad(&|chip| chip.keys = ptr::null(), BAD_CALL);
    let endless = [b'a' as c_char; 65];
    bad(&|chip| chip.product = endless.as_ptr(), BAD_CALL);
    bad(&|chip| chip.family = endless.as_ptr(), BAD_CALL);
    let not_utf8 = [0xC3_u8 as c_char, 0];
    bad(&|chip| chip.product = not_utf8.as_ptr(), BAD_CALL);
    let claim = i32::from(Refusal::ClaimUnusable.number());
    let empty = [0];
    bad(&|chip| chip.product = empty.as_ptr(), claim);
    bad(&|chip| chip.uid_bytes = 0, claim);
    let longer = [1; 17];
    bad(
        &|chip| {
            chip.uid = longer.as_ptr();
            chip.uid_bytes = usize::MAX;
        },
        claim,
    );
    assert_eq!(check(BLOCK, ptr::null()).0, BAD_CALL);
}

#[test]
#[allow(unsafe_code, reason = "the interface under test is C's")]
fn every_pointer_that_may_be_null_may_be_null_and_room_is_kept_to() {
    let said = Said::new();
    let chip = said.chip();
    let (chip, null) = (&raw const chip, ptr::null_mut());
    let (block, bytes) = (POOL_BLOCK.as_ptr(), POOL_BLOCK.len());
    let mut column = [Column { bytes: ptr::null(), count: 99, secret: 9 }; 3];
    let (mut found, mut code) = (0, [0x55 as c_char; POOL_CODE_ROOM]);
    // SAFETY: all pointers are to live values of the sizes stated, or null where that is allowed.
    unsafe {
        let nothing = c::flashline_check(ptr::null(), 288, chip, null);
        assert_eq!(nothing, BAD_CALL);
        assert_eq!(c::flashline_check(BLOCK.as_ptr(), BLOCK.len(), chip, null), VALID);
        assert_eq!(c::flashline_check_mac(MAC_BLOCK.as_ptr(), MAC_BLOCK.len(), chip, null), VALID);
        assert_eq!(c::flashline_check_mac(ptr::null(), 160, chip, null), BAD_CALL);
        let pool = |block, columns: &mut [Column], found, code: *mut c_char| {
            let (columns, room) = (columns.as_mut_ptr(), columns.len());
            c::flashline_check_pool(block, bytes, chip, code, columns, room, found)
        };
        assert_eq!(pool(ptr::null(), &mut column, null.cast(), null), BAD_CALL);
        assert_eq!(pool(block, &mut column[..2], &raw mut found, code.as_mut_ptr()), VALID);
        let none = c::flashline_check_pool(block, bytes, chip, null, null.cast(), 16, null.cast());
        assert_eq!(none, VALID);
    }
    assert_eq!(found, 3, "how many there are, not how many had room");
    assert_eq!(column.map(|column| column.count), [8, 9, 99]);
    let code: Vec<u8> = code.iter().map(|&byte| byte as u8).take(10).collect();
    assert_eq!(code, b"lamp-0007\0");
}

#[test]
fn the_header_says_the_numbers_of_the_code() {
    let header = include_str!("../include/flashline.h");
    let number = |name: &str| -> i64 {
        let line = header
            .lines()
            .find_map(|line| line.strip_prefix("#define ")?.strip_prefix(name)?.strip_prefix(' '))
            .unwrap_or_else(|| panic!("{name} is not in the header"));
        let value = line.split("/*").next().unwrap().trim();
        value.trim_matches(['(', ')']).parse().unwrap()
    };
    let check = |name, value: usize| assert_eq!(number(name), value as i64, "{name}");
    check("FLASHLINE_BLOCK_BYTES", BLOCK_BYTES);
    check("FLASHLINE_MAC_BLOCK_BYTES", MAC_BLOCK_BYTES);
    check("FLASHLINE_POOL_BLOCK_BYTES_MAX", POOL_BLOCK_BYTES_MAX);
    check("FLASHLINE_CODE_ROOM", CODE_ROOM);
    check("FLASHLINE_POOL_CODE_ROOM", POOL_CODE_ROOM);
    check("FLASHLINE_COLUMNS_MAX", COLUMNS_MAX);
    assert_eq!(number("FLASHLINE_VALID"), i64::from(VALID));
    assert_eq!(number("FLASHLINE_ABSENT"), i64::from(ABSENT));
    assert_eq!(number("FLASHLINE_BAD_CALL"), i64::from(BAD_CALL));
    let refused = |name: &str, refusal: Refusal| {
        let name = format!("FLASHLINE_REFUSED_{name}");
        assert_eq!(number(&name), i64::from(refusal.number()), "{name}");
    };
    refused("CLAIM", Refusal::ClaimUnusable);
    refused("SIZE", Refusal::WrongSize { found: 0 });
    refused("NOT_OURS", Refusal::NotOurs);
    refused("VERSION", Refusal::UnknownVersion { version: 0 });
    refused("SCHEME", Refusal::UnknownScheme { scheme: 0 });
    refused("MALFORMED", Refusal::Malformed);
    refused("PRODUCT", Refusal::OtherProduct);
    refused("FAMILY", Refusal::OtherFamily);
    refused("CHIP", Refusal::OtherChip);
    refused("CODE", Refusal::OtherCode);
    refused("QUOTA", Refusal::IndexBeyondQuota { index: 0, quota: 0 });
    refused("CERTIFICATE", Refusal::CertificateNotSigned);
    refused("SIGNATURE", Refusal::BlockNotSigned);
    refused("MODE", Refusal::OtherMode { mode: 0 });
    refused("MAC", Refusal::MacWrong);
    assert_eq!(header.matches("#define FLASHLINE_REFUSED_").count(), 15);
}
