//! The unmodified probe-rs library against a board over TCP.

mod bench;

use bench::{Bench, noise};
use probe_rs::{MemoryInterface, Permissions};

#[test]
fn attach_download_verify_and_read_the_uid() {
    let bench = Bench::new();
    let mut session = bench.attach(Permissions::new()).unwrap();
    let image = noise(20_000, 1);
    bench.flash(&mut session, 0x1000, &image).unwrap();
    let mut core = session.core(0).unwrap();
    let mut uid = [0; 8];
    core.read_8(0x1000_0060, &mut uid).unwrap();
    assert_eq!(uid, bench::UID);
    let mut back = vec![0; image.len()];
    core.read_8(0x1000, &mut back).unwrap();
    assert_eq!(back, image);
    assert_eq!(bench.cells(0x1000, image.len()), image);
}
