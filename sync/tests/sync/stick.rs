//! Sticks: what was written arrives, and everything else is refused with its own error.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use sync::stick::{
    Address, CHUNK_BYTES_MAX, ENTRIES_MAX, FoundParcel, LETTER_BYTES_MAX, LETTERS_MAX,
    LIST_BYTES_MAX, Letter, PLAIN_BYTES_MAX, Parcel, ParcelList, ParcelWriter, Seal, StickError,
    Way, read_code, seal, write_code,
};
use zeroize::Zeroizing;

use crate::script::sha256;

const NUMBER: u64 = 1_764_000_000_000;
const STATION: [u8; 32] = [1; 32];
const HUB: [u8; 32] = [2; 32];

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn public(pair: &Ed25519KeyPair) -> [u8; 32] {
    pair.public_key().as_ref().try_into().unwrap()
}

/// The public half of a private X25519 key.
fn x25519(private: &[u8; 32]) -> [u8; 32] {
    use hpke::kem::X25519HkdfSha256 as Kem;
    use hpke::{Deserializable as _, Kem as _, Serializable as _};
    let private = <Kem as hpke::Kem>::PrivateKey::from_bytes(private).unwrap();
    Kem::sk_to_pk(&private).to_bytes().into()
}

fn up() -> Address {
    Address::new("acme", "l1-s1", Way::Up).unwrap()
}

fn letters() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("request", b"{\"nonce\":\"c0ffee\"}".to_vec()),
        ("journal/1/0", vec![b'r'; 100_000]),
        ("documents/manifest/00ff", (0..=255).cycle().take(3_000).collect()),
    ]
}

/// A stick with one parcel and one chunk on it.
struct Stick {
    folder: tempfile::TempDir,
    chunk: Vec<u8>,
}

impl Stick {
    /// Written once and copied: a writer waits for the disk at every file.
    fn written() -> Self {
        static FIRST: OnceLock<Stick> = OnceLock::new();
        let first = FIRST.get_or_init(|| {
            let stick = Self { folder: tempfile::tempdir().unwrap(), chunk: vec![7; 5_000] };
            stick.write(NUMBER).finish(&pair(3)).unwrap();
            stick
        });
        let copy = Self { folder: tempfile::tempdir().unwrap(), chunk: first.chunk.clone() };
        copy_into(first.mount(), copy.mount());
        copy
    }

    fn write(&self, number: u64) -> ParcelWriter {
        let mut parcel = ParcelWriter::begin(self.mount(), &up(), number, 5, &STATION).unwrap();
        for (name, plain) in letters() {
            let receiver = x25519(&HUB);
            parcel.letter(name, &plain, &receiver, &pair(3), &SystemRandom::new()).unwrap();
        }
        parcel.chunk(&sha256(&self.chunk), &self.chunk).unwrap();
        parcel
    }

    fn mount(&self) -> &Path {
        self.folder.path()
    }

    fn parcels(&self) -> PathBuf {
        self.mount().join("flashline/stations/acme/l1-s1/up")
    }

    fn parcel(&self) -> PathBuf {
        self.parcels().join(NUMBER.to_string())
    }

    fn chunk_file(&self) -> PathBuf {
        self.mount().join("flashline/chunks").join(hex::encode(sha256(&self.chunk)))
    }

    fn read(&self) -> Result<Parcel, StickError> {
        FoundParcel::find(self.mount(), &up())?.prove(&public(&pair(3)), NUMBER - 1)
    }

    /// Everything on it, opened.
    fn opened(&self) -> Result<Vec<(String, Vec<u8>)>, StickError> {
        let parcel = self.read()?;
        let mut opened = Vec::new();
        for letter in &parcel.list().letters {
            opened.push((letter.name.clone(), parcel.open(letter, &HUB)?.to_vec()));
        }
        for chunk in &parcel.list().chunks {
            opened.push((chunk.name.clone(), parcel.chunk(chunk)?));
        }
        Ok(opened)
    }

    /// Changes the signed list and signs it again, as somebody with the key could.
    fn relist(&self, change: impl FnOnce(&mut serde_json::Value)) {
        self.relist_by(&pair(3), change);
    }

    fn relist_by(&self, key: &Ed25519KeyPair, change: impl FnOnce(&mut serde_json::Value)) {
        let path = self.parcel().join("list.json");
        let list: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let mut payload: serde_json::Value =
            serde_json::from_str(list["payload"].as_str().unwrap()).unwrap();
        change(&mut payload);
        let payload = payload.to_string();
        let signed = [b"flashline stick list v1\n", payload.as_bytes()].concat();
        let signature = hex::encode(key.sign(&signed).as_ref());
        let list = serde_json::json!({ "payload": payload, "signature": signature });
        put(&path, list.to_string().as_bytes());
    }

    /// Exchanges a letter and lists it as it is.
    fn reletter(&self, name: &str, bytes: &[u8]) {
        put(&self.parcel().join(format!("{name}.letter")), bytes);
        self.relist(|list| {
            let letters = list["letters"].as_array_mut().unwrap();
            let letter = letters.iter_mut().find(|letter| letter["name"] == name).unwrap();
            letter["bytes"] = bytes.len().into();
            letter["sha256"] = hex::encode(sha256(bytes)).into();
        });
    }
}

fn copy_into(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&to).unwrap();
            copy_into(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Writes a file of a hostile stick.
fn put(path: &Path, bytes: &[u8]) {
    let _ = fs::remove_file(path);
    let mut file = fs::File::create(path).unwrap();
    std::io::Write::write_all(&mut file, bytes).unwrap();
}

fn sealed(name: &str, plain: &[u8], change: impl FnOnce(&mut Seal<'_>)) -> Vec<u8> {
    let (address, receiver, sender) = (up(), x25519(&HUB), pair(3));
    let seed = Zeroizing::new([5; 32]);
    let (receiver, sender, address) = (&receiver, &sender, &address);
    let mut with = Seal { address, number: NUMBER, name, receiver, sender, seed };
    change(&mut with);
    seal(with, plain).unwrap()
}

#[test]
fn what_was_written_arrives_and_nothing_of_it_lies_on_the_stick_in_plain() {
    let stick = Stick::written();
    let opened = stick.opened().unwrap();
    let mut expected: Vec<_> =
        letters().into_iter().map(|(name, plain)| (name.to_owned(), plain)).collect();
    expected.push((hex::encode(sha256(&stick.chunk)), stick.chunk.clone()));
    assert_eq!(opened, expected);
    let letter = fs::read(stick.parcel().join("request.letter")).unwrap();
    assert!(!letter.windows(6).any(|window| window == b"c0ffee"));
    let journal = fs::metadata(stick.parcel().join("journal/1/0.letter")).unwrap().len();
    assert!(journal < 1_000, "packed: {journal}");
}

#[test]
fn the_next_parcel_takes_the_place_of_the_last_and_chunks_stay_for_everybody() {
    let stick = Stick::written();
    let before = fs::metadata(stick.chunk_file()).unwrap().modified().unwrap();
    let written = stick.write(NUMBER + 7).finish(&pair(3)).unwrap();
    assert_eq!((written.number, written.letters, written.chunks), (NUMBER + 7, 3, 1));
    let left: Vec<_> =
        fs::read_dir(stick.parcels()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, [(NUMBER + 7).to_string().as_str()]);
    assert_eq!(fs::metadata(stick.chunk_file()).unwrap().modified().unwrap(), before);
    let found = FoundParcel::find(stick.mount(), &up()).unwrap();
    let replayed = found.prove(&public(&pair(3)), NUMBER + 7).unwrap_err();
    assert!(matches!(replayed, StickError::Replayed { .. }));
}

#[test]
fn a_stick_pulled_out_at_any_file_is_never_taken_for_a_whole_one() {
    // Every file that is written, in its order; the list is the last.
    let files: Vec<PathBuf> = {
        let mut files: Vec<PathBuf> =
            letters().iter().map(|(name, _)| format!("{name}.letter").into()).collect();
        files.push("chunk".into());
        files.push("list.json".into());
        files
    };
    let mut cases = 0;
    for from in 0..files.len() {
        for cut in [false, true] {
            let stick = Stick::written();
            for (at, file) in files.iter().enumerate().skip(from) {
                let path = if file == Path::new("chunk") {
                    stick.chunk_file()
                } else {
                    stick.parcel().join(file)
                };
                if at == from && cut {
                    let bytes = fs::read(&path).unwrap();
                    put(&path, &bytes[..bytes.len() / 2]);
                } else {
                    fs::remove_file(&path).unwrap();
                }
            }
            let error = stick.opened().unwrap_err();
            let last = from + 1 == files.len();
            assert!(
                if last && cut {
                    matches!(error, StickError::Malformed { .. })
                } else {
                    matches!(error, StickError::Unfinished { number: NUMBER })
                },
                "{from} {cut}: {error}"
            );
            // The files came, but not in their order: still not whole.
            let stick = Stick::written();
            let path = if files[from] == Path::new("chunk") {
                stick.chunk_file()
            } else {
                stick.parcel().join(&files[from])
            };
            let bytes = fs::read(&path).unwrap();
            if cut {
                put(&path, &bytes[..bytes.len() - 1]);
            } else {
                fs::remove_file(&path).unwrap();
            }
            assert!(stick.opened().is_err(), "{from} {cut}");
            // Written once more, it is good.
            stick.write(NUMBER).finish(&pair(3)).unwrap();
            assert!(stick.opened().is_ok(), "{from} {cut}");
            cases += 1;
        }
    }
    assert_eq!(cases, 2 * (letters().len() + 2));
}

#[test]
#[allow(clippy::too_many_lines, reason = "a zoo: one line or two for each animal")]
fn every_hostile_stick_is_refused_with_its_own_error() {
    let mut words = BTreeSet::new();
    let mut check = |what: &str, word: &'static str, change: &dyn Fn(&Stick)| {
        let stick = Stick::written();
        change(&stick);
        let error = match stick.opened() {
            Ok(_) => panic!("{what}: taken"),
            Err(error) => error,
        };
        assert_eq!(error.word(), word, "{what}: {error}");
        assert!(error.to_string().len() < 400, "{what}");
        words.insert(word);
    };
    let list = |stick: &Stick| stick.parcel().join("list.json");
    let letter = |stick: &Stick| stick.parcel().join("request.letter");

    check("nothing on it", "no_parcel", &|stick| {
        fs::remove_dir_all(stick.mount().join("flashline")).unwrap();
    });
    check("another station's", "no_parcel", &|stick| {
        fs::rename(stick.parcels(), stick.mount().join("flashline/stations/acme/other")).unwrap();
    });
    check("thousands of files", "too_many", &|stick| {
        for number in 0..=ENTRIES_MAX {
            fs::File::create(stick.parcels().join(format!("x{number}"))).unwrap();
        }
    });

    check("a link to a folder", "link", &|stick| {
        let elsewhere = stick.mount().join("elsewhere");
        fs::rename(stick.parcel(), &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, stick.parcel()).unwrap();
    });
    check("a link to a file", "link", &|stick| {
        let elsewhere = stick.mount().join("elsewhere");
        fs::rename(letter(stick), &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, letter(stick)).unwrap();
    });
    check("a chunk that is a link", "link", &|stick| {
        fs::remove_file(stick.chunk_file()).unwrap();
        std::os::unix::fs::symlink("/dev/zero", stick.chunk_file()).unwrap();
    });
    check("a pipe, which would never end", "not_a_file", &|stick| {
        fs::remove_file(letter(stick)).unwrap();
        let made = std::process::Command::new("mkfifo").arg(letter(stick)).status().unwrap();
        assert!(made.success());
    });
    check("a socket", "not_a_file", &|stick| {
        fs::remove_file(list(stick)).unwrap();
        // A socket's address is short: it is made here and moved there.
        let folder = tempfile::tempdir().unwrap();
        let near = folder.path().join("s");
        std::os::unix::net::UnixListener::bind(&near).unwrap();
        fs::rename(near, list(stick)).unwrap();
    });
    check("a folder in the place of a letter", "not_a_file", &|stick| {
        fs::remove_file(letter(stick)).unwrap();
        fs::create_dir(letter(stick)).unwrap();
    });

    for name in [
        "../request",
        "/etc/passwd",
        "a/../../request",
        "a//b",
        "",
        ".",
        "a/./b",
        "C:\\x",
        "a/b/c/d/e",
        "list\0",
        "journal/1/0 ",
        "aux.",
        "..",
        "\u{202e}gnp",
    ] {
        check(name, "name", &|stick| {
            stick.relist(|list| list["letters"][0]["name"] = name.into());
        });
    }
    check("one name twice", "name", &|stick| {
        stick.relist(|list| list["letters"][0]["name"] = "Journal/1/0".into());
    });
    check("a chunk that is called otherwise", "name", &|stick| {
        stick.relist(|list| list["chunks"][0]["name"] = "00".into());
    });

    check("a list without end", "too_large", &|stick| {
        let file = fs::File::create(list(stick)).unwrap();
        file.set_len(LIST_BYTES_MAX + 1).unwrap();
    });
    check("a huge letter", "too_large", &|stick| {
        let huge = LETTER_BYTES_MAX + 1;
        fs::File::create(letter(stick)).unwrap().set_len(huge).unwrap();
        stick.relist(|list| list["letters"][0]["bytes"] = huge.into());
    });
    check("a huge chunk", "too_large", &|stick| {
        stick.relist(|list| list["chunks"][0]["bytes"] = (CHUNK_BYTES_MAX + 1).into());
    });
    check("many letters that are huge together", "too_large", &|stick| {
        stick.relist(|list| {
            let mut one = list["letters"][0].clone();
            one["bytes"] = LETTER_BYTES_MAX.into();
            let many = (0..200).map(|number| {
                one["name"] = format!("n{number}").into();
                one.clone()
            });
            list["letters"] = many.collect();
        });
    });
    check("too many letters", "too_many", &|stick| {
        stick.relist(|list| {
            let one = list["letters"][0].clone();
            list["letters"] = std::iter::repeat_n(one, LETTERS_MAX + 1).collect();
        });
    });

    check("a letter that is gone", "missing", &|stick| fs::remove_file(letter(stick)).unwrap());
    check("a chunk that is gone", "missing", &|stick| fs::remove_file(stick.chunk_file()).unwrap());
    check("a letter cut short", "cut", &|stick| {
        let bytes = fs::read(letter(stick)).unwrap();
        put(&letter(stick), &bytes[..bytes.len() - 1]);
    });
    check("a letter with something behind it", "cut", &|stick| {
        put(&letter(stick), &[fs::read(letter(stick)).unwrap(), vec![0]].concat());
    });
    check("a flipped bit", "differs", &|stick| {
        let mut bytes = fs::read(letter(stick)).unwrap();
        bytes[200] ^= 1;
        put(&letter(stick), &bytes);
    });
    check("a chunk that rotted", "differs", &|stick| {
        let bytes = vec![8; stick.chunk.len()];
        put(&stick.chunk_file(), &bytes);
    });
    check("one letter under another's name", "differs", &|stick| {
        stick.reletter("request", &sealed("request2", b"x", |_| {}));
    });

    check("a list of a later version", "version", &|stick| {
        stick.relist(|list| list["v"] = 2.into())
    });
    check("a letter of a later version", "version", &|stick| {
        let mut bytes = sealed("request", b"x", |_| {});
        bytes[4] = 2;
        stick.reletter("request", &bytes);
    });
    check("a list that is none", "malformed", &|stick| put(&list(stick), b"{}"));
    check("a list with something more", "malformed", &|stick| {
        stick.relist(|list| list["more"] = 1.into());
    });
    check("a digest that is none", "malformed", &|stick| {
        stick.relist(|list| list["letters"][0]["sha256"] = "00".into());
    });
    check("a letter that is none", "malformed", &|stick| stick.reletter("request", b"FLSL"));

    check("a list signed by a stranger", "foreign_sender", &|stick| {
        stick.relist_by(&pair(8), |_| {});
    });
    check("a list changed after it was signed", "foreign_sender", &|stick| {
        let text = fs::read_to_string(list(stick)).unwrap();
        put(&list(stick), text.replace("written_ms\\\":5", "written_ms\\\":6").as_bytes());
    });
    check("a letter signed by a stranger", "foreign_sender", &|stick| {
        let stranger = pair(8);
        let mut bytes = Vec::new();
        let (address, receiver) = (up(), x25519(&HUB));
        bytes.extend(
            seal(
                Seal {
                    address: &address,
                    number: NUMBER,
                    name: "request",
                    receiver: &receiver,
                    sender: &stranger,
                    seed: Zeroizing::new([5; 32]),
                },
                b"x",
            )
            .unwrap(),
        );
        stick.reletter("request", &bytes);
    });
    check("a letter sealed to a stranger", "foreign_receiver", &|stick| {
        let stranger = x25519(&[77; 32]);
        let bytes = {
            let (address, sender) = (up(), pair(3));
            let seed = Zeroizing::new([5; 32]);
            let (receiver, name) = (&stranger, "request");
            seal(
                Seal { address: &address, number: NUMBER, name, receiver, sender: &sender, seed },
                b"x",
            )
            .unwrap()
        };
        stick.reletter("request", &bytes);
    });
    for (field, value) in [("tenant", "other"), ("station", "l1-s2"), ("way", "down")] {
        check("a list of somebody else", "other_address", &|stick| {
            stick.relist(|list| list[field] = value.into());
        });
    }
    check("a letter of another station", "other_address", &|stick| {
        let other = Address::new("acme", "l1-s2", Way::Up).unwrap();
        let bytes = {
            let (receiver, sender) = (x25519(&HUB), pair(3));
            let seed = Zeroizing::new([5; 32]);
            let (receiver, name) = (&receiver, "request");
            seal(
                Seal { address: &other, number: NUMBER, name, receiver, sender: &sender, seed },
                b"x",
            )
            .unwrap()
        };
        stick.reletter("request", &bytes);
    });
    check("a letter of the parcel before", "mixed", &|stick| {
        stick.reletter("request", &sealed("request", b"x", |with| with.number = NUMBER - 1));
    });
    check("a list of the parcel before", "mixed", &|stick| {
        stick.relist(|list| list["number"] = (NUMBER - 1).into());
    });
    check("a parcel that was read before", "replayed", &|stick| {
        fs::rename(stick.parcel(), stick.parcels().join("7")).unwrap();
        let path = stick.parcels().join("7");
        fs::rename(&path, stick.parcel()).unwrap();
        stick.relist(|list| list["number"] = 7.into());
        fs::rename(stick.parcel(), path).unwrap();
    });
    check("a list that was never written", "unfinished", &|stick| {
        fs::create_dir(stick.parcels().join((NUMBER + 1).to_string())).unwrap();
    });

    // Signed and sealed as it should be, but it unpacks to more than it says: a bomb, made by
    // somebody who holds the station's key.
    let bomb = |claimed: usize, real: usize| {
        let honest = sealed("request", &vec![0; real], |_| {});
        let mine = format!("\"plain_bytes\":{real}");
        let theirs = format!("\"plain_bytes\":{claimed}");
        resealed(&honest, &mine, &theirs)
    };
    check("a bomb", "expands", &|stick| stick.reletter("request", &bomb(10, 8_000_000)));
    check("less than it says", "expands", &|stick| stick.reletter("request", &bomb(11, 10)));
    check("a bomb that says so", "expands", &|stick| {
        stick.reletter("request", &bomb(PLAIN_BYTES_MAX + 1, 10));
    });

    let stick = Stick::written();
    let error = FoundParcel::find(&stick.mount().join("nowhere"), &up()).unwrap_err();
    words.insert(error.word());
    assert_eq!(error.word(), "not_mounted");
    for name in ["", "..", "a/b", "A b", "a.b", &"a".repeat(64)] {
        assert_eq!(Address::new(name, "s", Way::Up).unwrap_err().word(), "name", "{name}");
    }
    // Every reason to refuse a stick has its animal.
    let all = [
        "cut",
        "differs",
        "expands",
        "foreign_receiver",
        "foreign_sender",
        "link",
        "malformed",
        "missing",
        "mixed",
        "name",
        "no_parcel",
        "not_a_file",
        "not_mounted",
        "other_address",
        "replayed",
        "too_large",
        "too_many",
        "unfinished",
        "version",
    ];
    assert_eq!(words.into_iter().collect::<Vec<_>>(), all);
}

/// A letter whose header says something else, sealed and signed anew by the same sender: HPKE binds
/// the header, so the body is sealed again with what it holds now.
fn resealed(letter: &[u8], mine: &str, theirs: &str) -> Vec<u8> {
    use hpke::Serializable as _;
    use hpke::aead::AesGcm256;
    use hpke::kdf::HkdfSha256;
    use hpke::kem::X25519HkdfSha256 as Kem;
    use hpke::{Deserializable as _, Kem as _, OpModeR, OpModeS};
    const INFO: &[u8] = b"flashline stick letter v1";

    let length = usize::from(u16::from_be_bytes([letter[5], letter[6]]));
    let (header, rest) = letter.split_at(7 + length);
    let (encapped, rest) = rest.split_at(32);
    let sealed = &rest[..rest.len() - 64];
    let private = <Kem as hpke::Kem>::PrivateKey::from_bytes(&HUB).unwrap();
    let encapped = <Kem as hpke::Kem>::EncappedKey::from_bytes(encapped).unwrap();
    let packed = hpke::single_shot_open::<AesGcm256, HkdfSha256, Kem>(
        &OpModeR::Base,
        &private,
        &encapped,
        INFO,
        sealed,
        header,
    )
    .unwrap();
    let said = String::from_utf8(header[7..].to_vec()).unwrap();
    let says = said.replace(mine, theirs);
    assert_ne!(said, says);
    let length = u16::try_from(says.len()).unwrap();
    let mut out = [&header[..5], &length.to_be_bytes(), says.as_bytes()].concat();
    let public = Kem::sk_to_pk(&private);
    let (encapped, sealed) = hpke::single_shot_seal::<AesGcm256, HkdfSha256, Kem>(
        &OpModeS::Base,
        &public,
        INFO,
        &packed,
        &out,
    )
    .unwrap();
    out.extend_from_slice(&encapped.to_bytes());
    out.extend_from_slice(&sealed);
    let signature = pair(3).sign(&[b"flashline stick letter v1\n", out.as_slice()].concat());
    out.extend_from_slice(signature.as_ref());
    out
}

#[test]
fn an_enrolment_code_is_found_where_it_is_the_only_one_that_could_be_meant() {
    let stick = tempfile::tempdir().unwrap();
    let mount = stick.path();
    let check = |station: Option<&str>, expected: Result<&str, &str>| {
        let read = read_code(mount, station);
        let read = read.as_deref().map_err(StickError::word);
        assert_eq!(read, expected, "{station:?}");
    };
    check(None, Err("no_code"));
    write_code(mount, "l1-s1", "FL1-AAAAA\n").unwrap();
    check(None, Ok("FL1-AAAAA"));
    check(Some("l1-s1"), Ok("FL1-AAAAA"));
    check(Some("l1-s2"), Err("no_code"));
    write_code(mount, "l1-s2", "FL1-BBBBB").unwrap();
    check(None, Err("no_code"));
    check(Some("l1-s2"), Ok("FL1-BBBBB"));
    assert_eq!(write_code(mount, "../s", "x").unwrap_err().word(), "name");
    let folder = mount.join("flashline/enrolment");
    put(&folder.join("big.code"), &[b'x'; 1025]);
    check(Some("big"), Err("too_large"));
    put(&folder.join("odd.code"), &[0xFF]);
    check(Some("odd"), Err("malformed"));
    std::os::unix::fs::symlink("/dev/zero", folder.join("link.code")).unwrap();
    check(Some("link"), Err("link"));
}

#[test]
fn the_worked_examples_of_the_format_open() {
    let format = include_str!("../../FORMAT.md");
    let blocks: Vec<&str> = format.split("```").skip(1).step_by(2).collect();
    let block = |word: &str| {
        let found = blocks.iter().find(|block| block.starts_with(word));
        found.unwrap_or_else(|| panic!("no block {word}")).split_once('\n').unwrap().1
    };
    let hex_of = |text: &str| hex::decode(text.split_whitespace().collect::<String>()).unwrap();
    let letter = hex_of(block("letter"));
    let read = Letter::read(&letter).unwrap();
    assert_eq!((read.name(), read.number()), ("request", NUMBER));
    let plain = read.open(&up(), NUMBER, &public(&pair(3)), &HUB).unwrap();
    assert_eq!(plain.as_slice(), b"{\"an\":\"example\"}");
    // The same keys and the same one-use seed make the same letter.
    assert_eq!(sealed("request", &plain, |_| {}), letter);

    let list = block("list").trim();
    let read = ParcelList::read(list.as_bytes(), &up()).unwrap();
    ParcelList::prove(list.as_bytes(), &public(&pair(3))).unwrap();
    assert_eq!(read.letters[0].sha256, hex::encode(sha256(&letter)));
    assert_eq!(read.letters[0].bytes, letter.len() as u64);
    assert_eq!(read.reply_key().unwrap(), x25519(&STATION));
    assert_eq!(read.sign(&pair(3)).unwrap(), list.as_bytes());
}
