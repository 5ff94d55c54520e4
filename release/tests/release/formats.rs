//! `FORMAT.md` is true to the byte: its worked examples are these tests.

use release::canonical;
use release::parcel::{
    PARCEL_OVERHEAD_BYTES, ParcelBinding, ParcelSecret, open_parcel, seal_parcel,
};
use release::seal::{Place, Seal, header, nonce};
use release::tuf::LEASE_KEYS_TARGET;
use release::{ContentKey, Digest, HubWrap, ImageFormat, Receiver, WrapBinding, WrapError, image};
use zeroize::Zeroizing;

use crate::chips;
use crate::images::writers;
use crate::rosters;
use crate::workbench::*;

const FORMAT: &str = include_str!("../../FORMAT.md");

/// Asserts that the page shows exactly this, wherever its lines are broken.
fn shown(what: &str, text: &str) {
    let flat = |text: &str| text.split_whitespace().collect::<String>();
    assert!(flat(FORMAT).contains(&flat(text)), "FORMAT.md does not show {what}:\n{text}");
}

fn example_key() -> ContentKey {
    ContentKey::from_bytes(Zeroizing::new(*Digest::of(b"content key").as_bytes()))
}

#[test]
fn the_example_chunk_is_sealed_as_the_page_says() {
    let mut manifest = packed().manifest;
    manifest.chunk_bytes = 16;
    manifest.images[0].bytes = 20;
    let seal = Seal::of(&manifest, CHANNEL, 0, &example_key()).unwrap();
    let head = header(&manifest, CHANNEL, 0).unwrap();
    shown("the header", std::str::from_utf8(&head).unwrap());
    shown("the header's digest", &Digest::of(&head).to_string());
    shown("the first nonce", &hex::encode(nonce(0, 0, Place::Inner)));
    shown("the last nonce", &hex::encode(nonce(0, 1, Place::Last)));
    let first = seal.seal_chunk(0, Place::Inner, b"sixteen bytes :)".to_vec()).unwrap();
    let last = seal.seal_chunk(1, Place::Last, b"four".to_vec()).unwrap();
    shown("the first chunk", &hex::encode(&first));
    shown("the last chunk", &hex::encode(&last));
    let (mut first, mut last) = (first, last);
    assert_eq!(seal.open_chunk(0, Place::Inner, &mut first).unwrap(), b"sixteen bytes :)");
    assert_eq!(seal.open_chunk(1, Place::Last, &mut last).unwrap(), b"four");
}

#[test]
fn the_example_key_is_wrapped_as_the_page_says() {
    let station = wrap_key("station").public();
    let binding = WrapBinding {
        tenant: name("acme"),
        release: Digest::of(b"release"),
        channel: CHANNEL,
        receiver: Receiver::Station { lease_version: 7 },
    };
    let additional = binding.additional(&station).unwrap();
    shown("the additional data", std::str::from_utf8(&additional).unwrap());
    let wrapped = example_key().wrap_for(&station, &binding, &mut Numbered(0)).unwrap();
    shown("the wrapped key", &hex::encode(wrapped.as_bytes()));
    shown("the station's public key", &station.to_string());
    shown("the station's private key", &hex::encode(*wrap_key("station").to_bytes()));
}

#[test]
fn the_example_parcel_is_sealed_as_the_page_says_and_opens_for_its_receiver_and_purpose_only() {
    let good = ParcelBinding {
        tenant: name("acme"),
        product: name("demo-lamp"),
        secret: ParcelSecret::Credential {
            allotment: [0x11; 16],
            index: 3,
            credential: *Digest::of(b"credential").as_bytes(),
        },
    };
    let station = wrap_key("station");
    let additional = good.additional(&station.public()).unwrap();
    shown("the parcel's additional data", std::str::from_utf8(&additional).unwrap());
    let parcel = seal_parcel(b"\x02\x00hi", &station.public(), &good, &mut Numbered(0)).unwrap();
    shown("the parcel", &hex::encode(&parcel));
    assert_eq!(parcel.len(), 4 + PARCEL_OVERHEAD_BYTES);
    assert_eq!(open_parcel(&parcel, &station, &good).unwrap().as_slice(), b"\x02\x00hi");

    let of =
        |allotment, index, credential| ParcelSecret::Credential { allotment, index, credential };
    let credential = *Digest::of(b"credential").as_bytes();
    let mac = ParcelSecret::Mac { secret_sha256: Digest::of(b"credential") };
    for (what, binding) in [
        ("tenant", ParcelBinding { tenant: name("other"), ..good.clone() }),
        ("product", ParcelBinding { product: name("other"), ..good.clone() }),
        ("share", ParcelBinding { secret: of([0x12; 16], 3, credential), ..good.clone() }),
        ("index", ParcelBinding { secret: of([0x11; 16], 4, credential), ..good.clone() }),
        ("credential", ParcelBinding { secret: of([0x11; 16], 3, [0; 32]), ..good.clone() }),
        ("kind", ParcelBinding { secret: mac, ..good.clone() }),
    ] {
        let refused = open_parcel(&parcel, &station, &binding).err();
        assert_eq!(refused, Some(WrapError::DoesNotOpen), "another {what}");
    }
    assert!(open_parcel(&parcel, &wrap_key("other station"), &good).is_err());
    for length in 0..parcel.len() {
        assert!(open_parcel(&parcel[..length], &station, &good).is_err(), "cut at {length}");
        let mut changed = parcel.clone();
        changed[length] ^= 1;
        assert!(open_parcel(&changed, &station, &good).is_err(), "byte {length}");
    }
    let wrapped = WrapBinding {
        tenant: name("acme"),
        release: Digest::of(b"release"),
        channel: CHANNEL,
        receiver: Receiver::Station { lease_version: 7 },
    };
    let key = example_key().wrap_for(&station.public(), &wrapped, &mut Numbered(0)).unwrap();
    assert!(open_parcel(key.as_bytes(), &station, &good).is_err(), "a content key");
}

#[test]
fn the_example_documents_are_written_as_the_page_says() {
    let packed = packed();
    let shelf = Shelf::holding(&packed);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    shown("the manifest", &text(&packed.manifest_bytes));
    shown("the manifest's digest", &Digest::of(&packed.manifest_bytes).to_string());
    let several = chips::lamp_with_radio().pack(&mut Numbered::default()).unwrap();
    shown("the manifest of two chips", &text(&several.manifest_bytes));
    shown("its digest", &Digest::of(&several.manifest_bytes).to_string());
    shown("the lease", &text(&shelf.lease));
    shown("the root", &text(&shelf.root));
    shown("the root's digest", &shelf.pin.to_string());
    shown("the root's words", &shelf.pin.words());
    for document in
        ["targets.json", "demo-lamp.json", "snapshot.json", "timestamp.json", LEASE_KEYS_TARGET]
    {
        shown(document, &text(&shelf.documents[document]));
    }
    let hub = hub_secrets();
    shown("the hub's keys", &text(&hub.public().to_bytes().unwrap()));
    let digest = Digest::of(&packed.manifest_bytes);
    let wrap = HubWrap::seal(
        &hub.tenant,
        digest,
        &packed.content_keys,
        &hub.release.public(),
        &mut Numbered(1000),
    )
    .unwrap();
    shown("the hub's wrapped keys", &text(&wrap.to_bytes().unwrap()));
    shown("a key's id", &key("root").public().key_id().to_string());
}

#[test]
fn the_example_roster_is_written_as_the_page_says() {
    let terms = rosters::roster_terms();
    let signed = terms.sign(&[&key("hub lease")]).unwrap();
    shown("the roster", std::str::from_utf8(&signed).unwrap());
    shown("the pepper", &hex::encode(rosters::pepper().expose()));
}

#[test]
fn the_example_image_is_read_as_the_page_says() {
    let file = writers::mcuboot(0, &[1, 2, 3, 4, 5, 6, 7], &[(0x50, vec![1, 0, 0, 0])]);
    shown("the image", &hex::encode(&file));
    let read = image::read(ImageFormat::Raw { address: 0x1000 }, &file).unwrap();
    let facts = canonical::to_bytes(&read.facts).unwrap();
    shown("the image's facts", std::str::from_utf8(&facts).unwrap());
}

#[test]
fn the_example_documents_are_their_own_canonical_form() {
    for line in FORMAT.lines().filter(|line| line.starts_with('{') && line.ends_with('}')) {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(canonical::to_bytes(&value).unwrap(), line.as_bytes());
    }
}
