//! Which interface of a device speaks DFU, and how: read from its configuration descriptor.
//!
//! Pure: bytes in, facts out (USB 2.0, 9.6; DFU 1.1, 4.1.3 and 4.2). No bytes make it panic.

/// Why descriptors cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DescriptorError {
    /// A descriptor's length does not fit its place.
    #[error("the descriptor at byte {at} is cut off")]
    CutOff {
        /// Where it begins.
        at: usize,
    },
    /// No interface of class 0xFE, subclass 1.
    #[error("no interface speaks DFU")]
    NoInterface,
    /// There is no functional descriptor.
    #[error("the functional descriptor is missing")]
    NoFunctional,
    /// wTransferSize is 0.
    #[error("the transfer size is 0")]
    NoTransferSize,
}

/// Which program is running on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Its own; it can be told to detach into DFU mode.
    RunTime,
    /// The loader.
    Dfu,
}

/// The functional descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Functional {
    /// Takes blocks.
    pub can_download: bool,
    /// Gives blocks.
    pub can_upload: bool,
    /// Goes on speaking after it has everything.
    pub manifestation_tolerant: bool,
    /// Leaves the bus by itself after DFU_DETACH.
    pub will_detach: bool,
    /// Milliseconds it waits for the reset after DFU_DETACH.
    pub detach_ms: u16,
    /// Bytes of one block.
    pub transfer_bytes: u16,
    /// bcdDFUVersion; 0x011A is DfuSe.
    pub version: u16,
}

impl Functional {
    /// Speaks ST's extension: commands and addresses.
    pub fn is_dfuse(&self) -> bool {
        self.version == 0x011A
    }
}

/// One alternate setting: one memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alternate {
    /// bAlternateSetting.
    pub setting: u8,
    /// iInterface: index of the text that names it, 0 = none.
    pub name_index: u8,
}

/// The DFU interface of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// bInterfaceNumber.
    pub interface: u8,
    /// What runs.
    pub mode: Mode,
    /// Its memories, in the order of the descriptor.
    pub alternates: Vec<Alternate>,
    /// What it can do.
    pub functional: Functional,
}

const INTERFACE: u8 = 4;
const DFU_FUNCTIONAL: u8 = 0x21;

impl Function {
    /// Reads a whole configuration descriptor; the first DFU interface counts.
    ///
    /// # Errors
    /// [`DescriptorError`].
    pub fn read(configuration: &[u8]) -> Result<Self, DescriptorError> {
        let mut found: Option<(u8, Mode)> = None;
        let mut inside = false;
        let mut alternates = Vec::new();
        let mut functional = None;
        let mut at = 0;
        while at < configuration.len() {
            let rest = &configuration[at..];
            let length = usize::from(rest[0]);
            if length < 2 || length > rest.len() {
                return Err(DescriptorError::CutOff { at });
            }
            match (rest[1], &rest[..length]) {
                (INTERFACE, [_, _, number, setting, _, class, subclass, protocol, name, ..]) => {
                    let mode = if *protocol == 2 { Mode::Dfu } else { Mode::RunTime };
                    let speaks = *class == 0xFE && *subclass == 1;
                    inside = speaks && found.is_none_or(|(known, _)| known == *number);
                    if inside {
                        found.get_or_insert((*number, mode));
                        alternates.push(Alternate { setting: *setting, name_index: *name });
                    }
                }
                (DFU_FUNCTIONAL, [_, _, bits, d0, d1, t0, t1, version @ ..]) if inside => {
                    functional = Some(Functional {
                        can_download: bits & 1 != 0,
                        can_upload: bits & 2 != 0,
                        manifestation_tolerant: bits & 4 != 0,
                        will_detach: bits & 8 != 0,
                        detach_ms: u16::from_le_bytes([*d0, *d1]),
                        transfer_bytes: u16::from_le_bytes([*t0, *t1]),
                        version: match version {
                            [v0, v1, ..] => u16::from_le_bytes([*v0, *v1]),
                            _ => 0x0100,
                        },
                    });
                }
                (INTERFACE | DFU_FUNCTIONAL, short) if short.len() < 7 => {
                    return Err(DescriptorError::CutOff { at });
                }
                _ => {}
            }
            at += length;
        }
        let (interface, mode) = found.ok_or(DescriptorError::NoInterface)?;
        let functional = functional.ok_or(DescriptorError::NoFunctional)?;
        if functional.transfer_bytes == 0 {
            return Err(DescriptorError::NoTransferSize);
        }
        Ok(Self { interface, mode, alternates, functional })
    }
}

/// The text of a string descriptor (UTF-16, little end first).
pub(super) fn text(descriptor: &[u8]) -> Option<String> {
    let length = usize::from(*descriptor.first()?);
    if descriptor.get(1) != Some(&3) || length < 2 || length > descriptor.len() {
        return None;
    }
    let units: Vec<u16> = descriptor[2..length]
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    Some(String::from_utf16_lossy(&units))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEAD: [u8; 9] = [9, 2, 0, 0, 1, 1, 0, 0xC0, 50];
    const FUNCTIONAL: [u8; 9] = [9, 0x21, 0x0B, 0xFF, 0, 0, 8, 0x1A, 1];

    fn interface(number: u8, setting: u8, class: u8, protocol: u8, name: u8) -> [u8; 9] {
        [9, 4, number, setting, 0, class, 1, protocol, name]
    }

    fn joined(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    #[test]
    fn the_dfu_interface_is_found_among_others_with_all_its_memories() {
        let bytes = joined(&[
            &HEAD,
            &interface(0, 0, 3, 0, 9),
            &[9, 0x21, 1, 1, 0, 1, 0x22, 63, 0], // a HID descriptor has the same type number
            &interface(1, 0, 0xFE, 2, 4),
            &interface(1, 1, 0xFE, 2, 5),
            &FUNCTIONAL,
            &interface(2, 0, 0xFE, 1, 6),
        ]);
        let found = Function::read(&bytes).expect("a DFU device");
        assert_eq!((found.interface, found.mode), (1, Mode::Dfu));
        let names: Vec<(u8, u8)> =
            found.alternates.iter().map(|a| (a.setting, a.name_index)).collect();
        assert_eq!(names, [(0, 4), (1, 5)]);
        assert_eq!(
            found.functional,
            Functional {
                can_download: true,
                can_upload: true,
                manifestation_tolerant: false,
                will_detach: true,
                detach_ms: 255,
                transfer_bytes: 2048,
                version: 0x011A,
            }
        );
    }

    #[test]
    fn descriptors_that_are_none_are_refused_by_name() {
        let check = |parts: &[&[u8]], wanted: DescriptorError| {
            assert_eq!(Function::read(&joined(parts)), Err(wanted), "{parts:02x?}");
        };
        let dfu = interface(0, 0, 0xFE, 2, 4);
        check(&[], DescriptorError::NoInterface);
        check(&[&HEAD], DescriptorError::NoInterface);
        check(&[&HEAD, &interface(0, 0, 3, 2, 4), &FUNCTIONAL], DescriptorError::NoInterface);
        check(&[&HEAD, &dfu], DescriptorError::NoFunctional);
        check(&[&HEAD, &dfu, &[7, 0x21, 1, 0, 0, 0, 0]], DescriptorError::NoTransferSize);
        check(&[&HEAD, &dfu[..5]], DescriptorError::CutOff { at: 9 });
        check(&[&HEAD, &[0, 4]], DescriptorError::CutOff { at: 9 });
        check(&[&HEAD, &[1]], DescriptorError::CutOff { at: 9 });
        check(&[&HEAD, &dfu, &[4, 0x21, 1, 0]], DescriptorError::CutOff { at: 18 });
        let old = joined(&[&HEAD, &dfu, &[7, 0x21, 1, 0, 0, 64, 0]]);
        assert_eq!(Function::read(&old).map(|f| f.functional.version), Ok(0x0100));
    }

    #[test]
    fn a_string_descriptor_is_read_only_if_it_is_one() {
        let check = |bytes: &[u8], wanted: Option<&str>| {
            assert_eq!(text(bytes).as_deref(), wanted, "{bytes:02x?}");
        };
        check(&[6, 3, b'A', 0, b'b', 0], Some("Ab"));
        check(&[6, 3, b'A', 0, b'b', 0, 9, 9], Some("Ab"));
        check(&[2, 3], Some(""));
        check(&[5, 3, b'A', 0, b'b'], Some("A"));
        check(&[6, 2, b'A', 0, b'b', 0], None);
        check(&[8, 3, b'A', 0], None);
        check(&[1, 3], None);
        check(&[], None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_bytes_make_the_readers_panic(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), 0u8..10, Just(0x21)], 0..60)) {
            let _answers = (Function::read(&bytes), text(&bytes));
        }
    }
}
