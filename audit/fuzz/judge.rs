//! What every reader of the journal must keep, whatever the bytes: shared by the fuzz targets and by
//! their replay in the room's tests.

use audit::{
    Cosigner, Envelope, ExportKeys, INTEGER_MAX, Origin, RECORD_BYTES_MAX, Record,
    SignedCheckpoint, verify_export,
};

/// The key of the worked example's journal (`FORMAT.md`).
const STATION_KEY: [u8; 32] = [
    0x9c, 0x69, 0xe9, 0x5e, 0xfe, 0x5c, 0x3c, 0xc1, 0xce, 0x40, 0xb2, 0xbe, 0xd9, 0xc4, 0x06, 0xde,
    0x5b, 0x1a, 0x67, 0x1a, 0xf0, 0x7f, 0xa9, 0x40, 0xda, 0x4c, 0x7a, 0x85, 0xd5, 0x93, 0x9c, 0x71,
];

/// Reads bytes in the format of a fuzz target's name; panics when a promise is broken.
pub(crate) fn judge(target: &str, bytes: &[u8]) {
    match target {
        "checkpoint" => checkpoint(bytes),
        "record" => record(bytes),
        "export" => export(bytes),
        other => panic!("no such target: {other}"),
    }
}

fn checkpoint(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let signed = match text.parse::<SignedCheckpoint>() {
        Ok(signed) => signed,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert_eq!(signed.as_str(), text, "kept as it came");
    let origin = signed.claimed_origin().expect("a parsed checkpoint has an origin");
    assert_eq!(origin.to_string().parse::<Origin>().as_ref(), Ok(&origin));
    assert!(signed.verify(&origin, &[0; 32]).is_err(), "nobody signs with this key");
    let cosigner = Cosigner { name: "flashline/acme/hub".to_owned(), key: STATION_KEY };
    if let Ok(head) = signed.verify(&origin, &STATION_KEY) {
        assert_eq!(head.origin, origin);
        // Signing again says the same three lines.
        assert!(text.starts_with(&format!("{origin}\n{}\n", head.size)));
    }
    assert!(signed.verify_cosigned(&origin, &STATION_KEY, &cosigner).is_err());
}

fn record(bytes: &[u8]) {
    let envelope = match Envelope::read(bytes) {
        Ok(envelope) => envelope,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return assert!(Record::decode(bytes).is_err(), "no record without an envelope");
        }
    };
    assert!(bytes.len() <= RECORD_BYTES_MAX);
    assert!(envelope.seq <= INTEGER_MAX);
    assert!(!bytes.contains(&b'\n'), "a record is one line");
    if let Ok(record) = Record::decode(bytes) {
        assert_eq!(record.encode().expect("a record that was read"), bytes, "one text for each");
        assert_eq!((record.epoch, record.seq), (envelope.epoch, envelope.seq));
    }
}

fn export(bytes: &[u8]) {
    let keys = ExportKeys { origin: None, station_key: STATION_KEY, cosigner: None };
    match verify_export(bytes, &keys) {
        Ok(report) => assert!(report.records <= report.checkpoint.size),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
