//! What the reader of patches must keep, whatever the patch: shared by the fuzz targets and by their
//! replay in the room's tests.
//!
//! A patch for another old image is refused at once, so that nothing behind that check would ever be
//! reached: the input says what the images are, and the header is made from it with right digests.

use crate::nor::{CUTS, Chip};
use delta::apply::{Apply, ApplyError, Flash, FlashFault, Room, Workspace};
use delta::inplace::{State, state};
use delta::{Body, Digest, Header, InPlace, Isa, MAP_ENTRIES_MAX};

/// Bytes of the input that say what the images are.
pub(crate) const SHAPE_BYTES: usize = 10;
const OLD_BYTES_MAX: usize = 2048;
const NEW_BYTES_MAX: usize = 4096;

/// Judges an input of a fuzz target; panics when a promise is broken.
pub(crate) fn judge(target: &str, input: &[u8]) {
    match target {
        "info" => info(input),
        "apply" => with_case(input, apply),
        "in-place" => with_case(input, in_place),
        other => panic!("no such target: {other}"),
    }
}

/// Images, and a body that was made for anything.
struct Case<'a> {
    header: Header,
    old: &'a [u8],
    body: &'a [u8],
    knobs: [u8; 2],
}

fn with_case(input: &[u8], judge: fn(&Case<'_>)) {
    let Some((shape, rest)) = input.split_at_checked(SHAPE_BYTES) else { return };
    let half = |at: usize| usize::from(u16::from_le_bytes([shape[at], shape[at + 1]]));
    let old_len = (half(2) % (OLD_BYTES_MAX + 1)).min(rest.len());
    let new_len = half(4) % (NEW_BYTES_MAX + 1);
    let (old, body) = rest.split_at(old_len);
    let isa = Isa::ALL[usize::from(shape[0] & 0x3F) % Isa::ALL.len()];
    let base = (shape[0] & 0x40 != 0).then(|| u32::from(shape[6]) << 20);
    let map_entries = u16::from(shape[1]) % (MAP_ENTRIES_MAX as u16 + 1);
    let kind =
        if shape[0] & 0x80 != 0 { Body::Stored } else { Body::Coded { isa, base, map_entries } };
    let header = Header {
        old_len: old_len as u32,
        new_len: new_len as u32,
        old_digest: Digest::of(old),
        // No body gives this one; what comes out is judged by other means.
        new_digest: Digest([0; 16]),
        body: kind,
        in_place: None,
    };
    judge(&Case { header, old, body, knobs: [shape[7], shape[8]] });
}

fn info(input: &[u8]) {
    match Header::parse(input) {
        Ok((header, bytes)) => {
            assert!(bytes <= input.len() && bytes <= delta::HEADER_BYTES_MAX);
            assert_eq!(Header::parse(&header.bytes()).map(|(again, _)| again), Ok(header));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    // A patch that is wholly foreign, applied.
    let refusal = delta::apply::apply(&[0; 64], input);
    assert!(refusal.is_err() || input.len() > 36);
}

/// Both images, watching that nobody looks beyond them or writes out of turn.
struct Watched<'a> {
    old: &'a [u8],
    new: Vec<u8>,
    new_len: usize,
    page_bytes: usize,
    reads: u64,
}

impl Flash for Watched<'_> {
    fn read_old(&mut self, at: u32, into: &mut [u8]) -> Result<(), FlashFault> {
        self.reads += 1;
        into.copy_from_slice(&self.old[at as usize..][..into.len()]);
        Ok(())
    }

    fn read_new(&mut self, at: u32, into: &mut [u8]) -> Result<(), FlashFault> {
        self.reads += 1;
        into.copy_from_slice(&self.new[at as usize..][..into.len()]);
        Ok(())
    }

    fn write_new(&mut self, at: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        assert_eq!(at as usize, self.new.len(), "in order");
        self.new.extend_from_slice(bytes);
        assert!(self.new.len() <= self.new_len, "no more than the header says");
        assert!(bytes.len() == self.page_bytes || self.new.len() == self.new_len, "whole pages");
        Ok(())
    }
}

fn apply(case: &Case<'_>) {
    let [page, chunk] = case.knobs;
    let patch = [case.header.bytes(), case.body.to_vec()].concat();
    let (old_len, new_len) = (case.header.old_len, case.header.new_len as usize);
    let run = |page_bytes: usize, chunk: usize| {
        let mut flash = Watched { old: case.old, new: Vec::new(), new_len, page_bytes, reads: 0 };
        let (mut page, mut work) = (vec![0; page_bytes], Workspace::new());
        let room = Room { old_len, new_len_max: NEW_BYTES_MAX as u32 };
        let mut apply = Apply::new(room, &mut page, &mut work);
        let fed = patch.chunks(chunk).try_for_each(|piece| apply.feed(piece, &mut flash));
        let done = fed.and_then(|()| apply.finish(&mut flash).map(|_| ()));
        // A byte put takes ten reads at most: a window of eight, and a halfword.
        let most = u64::from(old_len) + 12 * (new_len as u64 + 8);
        assert!(flash.reads <= most, "{} reads for {new_len} bytes", flash.reads);
        if done.is_ok() {
            assert_eq!(Digest::of(&flash.new), case.header.new_digest);
        }
        (done, flash.new)
    };
    let (whole, image) = run(NEW_BYTES_MAX, patch.len());
    let page_bytes = usize::from(page) + 1;
    let (pieces, some) = run(page_bytes, usize::from(chunk) + 1);
    assert_eq!(whole, pieces, "any chunking and any page");
    assert!(image.starts_with(&some) || some.starts_with(&image));
    assert_ne!(whole, Err(ApplyError::OldDigest));
}

fn in_place(case: &Case<'_>) {
    let [shape, cut] = case.knobs;
    let (reach, more) = (shape & 3, u32::from(shape >> 2 & 3));
    let mut header = case.header;
    let zero = InPlace { page_bits: 8, reach, lift: shape >> 4 & 3, patch_crc: 0 };
    header.in_place = Some(zero);
    let bytes = header.bytes();
    let summed = [&bytes[..bytes.len() - 4], case.body].concat();
    let patch_crc = crc32(&summed);
    header.in_place = Some(InPlace { patch_crc, ..zero });
    let patch = [header.bytes(), case.body.to_vec()].concat();
    let ring_pages = u32::from(reach) + 1 + more;
    let lifted = case.old.len() + (usize::from(zero.lift) + 1) * zero.page_bytes() as usize;
    let longest = lifted.max(header.new_len as usize);
    let mut chip = Chip::new(case.old, &patch, longest, zero.page_bytes(), ring_pages);
    let mut work = Workspace::new();
    if cut > 0 {
        chip.cut_at(u64::from(cut) * 13, CUTS[usize::from(cut) % 3], u64::from(cut));
        let _ = chip.run(&mut work);
        chip.power_up();
    }
    let done = chip.run(&mut work);
    assert!(done.is_err(), "no image has the digest zero");
    let geometry = chip.geometry;
    assert_ne!(state(&geometry, &mut chip), Ok(State::Complete));
}

/// CRC-32 (ISO-HDLC), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            if sum & 1 == 0 { sum >> 1 } else { sum >> 1 ^ 0xEDB8_8320 }
        })
    })
}
