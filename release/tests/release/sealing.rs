//! Sealed chunks open only whole, in their place, under their key.

use std::collections::BTreeMap;

use proptest::prelude::*;
use release::tuf::ReleaseTarget;
use release::{
    Channel, ContentKey, Digest, ImageFile, ImageFormat, LeasedRelease, Manifest, OpenError,
    Receiver, WrapBinding, WrapError,
};
use zeroize::Zeroizing;

use crate::images::writers::{HEX_END, hex_record};
use crate::workbench::*;

fn nth_chunk(shelf: &Shelf, index: usize) -> Digest {
    let manifest = Manifest::from_bytes(&shelf.manifest).unwrap();
    manifest.chunks(CHANNEL)[index].digest
}

fn chunk_mut(shelf: &mut Shelf, index: usize) -> &mut Vec<u8> {
    let digest = nth_chunk(shelf, index);
    shelf.chunks.get_mut(&digest).unwrap()
}

#[test]
fn one_flipped_byte_in_any_chunk_is_noticed() {
    let shelf = Shelf::good();
    for index in 0..5 {
        let digest = nth_chunk(&shelf, index);
        sweep_under("chunk", &shelf, |shelf| shelf.chunks.get_mut(&digest).unwrap());
    }
}

#[test]
fn a_spoilt_chunk_is_refused_by_its_number_and_cause() {
    check(
        "a truncated chunk",
        |shelf| chunk_mut(shelf, 2).truncate(10),
        |refusal| {
            matches!(
                refusal,
                Refusal::Open(OpenError::WrongLength { chunk: 2, bytes: 10, expected: 80, .. })
            )
        },
    );
    check(
        "a truncated last chunk",
        |shelf| {
            chunk_mut(shelf, 4).pop();
        },
        |refusal| matches!(refusal, Refusal::Open(OpenError::WrongLength { chunk: 4, .. })),
    );
    check(
        "a chunk with more behind it",
        |shelf| chunk_mut(shelf, 0).push(0),
        |refusal| {
            matches!(refusal, Refusal::Open(OpenError::WrongLength { chunk: 0, bytes: 81, .. }))
        },
    );
    check(
        "an empty chunk",
        |shelf| chunk_mut(shelf, 1).clear(),
        |refusal| {
            matches!(refusal, Refusal::Open(OpenError::WrongLength { chunk: 1, bytes: 0, .. }))
        },
    );
    check(
        "two swapped chunks",
        |shelf| {
            let (a, b) = (nth_chunk(shelf, 0), nth_chunk(shelf, 1));
            let (first, second) = (shelf.chunks[&a].clone(), shelf.chunks[&b].clone());
            shelf.chunks.insert(a, second);
            shelf.chunks.insert(b, first);
        },
        |refusal| matches!(refusal, Refusal::Open(OpenError::WrongDigest { chunk: 0, .. })),
    );
    check(
        "a missing chunk",
        |shelf| {
            let digest = nth_chunk(shelf, 3);
            shelf.chunks.remove(&digest);
        },
        |refusal| matches!(refusal, Refusal::Open(OpenError::Unreadable { chunk: 3, .. })),
    );
    check(
        "a flipped bit",
        |shelf| chunk_mut(shelf, 1)[5] ^= 4,
        |refusal| matches!(refusal, Refusal::Open(OpenError::WrongDigest { chunk: 1, .. })),
    );
}

/// Signs a manifest whose chunk lists were changed: what a careless R&D could do.
fn signed_with(shelf: &mut Shelf, change: impl FnOnce(&mut Manifest)) {
    let mut manifest = Manifest::from_bytes(&shelf.manifest).unwrap();
    change(&mut manifest);
    shelf.manifest = manifest.to_bytes().unwrap();
    let digest = Digest::of(&shelf.manifest);
    let target = ReleaseTarget {
        version: manifest.version.clone(),
        manifest_sha256: digest,
        manifest_bytes: shelf.manifest.len() as u64,
        withdrawn: false,
    };
    shelf.put_product(2, &[target], &[&key("lamp")]);
    shelf.freshen();
    let terms = lease_terms(&packed());
    let content_key = &packed().content_keys[0].1;
    shelf.lend(|lease| {
        *lease = terms;
        let binding = lease.binding(digest, CHANNEL);
        let station = wrap_key("station").public();
        let wrapped_key = content_key.wrap_for(&station, &binding, &mut Numbered(5)).unwrap();
        lease.releases[0] = LeasedRelease::new(digest, CHANNEL, wrapped_key);
        lease.portions[0].manifest_sha256 = digest;
    });
}

#[test]
fn chunks_in_another_order_do_not_authenticate_even_when_signed() {
    let unauthentic = |refusal: &Refusal, at: usize| matches!(refusal, Refusal::Open(OpenError::NotAuthentic { chunk, .. }) if *chunk == at);
    check(
        "reordered",
        |shelf| signed_with(shelf, |m| m.sealed[0].images[0].chunks.swap(1, 2)),
        |refusal| unauthentic(refusal, 1),
    );
    check(
        "repeated",
        |shelf| {
            signed_with(shelf, |m| {
                let chunks = &mut m.sealed[0].images[0].chunks;
                chunks[3] = chunks[2];
            });
        },
        |refusal| unauthentic(refusal, 3),
    );
    check(
        "the chunks of another channel",
        |shelf| {
            signed_with(shelf, |m| {
                m.sealed[0].images[0].chunks = m.sealed[1].images[0].chunks.clone();
            });
        },
        |refusal| unauthentic(refusal, 0),
    );
    check(
        "cut off at a chunk's end",
        |shelf| {
            signed_with(shelf, |m| {
                m.sealed.iter_mut().for_each(|sealed| {
                    sealed.images[0].chunks.truncate(4);
                });
                m.images[0].bytes = 256;
                m.images[0].segments[0].bytes = 256;
            });
        },
        |refusal| unauthentic(refusal, 0),
    );
    check(
        "another version's name on the same chunks",
        |shelf| signed_with(shelf, |m| m.version = label("1.0.1")),
        |refusal| unauthentic(refusal, 0),
    );
    check(
        "a piece's digest that is not its own",
        |shelf| signed_with(shelf, |m| m.images[0].segments[0].sha256 = Digest::of(b"")),
        |refusal| matches!(refusal, Refusal::Open(OpenError::WrongPiece { address: 0, .. })),
    );
}

#[test]
fn each_channel_has_its_own_key() {
    let packed = packed();
    assert_eq!(packed.content_keys.len(), 2);
    check(
        "for rework with the key for production",
        |shelf| shelf.channel = Channel::Rework,
        |refusal| matches!(refusal, Refusal::MayNot(_)),
    );
    let shelf = Shelf::good();
    let sealed = shelf.repository().unwrap().release(&shelf.manifest).unwrap();
    let read = |digest: &Digest| shelf.chunks.get(digest).cloned().ok_or("missing");
    for (channel, key) in &packed.content_keys {
        assert!(sealed.open(*channel, key, read).is_ok());
        let other = packed.content_keys.iter().find(|(other, _)| other != channel).unwrap();
        assert!(matches!(
            sealed.open(*channel, &other.1, read),
            Err(OpenError::NotAuthentic { chunk: 0, .. })
        ));
    }
    assert!(matches!(
        sealed.open(Channel::AfterSales, &packed.content_keys[0].1, read),
        Err(OpenError::NotForChannel(Channel::AfterSales))
    ));
}

#[test]
fn a_wrapped_key_opens_only_for_its_receiver_and_purpose() {
    let station = wrap_key("station");
    let good = WrapBinding {
        tenant: name("acme"),
        release: Digest::of(b"release"),
        channel: CHANNEL,
        receiver: Receiver::Station { lease_version: 7 },
    };
    let content_key = ContentKey::generate(&mut Numbered(9)).unwrap();
    let wrapped = content_key.wrap_for(&station.public(), &good, &mut Numbered(10)).unwrap();
    assert!(wrapped.unwrap_with(&station, &good).is_ok());

    let others = [
        ("tenant", WrapBinding { tenant: name("other"), ..good.clone() }),
        ("release", WrapBinding { release: Digest::of(b"other"), ..good.clone() }),
        ("channel", WrapBinding { channel: Channel::Rework, ..good.clone() }),
        (
            "lease version",
            WrapBinding { receiver: Receiver::Station { lease_version: 8 }, ..good.clone() },
        ),
        ("receiver", WrapBinding { receiver: Receiver::Hub, ..good.clone() }),
    ];
    for (what, binding) in others {
        let refused = wrapped.unwrap_with(&station, &binding).err();
        assert_eq!(refused, Some(WrapError::DoesNotOpen), "another {what}");
    }
    let refused = wrapped.unwrap_with(&wrap_key("other station"), &good).err();
    assert_eq!(refused, Some(WrapError::DoesNotOpen));

    for at in 0..wrapped.as_bytes().len() {
        for bit in 0..8 {
            let mut bytes = *wrapped.as_bytes();
            bytes[at] ^= 1 << bit;
            let spoilt = release::WrappedKey::from_bytes(bytes);
            // X25519 ignores the top bit of an encapsulated key; the key schedule does not.
            assert!(spoilt.unwrap_with(&station, &good).is_err(), "byte {at} bit {bit}");
        }
    }
    let unusable = release::WrapPublicKey::from_bytes([0; 32]);
    let refused = content_key.wrap_for(&unusable, &good, &mut Numbered(10)).err();
    assert_eq!(refused, Some(WrapError::BadReceiverKey));
}

#[test]
fn nothing_shows_a_key_or_a_plain_byte() {
    let shelf = Shelf::good();
    let release = shelf.flash().unwrap();
    let key = ContentKey::from_bytes(Zeroizing::new([0xAB; 32]));
    let shown = format!(
        "{release:?} {:?} {key:?} {:?} {:?}",
        release.images()[0],
        wrap_key("station"),
        crate::workbench::key("root"),
    );
    assert!(!shown.contains("171"), "{shown}");
    assert!(!shown.to_lowercase().contains("abab"), "{shown}");
    let first = hex::encode(firmware(4));
    assert!(!shown.contains(&first) && !shown.contains("[3, 10"), "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_pieces_in_any_chunk_size_come_back_as_they_were(
        lengths in prop::collection::vec(1usize..200, 1..8),
        gaps in prop::collection::vec(0u64..100, 8),
        chunk_bytes in 16u32..300,
    ) {
        let mut pack = pack_of("demo-lamp", "1.0.0", Vec::new());
        pack.chunk_bytes = chunk_bytes;
        let mut expected: BTreeMap<u64, u8> = BTreeMap::new();
        let mut at = 0;
        pack.images = lengths.iter().zip(&gaps).enumerate().map(|(index, (&length, gap))| {
            at += gap;
            let bytes = firmware(length);
            expected.extend((at..).zip(bytes.iter().copied()));
            let image = ImageFile {
                name: name(&format!("image-{index}")),
                chip: None,
                format: ImageFormat::Raw { address: at },
                file: Zeroizing::new(bytes),
            };
            at += length as u64;
            image
        }).collect();
        let packed = pack.pack(&mut Numbered::default()).unwrap();
        let shelf = Shelf::holding(&packed);
        let release = shelf.flash().unwrap();
        let found: BTreeMap<u64, u8> = release.images().iter()
            .flat_map(|image| &image.segments)
            .flat_map(|segment| (segment.address..).zip(segment.bytes.iter().copied()))
            .collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn an_image_of_many_chunks_is_opened_whole_and_a_fault_anywhere_in_it_is_named() {
    let mut pack = pack_of("demo-lamp", "1.0.0", firmware(9 * 1024 * 1024 + 5));
    pack.chunk_bytes = 64 * 1024;
    pack.recipe = toml::from_str(
        "family = \"nrf52\"\nchip = \"large\"\nchannels = [\"production\"]\n\
         memory = [{ name = \"flash\", start = 0, bytes = 0x1000000 }]\n",
    )
    .unwrap();
    let packed = pack.pack(&mut Numbered::default()).unwrap();
    let mut shelf = Shelf::holding(&packed);
    let release = shelf.flash().unwrap();
    assert_eq!(*release.images()[0].segments[0].bytes, firmware(9 * 1024 * 1024 + 5));
    let chunks = &packed.manifest.sealed[0].images[0].chunks;
    assert_eq!(chunks.len(), 145);
    for at in [0, 70, 144] {
        shelf.chunks.get_mut(&chunks[at]).unwrap()[3] ^= 1;
    }
    // The first of several is the one that is named.
    for at in [0, 70, 144] {
        let refused = shelf.flash();
        assert!(
            matches!(&refused, Err(Refusal::Open(OpenError::WrongDigest { chunk, .. })) if *chunk == at),
            "chunk {at}: {refused:?}"
        );
        shelf.chunks.get_mut(&chunks[at]).unwrap()[3] ^= 1;
    }
    assert!(shelf.flash().is_ok());
}

#[test]
fn a_chunk_that_reaches_over_several_pieces_fills_each() {
    let mut pack = pack_of("demo-lamp", "1.0.0", Vec::new());
    pack.chunk_bytes = 16;
    let pieces = [(0_u16, 8), (0x100, 3), (0x200, 20), (0x300, 1)];
    let records = pieces.map(|(address, bytes)| hex_record(0, address, &firmware(bytes)));
    pack.images[0].format = ImageFormat::IntelHex;
    pack.images[0].file = Zeroizing::new((records.concat() + HEX_END).into_bytes());
    let packed = pack.pack(&mut Numbered::default()).unwrap();
    assert_eq!(packed.manifest.sealed[0].images[0].chunks.len(), 2);
    let release = Shelf::holding(&packed).flash().unwrap();
    let opened: Vec<(u64, Vec<u8>)> = release.images()[0]
        .segments
        .iter()
        .map(|piece| (piece.address, piece.bytes.to_vec()))
        .collect();
    let expected = pieces.map(|(address, bytes)| (u64::from(address), firmware(bytes)));
    assert_eq!(opened, expected);
}
