//! A program of fourteen instructions that says one line on a USART, assembled by hand.

/// Where the transmitter is and how it is switched on.
pub struct Usart {
    /// The clock register and the bit in it, as a word to write.
    clock: (u32, u32),
    base: u32,
    /// Offset of CR1 and its value.
    control: (u16, u32),
    data: u16,
}

pub fn usart_of(chip: &str) -> Usart {
    match chip {
        "STM32F103CB" => Usart {
            clock: (0x4002_1018, 1 << 14),
            base: 0x4001_3800,
            control: (0x0C, 0x2008),
            data: 0x04,
        },
        "STM32F072RB" | "STM32F303CB" => Usart {
            clock: (0x4002_101C, 1 << 17),
            base: 0x4000_4400,
            control: (0x00, 0x9),
            data: 0x28,
        },
        "STM32F405RG" => Usart {
            clock: (0x4002_3840, 1 << 17),
            base: 0x4000_4400,
            control: (0x0C, 0x2008),
            data: 0x04,
        },
        "STM32G431RB" | "STM32L476RG" => Usart {
            clock: (0x4002_1058, 1 << 17),
            base: 0x4000_4400,
            control: (0x00, 0x9),
            data: 0x28,
        },
        _ => Usart {
            clock: (0x4002_103C, 1 << 17),
            base: 0x4000_4400,
            control: (0x00, 0x9),
            data: 0x28,
        },
    }
}

/// First instruction, behind the vector table.
pub const ENTRY: u32 = 0x0800_0100;

/// An image for 0x0800_0000 that says `line` after a reset and then branches to itself.
pub fn says(line: &str, usart: &Usart) -> Vec<u8> {
    let store = |offset: u16| 0x6001 | (offset / 4) << 6;
    let code: [u16; 14] = [
        0x4806,                 // ldr r0, clock register
        0x4907,                 // ldr r1, clock bit
        0x6001,                 // str r1, [r0]
        0x4807,                 // ldr r0, base
        0x4907,                 // ldr r1, control value
        store(usart.control.0), // str r1, [r0, #CR1]
        0x4A07,                 // ldr r2, text
        0x7811,                 // next: ldrb r1, [r2]
        0x2900,                 // cmp r1, #0
        0xD002,                 // beq end
        store(usart.data),      // str r1, [r0, #DR]
        0x3201,                 // adds r2, #1
        0xE7F9,                 // b next
        0xE7FE,                 // end: b end
    ];
    let text_at = ENTRY + 28 + 20;
    let pool = [usart.clock.0, usart.clock.1, usart.base, usart.control.1, text_at];
    let mut image = [0x2000_2000, ENTRY + 1].map(u32::to_le_bytes).concat();
    image.resize(0x100, 0xFF);
    image.extend(code.map(u16::to_le_bytes).concat());
    image.extend(pool.map(u32::to_le_bytes).concat());
    image.extend(line.as_bytes());
    image.extend(b"\n\0");
    image
}
