//! The pins that SWD and JTAG come in by: firmware may take them for something else, a reset gives them
//! back.

/// What firmware takes them with.
#[derive(Debug)]
pub(super) enum DebugPins {
    /// F1: AFIO_MAPR.SWJ_CFG (RM0008 §9.3.5, §9.4.2): 0b100 turns JTAG and SWD off.
    Remap,
    /// The others: PA13 and PA14 are the debug port's as long as GPIOA_MODER says alternate
    /// function.
    Mode {
        /// Address of GPIOA_MODER.
        register: u32,
        /// Clock register and bit of GPIOA.
        enable: (u32, u32),
        /// The register after a reset.
        after_reset: u32,
    },
}

const AFIO_MAPR: u32 = 0x4001_0004;
const AFIO_ENABLE: (u32, u32) = (0x18, 0);
const SWJ_CFG: u32 = 0b111 << 24;
const SWJ_OFF: u32 = 0b100 << 24;
/// RM0008 §9.4.2: JTAG answers with all its pins, and without NJTRST.
const JTAG_ON: [u32; 2] = [0, 0b001 << 24];
/// PA13 to PA15 as alternate functions. JTDO and NJTRST are on a port that is not modelled.
const JTAG_PINS: u32 = 0b11_1111 << 26;
const JTAG_PINS_FREE: u32 = 0b10_1010 << 26;
/// PA13 and PA14 as alternate functions.
const SWD_PINS: u32 = 0b1111 << 26;
const SWD_PINS_FREE: u32 = 0b1010 << 26;

impl DebugPins {
    pub(super) fn register(&self) -> u32 {
        match self {
            Self::Remap => AFIO_MAPR,
            Self::Mode { register, .. } => *register,
        }
    }

    pub(super) fn enable(&self) -> (u32, u32) {
        match self {
            Self::Remap => AFIO_ENABLE,
            Self::Mode { enable, .. } => *enable,
        }
    }

    pub(super) fn after_reset(&self) -> u32 {
        match self {
            Self::Remap => 0,
            Self::Mode { after_reset, .. } => *after_reset,
        }
    }

    /// Whether the pins are taken, with this in the register.
    pub(super) fn taken(&self, value: u32) -> bool {
        match self {
            Self::Remap => value & SWJ_CFG == SWJ_OFF,
            Self::Mode { .. } => value & SWD_PINS != SWD_PINS_FREE,
        }
    }

    /// Whether one of JTAG's pins is taken, with this in the register.
    pub(super) fn jtag_taken(&self, value: u32) -> bool {
        match self {
            Self::Remap => !JTAG_ON.contains(&(value & SWJ_CFG)),
            Self::Mode { .. } => value & JTAG_PINS != JTAG_PINS_FREE,
        }
    }
}
