//! Texts from anywhere: answered, never a panic, never taken.

use crate::world::*;
use audit::{Envelope, ExportKeys, Frontier, Origin, Record, SignedCheckpoint, verify_export};
use proptest::prelude::*;

fn keys() -> ExportKeys {
    ExportKeys { origin: None, station_key: public_of(&station_key()), cosigner: None }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_nothing(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Record::decode(&bytes).is_err());
        prop_assert!(Envelope::read(&bytes).is_err());
        prop_assert!(verify_export(bytes.as_slice(), &keys()).is_err());
        let _ = Frontier::from_bytes(&bytes);
    }

    #[test]
    fn arbitrary_text_is_nothing(text in "\\PC{0,200}") {
        prop_assert!(text.parse::<SignedCheckpoint>().is_err());
        let _ = text.parse::<Origin>();
    }

    #[test]
    fn json_like_text_never_makes_reading_a_record_panic(
        text in "\\{(\"(v|epoch|seq|at_ms|event|slot)\":(1|-1|\"contact\"|\\[|\\{|\\}|1e9|null),?){0,8}\\}?",
    ) {
        let _ = Record::decode(text.as_bytes());
        let _ = Envelope::read(text.as_bytes());
    }

    #[test]
    fn a_checkpoint_with_some_bytes_replaced_never_verifies(
        replaced in prop::collection::vec((0usize..200, any::<u8>()), 1..6),
    ) {
        let good = head_of(&records(3));
        let mut bytes = good.as_str().as_bytes().to_vec();
        for (at, value) in replaced {
            let place = at % bytes.len();
            bytes[place] = value;
        }
        prop_assume!(bytes != good.as_str().as_bytes());
        if let Ok(text) = String::from_utf8(bytes)
            && let Ok(signed) = text.parse::<SignedCheckpoint>()
        {
            prop_assert!(signed.verify(&origin(), &public_of(&station_key())).is_err());
        }
    }

    #[test]
    fn a_record_with_some_bytes_replaced_is_another_record_or_none(
        replaced in prop::collection::vec((0usize..200, any::<u8>()), 1..4),
    ) {
        let good = record(1, "v-1");
        let mut bad = good.clone();
        for (at, value) in replaced {
            let place = at % bad.len();
            bad[place] = value;
        }
        if let Ok(read) = Record::decode(&bad) {
            prop_assert_eq!(read.encode().unwrap(), bad);
        }
    }
}
