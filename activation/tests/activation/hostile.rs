//! Bytes from anywhere: answered, never a panic, never taken.

use crate::world::*;
use activation::{AllotmentCertificate, BLOCK_BYTES, check_block, look_at};
use proptest::prelude::*;

proptest! {
    #[test]
    fn arbitrary_bytes_are_never_a_block(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(check_block(&bytes, &claim(), &world().keys).is_err());
        let _ = look_at(&bytes, &claim(), &[]);
        let _ = AllotmentCertificate::from_bytes(&bytes);
    }

    #[test]
    fn a_block_with_some_bytes_replaced_is_never_a_block(
        replaced in prop::collection::vec((0..BLOCK_BYTES, any::<u8>()), 1..8),
    ) {
        let world = world();
        let good = world.block();
        let mut bad = good;
        for (at, value) in replaced {
            bad[at] = value;
        }
        prop_assert_eq!(check_block(&bad, &claim(), &world.keys).is_ok(), bad == good);
    }
}
