//! What the compiler calls to copy, fill and clear memory, byte by byte, as small C libraries have it.
//! Those that come with the compiler are faster and ten times as large.

use core::arch::global_asm;

global_asm!(
    ".syntax unified",
    ".thumb",
    ".section .text.__aeabi_memcpy, \"ax\", %progbits",
    ".global __aeabi_memcpy, __aeabi_memcpy4",
    ".type __aeabi_memcpy, %function",
    ".type __aeabi_memcpy4, %function",
    // r0: to, r1: from, r2: bytes.
    ".thumb_func",
    "__aeabi_memcpy4:",
    ".thumb_func",
    "__aeabi_memcpy:",
    "0: subs r2, r2, #1",
    "bcc 1f",
    "ldrb r3, [r1, r2]",
    "strb r3, [r0, r2]",
    "b 0b",
    "1: bx lr",
    ".size __aeabi_memcpy, . - __aeabi_memcpy",
    ".section .text.__aeabi_memset, \"ax\", %progbits",
    ".global __aeabi_memset, __aeabi_memset4, __aeabi_memclr, __aeabi_memclr4",
    ".type __aeabi_memset, %function",
    ".type __aeabi_memset4, %function",
    ".type __aeabi_memclr, %function",
    ".type __aeabi_memclr4, %function",
    // r0: to, r1: bytes, r2: byte.
    ".thumb_func",
    "__aeabi_memclr4:",
    ".thumb_func",
    "__aeabi_memclr:",
    "movs r2, #0",
    ".thumb_func",
    "__aeabi_memset4:",
    ".thumb_func",
    "__aeabi_memset:",
    "0: subs r1, r1, #1",
    "bcc 1f",
    "strb r2, [r0, r1]",
    "b 0b",
    "1: bx lr",
    ".size __aeabi_memclr, . - __aeabi_memclr",
);
