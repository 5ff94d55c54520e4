//! The unmodified probe-rs library against boards with STM32s.

mod bench;

use bench::{Bench, STM32_UID, noise};
use probe_rs::{MemoryInterface, Permissions};

const FLASH: u32 = 0x0800_0000;

#[test]
fn every_part_is_flashed_by_the_drivers_own_routine_and_read_back() {
    for name in ["STM32G071RB", "STM32F103CB"] {
        let bench = Bench::stm32(name);
        let image = noise(20_000, 1);
        let mut session = bench.attach(Permissions::new()).unwrap();
        bench.flash(&mut session, u64::from(FLASH) + 0x1000, &image).unwrap();
        let mut back = vec![0; image.len()];
        session.core(0).unwrap().read_8(u64::from(FLASH) + 0x1000, &mut back).unwrap();
        assert_eq!(back, image, "{name}");
        assert_eq!(bench.cells(FLASH + 0x1000, image.len()), image, "{name}");
        assert_eq!(bench.counter("refused"), 0, "{name}");
    }
}

#[test]
fn every_part_says_who_it_is() {
    let check = |name, uid_at: u64, size_at: u64, id_at: u64, id: u32| {
        let bench = Bench::stm32(name);
        let mut session = bench.attach(Permissions::new()).unwrap();
        let mut core = session.core(0).unwrap();
        let mut uid = [0; 12];
        core.read_8(uid_at, &mut uid).unwrap();
        assert_eq!(uid, STM32_UID, "{name}");
        assert_eq!(core.read_word_16(size_at).unwrap(), 128, "{name}");
        assert_eq!(core.read_word_32(id_at).unwrap() & 0xFFF, id, "{name}");
    };
    check("STM32G071RB", 0x1FFF_7590, 0x1FFF_75E0, 0x4001_5800, 0x460);
    check("STM32F103CB", 0x1FFF_F7E8, 0x1FFF_F7E0, 0xE004_2000, 0x410);
}
