//! Activation codes: fixed for ever, distinct, and safe to read aloud.

use activation::{ActivationCode, CodeError, code_for};
use proptest::prelude::*;
use std::collections::HashSet;

#[test]
fn codes_never_change() {
    let check = |product, family, uid: &[u8], code: &str| {
        assert_eq!(code_for(product, family, uid).to_string(), code);
    };
    check("demo-lamp", "nrf52", &[1, 2, 3, 4, 5, 6, 7, 8], "BWHA-HYG6-8W71-2FVB-Z");
    check("demo-lamp", "nrf52", &[1, 2, 3, 4, 5, 6, 7, 9], "89YQ-Z7Q9-7GD1-3047-6");
    check("demo-fan", "nrf52", &[1, 2, 3, 4, 5, 6, 7, 8], "S9V3-Y8TV-CRXW-4957-~");
    check("demo-lamp", "stm32g0", &[0xAB; 12], "8T0W-1BNT-VMNE-1J7A-G");
    check("灯", "esp32c3", &[0x40, 0x4C, 0xCA, 0x00, 0x00, 0x01], "7889-E84T-NMCT-906D-2");
    check("", "", &[], "CXAG-V7BV-MQWB-G3HZ-1");
}

#[test]
fn a_letter_moved_between_product_family_and_uid_gives_another_code() {
    let codes = [
        code_for("ab", "c", b"d"),
        code_for("a", "bc", b"d"),
        code_for("abc", "", b"d"),
        code_for("ab", "", b"cd"),
        code_for("ab", "cd", b""),
        code_for("", "abc", b"d"),
    ];
    assert_eq!(codes.iter().collect::<HashSet<_>>().len(), codes.len());
}

#[test]
fn a_hundred_thousand_chips_have_as_many_codes() {
    let codes: HashSet<_> =
        (0..100_000u64).map(|uid| code_for("demo-lamp", "nrf52", &uid.to_le_bytes())).collect();
    assert_eq!(codes.len(), 100_000);
}

#[test]
fn every_single_misread_symbol_and_every_swap_of_neighbours_is_noticed() {
    for uid in 0..20u8 {
        let good = code_for("demo-lamp", "nrf52", &[uid]).to_symbols();
        for place in 0..good.len() {
            for &symbol in b"0123456789ABCDEFGHJKMNPQRSTVWXYZ*~$=U" {
                let mut read = good;
                read[place] = symbol;
                let read = str::from_utf8(&read).unwrap().parse::<ActivationCode>();
                assert_eq!(read.is_ok(), symbol == good[place]);
            }
            let mut swapped = good;
            if place + 1 < good.len() && good[place] != good[place + 1] {
                swapped.swap(place, place + 1);
                assert!(str::from_utf8(&swapped).unwrap().parse::<ActivationCode>().is_err());
            }
        }
    }
}

#[test]
fn codes_are_read_as_people_write_them() {
    let zero: ActivationCode = "0000-0000-0000-0000-0".parse().unwrap();
    let one: ActivationCode = "0000-0000-0000-0001-1".parse().unwrap();
    let check = |text: &str, code| assert_eq!(text.parse::<ActivationCode>(), code, "{text:?}");
    check("oooo-0000-OOOO-0000-o", Ok(zero));
    check("0000000000000000i-", Err(CodeError::Check));
    check("000000000000000lL", Ok(one));
    check("", Err(CodeError::Length { found: 0 }));
    check("0000-0000-0000-0000", Err(CodeError::Length { found: 16 }));
    check("0000-0000-0000-0000-00", Err(CodeError::Length { found: 18 }));
    check("0000-0000-0000-0000-1", Err(CodeError::Check));
    check("000u-0000-0000-0000-0", Err(CodeError::Symbol { place: 4 }));
    check("000é-0000-0000-0000-0", Err(CodeError::Symbol { place: 4 }));
    check("0000 0000 0000 0000 0", Err(CodeError::Symbol { place: 5 }));
    let code = code_for("demo-lamp", "nrf52", &[1]);
    check(&code.to_string().to_lowercase(), Ok(code));
}

proptest! {
    #[test]
    fn every_code_survives_its_text_and_json(product in ".{0,20}", uid in any::<[u8; 8]>()) {
        let code = code_for(&product, "nrf52", &uid);
        prop_assert_eq!(code.to_string().parse::<ActivationCode>().unwrap(), code);
        let json = serde_json::to_string(&code).unwrap();
        prop_assert_eq!(serde_json::from_str::<ActivationCode>(&json).unwrap(), code);
    }

    #[test]
    fn no_text_makes_reading_a_code_panic(text in "\\PC{0,40}") {
        let _ = text.parse::<ActivationCode>();
    }
}
