//! The product keys this firmware trusts: current and next.
//!
//! Demo keys. Their private halves are no secret: the Ed25519 seeds are SHA-256 of
//! "flashline demo product key, not a secret" and of the same text followed by "...next".

/// Ed25519 public keys.
pub const PRODUCT_KEYS: [[u8; 32]; 2] = [
    hex("e9eae00bed8258fa659ce919abb28a977a19ab2953093d26199a9e9c59942a54"),
    hex("8e81a7bb7e50b9628812f5ea68ceb9a387b309a09c91e7b967da0e256b652cd8"),
];

const fn hex(text: &str) -> [u8; 32] {
    let text = text.as_bytes();
    assert!(text.len() == 64);
    let mut key = [0; 32];
    let mut at = 0;
    while at < 32 {
        key[at] = digit(text[2 * at]) << 4 | digit(text[2 * at + 1]);
        at += 1;
    }
    key
}

const fn digit(symbol: u8) -> u8 {
    match symbol {
        b'0'..=b'9' => symbol - b'0',
        b'a'..=b'f' => symbol - b'a' + 10,
        _ => panic!("a key is written in lower-case hex"),
    }
}
