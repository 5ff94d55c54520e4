//! Firmware that says its line through the debugger, on the simulated board.

#![allow(clippy::unwrap_used, reason = "helpers of a test program")]

mod bench;

use bench::{Board, program};
use flash::{Backend, FlashError, SelfTest, Via};

const LINE: &str = "FLASHLINE semihosting activation=valid";

/// Where the text and the parameter block of the firmware lie.
const TEXT: u32 = 0x140;
const BLOCK: u32 = 0x120;

fn image(code: &[u16], literal: u32, block: [u32; 3], text: &[u8]) -> Vec<u8> {
    let mut image = vec![0xFF; 0x400];
    image[..8].copy_from_slice(&[0, 0, 1, 0x20, 0x01, 1, 0, 0]);
    for (place, half) in image[0x100..].chunks_exact_mut(2).zip(code) {
        place.copy_from_slice(&half.to_le_bytes());
    }
    image[0x110..0x114].copy_from_slice(&literal.to_le_bytes());
    for (place, word) in image[BLOCK as usize..].chunks_exact_mut(4).zip(block) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    image[TEXT as usize..TEXT as usize + text.len()].copy_from_slice(text);
    image
}

/// `ldr r1, [0x110]`, `movs r0, #operation`, `bkpt 0xAB`, and stop there.
fn one_call(operation: u16, literal: u32, block: [u32; 3], text: &[u8]) -> Vec<u8> {
    image(&[0x4903, 0x2000 | operation, 0xBEAB, 0xE7FE], literal, block, text)
}

fn hear(image: &[u8], within_ms: u64) -> Result<String, FlashError> {
    let board = Board::new();
    let (mut backend, _) = board.identified();
    program(&mut backend, &[(0, image)]).0.unwrap();
    let expect = "activation=valid".to_owned();
    let test = SelfTest { via: Via::Semihosting, expect, within_ms };
    backend.self_test(&test, &mut |_| ())
}

#[test]
fn the_self_test_hears_what_firmware_writes_to_its_semihosting_console() {
    let text = format!("{LINE}\n\0");
    let bytes = u32::try_from(text.len()).unwrap() - 1;
    let check = |image: &[u8]| assert_eq!(hear(image, 5000).unwrap(), LINE);
    // SYS_WRITE0: a text to its zero byte.
    check(&one_call(0x04, TEXT, [0; 3], text.as_bytes()));
    // SYS_WRITE: a counted one, to a file.
    check(&one_call(0x05, BLOCK, [1, TEXT, bytes], text.as_bytes()));
    // SYS_WRITEC for every byte: r1 steps through the text and the loop never ends.
    let code = [0x4903, 0x2003, 0xBEAB, 0x3101, 0xE7FB];
    check(&image(&code, TEXT, [0; 3], text.as_bytes()));
    // SYS_OPEN is answered, and the text comes after it.
    let code = [0x4903, 0x2001, 0xBEAB, 0x2004, 0xBEAB, 0xE7FE];
    check(&image(&code, TEXT, [0; 3], text.as_bytes()));
}

#[test]
fn a_firmware_that_asks_for_too_much_ends_or_says_something_else_is_failed_by_what_was_heard() {
    let check = |image: &[u8], wanted: &str| {
        let error = hear(image, 400).unwrap_err();
        assert_eq!(serde_json::to_value(&error).unwrap()["error"], wanted, "{error:?}");
    };
    check(&one_call(0x04, TEXT, [0; 3], b"activation=invalid\n\0"), "self_test_differed");
    // SYS_EXIT before a word was said.
    check(&one_call(0x18, 0x2_0026, [0; 3], b""), "self_test_silent");
    // SYS_WRITE of 4 GiB is taken in part only.
    check(&one_call(0x05, BLOCK, [1, 0, u32::MAX], b""), "self_test_differed");
    // SYS_READ is not offered, and the firmware goes on.
    check(&one_call(0x06, BLOCK, [0; 3], b""), "self_test_silent");
}
