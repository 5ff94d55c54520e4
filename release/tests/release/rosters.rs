//! A roster counts for one station, under the tenant's lease key, and never goes back; a PIN is
//! proven under one pepper only.

use std::sync::OnceLock;

use release::roster::{ROSTER_FORMAT, ROSTER_VERSION, show_roster};
use release::{
    Digest, DocumentError, LeaseKeys, Operator, Pepper, Pin, Role, Roster, RosterCheck,
    RosterError, RosterTerms, WrapError,
};
use zeroize::Zeroizing;

use crate::workbench::*;

const PIN: &str = "271828";

pub(crate) fn pepper() -> Pepper {
    Pepper::from_bytes(Zeroizing::new(*Digest::of(b"pepper").as_bytes()))
}

fn pin(text: &str) -> Pin {
    Pin::read(text).unwrap()
}

/// The roster of the format page: a worker without PIN, a lead, and one of IT who is turned away.
pub(crate) fn roster_terms() -> &'static RosterTerms {
    static TERMS: OnceLock<RosterTerms> = OnceLock::new();
    TERMS.get_or_init(|| {
        let station = wrap_key("station").public();
        let person = |number: u32, role: Role, badge: &str, pin: Option<&str>| Operator {
            number,
            role,
            badge: pepper().badge_digest(badge),
            pin: pin.map(|text| {
                let salt = *Digest::of(&number.to_be_bytes()).as_bytes().first_chunk().unwrap();
                pepper().verifier(number, &Pin::read(text).unwrap(), salt).unwrap()
            }),
            ends_ms: (number == 12).then_some(NOW_MS + DAY_MS),
            disabled: role == Role::It,
        };
        RosterTerms {
            format: ROSTER_FORMAT.to_owned(),
            v: ROSTER_VERSION,
            tenant: name("acme"),
            station: name("line-1"),
            line: "L1".to_owned(),
            station_key_sha256: station.digest(),
            version: 3,
            issued_ms: NOW_MS,
            pepper: pepper().seal_for(&station, &name("acme"), &mut Numbered(0)).unwrap(),
            operators: vec![
                person(7, Role::Worker, "B-0007", None),
                person(12, Role::Lead, "B-0012", Some(PIN)),
                person(40, Role::It, "B-0040", Some("314159")),
            ],
        }
    })
}

fn keys() -> LeaseKeys {
    LeaseKeys::new(name("acme"), 1, vec![key("hub lease").public()]).unwrap()
}

fn judge(document: &[u8], station: &str, version_min: u64) -> Result<Roster, RosterError> {
    let (tenant, keys, station_key) = (name("acme"), keys(), wrap_key(station));
    let check =
        RosterCheck { tenant: &tenant, station_key: &station_key, keys: &keys, version_min };
    Roster::verify(document, &check)
}

fn signed(change: impl FnOnce(&mut RosterTerms)) -> Vec<u8> {
    let mut terms = roster_terms().clone();
    change(&mut terms);
    terms.sign(&[&key("hub lease")]).unwrap()
}

#[test]
fn a_badge_finds_its_owner_and_a_pin_proves_them_under_the_stations_pepper_alone() {
    let roster = judge(&signed(|_| {}), "station", 3).unwrap();
    let number = |badge: &str| roster.operator_of_badge(badge).map(|found| found.number);
    assert_eq!((number("B-0007"), number("B-0012")), (Some(7), Some(12)));
    let long = "x".repeat(253);
    for stranger in ["", "B-0013", "b-0012", "B-0012 ", "\u{0}", "\u{fffd}\u{fffd}", long.as_str()]
    {
        assert_eq!(number(stranger), None, "{stranger:?}");
    }
    let lead = roster.operator(12).unwrap();
    let verifier = lead.pin.as_ref().unwrap();
    let proves = |pepper: &Pepper, number: u32, text: &str| {
        pepper.proves(number, &pin(text), verifier).unwrap()
    };
    assert!(proves(roster.pepper(), 12, PIN));
    assert!(!proves(roster.pepper(), 12, "271829"));
    assert!(!proves(roster.pepper(), 12, "2718280"));
    assert!(!proves(roster.pepper(), 40, PIN), "another operator's number");
    let other = Pepper::from_bytes(Zeroizing::new([9; 32]));
    assert!(!proves(&other, 12, PIN), "another station's pepper");
}

#[test]
fn a_roster_of_a_stranger_of_elsewhere_or_of_before_is_refused() {
    let check = |what: &str, document: &[u8], good: &dyn Fn(&RosterError) -> bool| {
        let refused = judge(document, "station", 3).unwrap_err();
        assert!(good(&refused), "{what}: {refused:?}");
    };
    let terms = roster_terms();
    check("a stranger's", &terms.sign(&[&key("stranger")]).unwrap(), &|refused| {
        matches!(refused, RosterError::TooFewSignatures { found: 0, threshold: 1 })
    });
    check("nobody's", &terms.sign(&[]).unwrap(), &|refused| {
        matches!(refused, RosterError::TooFewSignatures { found: 0, .. })
    });
    check("older", &signed(|terms| terms.version = 2), &|refused| {
        matches!(refused, RosterError::OlderVersion { needed: 3, offered: 2 })
    });
    check("another tenant's", &signed(|terms| terms.tenant = name("other")), &|refused| {
        matches!(refused, RosterError::OtherTenant { .. })
    });
    let elsewhere = wrap_key("other station").public();
    check(
        "another station's",
        &signed(|terms| terms.station_key_sha256 = elsewhere.digest()),
        &|refused| matches!(refused, RosterError::OtherStation { .. }),
    );
    check(
        "with another station's pepper",
        &signed(|terms| {
            terms.pepper = pepper().seal_for(&elsewhere, &name("acme"), &mut Numbered(1)).unwrap();
        }),
        &|refused| matches!(refused, RosterError::Pepper(WrapError::DoesNotOpen)),
    );
    check("a lease", &lease_terms(&packed()).sign(&[&key("hub lease")]).unwrap(), &|refused| {
        matches!(refused, RosterError::Unreadable(DocumentError::UnknownFormat { .. }))
    });
    check("nothing", b"", &|refused| matches!(refused, RosterError::Unreadable(_)));
    check("endless", &vec![b' '; 2_000_000], &|refused| {
        matches!(refused, RosterError::Unreadable(DocumentError::TooLong { .. }))
    });
    assert!(judge(&signed(|terms| terms.version = 4), "station", 3).is_ok(), "a newer one");
    assert!(judge(&signed(|_| {}), "other station", 3).is_err(), "at another station");
}

#[test]
fn one_flipped_byte_anywhere_in_a_roster_is_noticed() {
    let good = signed(|_| {});
    for at in 0..good.len() {
        for bit in [0x01, 0x20, 0x80] {
            let mut bad = good.clone();
            bad[at] ^= bit;
            assert!(judge(&bad, "station", 3).is_err(), "byte {at} ^ {bit:#x}");
        }
    }
}

#[test]
fn a_roster_that_breaks_a_rule_is_not_even_signed() {
    let check = |what: &str, change: &dyn Fn(&mut RosterTerms)| {
        let mut terms = roster_terms().clone();
        change(&mut terms);
        let refused = terms.sign(&[&key("hub lease")]);
        assert!(matches!(refused, Err(DocumentError::Rule { .. })), "{what}: {refused:?}");
    };
    check("numbers out of order", &|terms| terms.operators.swap(0, 1));
    check("a number twice", &|terms| terms.operators[1].number = 7);
    check("number 0", &|terms| terms.operators[0].number = 0);
    check("one badge for two", &|terms| terms.operators[1].badge = terms.operators[0].badge);
    check("a line with a space", &|terms| terms.line = "L 1".to_owned());
    check("no line", &|terms| terms.line.clear());
    check("version 0", &|terms| terms.version = 0);
    check("an end before 1970", &|terms| terms.operators[0].ends_ms = Some(-1));
    check("more people than a line has", &|terms| {
        terms.operators = (1..=1025)
            .map(|number| Operator {
                number,
                badge: Digest::of(&number.to_be_bytes()),
                ..terms.operators[0].clone()
            })
            .collect();
    });
    assert_eq!(show_roster(&signed(|_| {})).unwrap(), *roster_terms());
}

#[test]
fn a_pin_is_four_to_twelve_digits_and_the_first_ones_anybody_tries_are_known() {
    for good in ["2718", "271828182845", "0000"] {
        assert!(Pin::read(good).is_ok(), "{good}");
    }
    for bad in ["", "123", "1234567890123", "12a4", " 1234", "1234\n", "１２３４", "-123"] {
        assert!(Pin::read(bad).is_err(), "{bad:?}");
    }
    for obvious in ["0000", "999999", "1234", "456789", "9876", "321098"] {
        assert_eq!(pin(obvious).is_obvious(), obvious != "321098", "{obvious}");
    }
    assert!(!pin("271828").is_obvious());
}

#[test]
fn neither_a_pin_nor_a_pepper_nor_a_verifier_shows_itself() {
    let roster = judge(&signed(|_| {}), "station", 3).unwrap();
    let shown = format!("{:?} {:?} {:?}", pin(PIN), pepper(), roster);
    let verifier = roster.operator(12).unwrap().pin.as_ref().unwrap().to_bytes();
    for secret in [
        PIN.to_owned(),
        hex::encode(pepper().expose()),
        format!("{:?}", pepper().expose()),
        hex::encode(&verifier[16..]),
        format!("{:?}", &verifier[16..20]).trim_matches(['[', ']']).to_owned(),
    ] {
        assert!(!shown.contains(&secret), "{secret} in {shown}");
    }
}
