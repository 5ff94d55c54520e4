//! People of a line: what an administrator may say about them, and what a station gets of it.

use hub::admin_client::{AdminError, CodeCreate, PersonChange, PersonCreate, Withheld};
use protocol::{ProblemType, Role};
use release::{Pin, Roster, RosterCheck, RosterError};

use crate::factory::*;
use crate::leases::{documents, repository};

const PIN: &str = "27182818";
const BADGE: &str = "badge-of-number-12";
const NAME: &str = "Ada Lovelace";

pub(crate) fn person(
    number: u32,
    role: Role,
    line: &str,
    badge: &str,
    pin: Option<&str>,
) -> PersonCreate {
    PersonCreate {
        number,
        name: None,
        role,
        lines: vec![line.parse().unwrap()],
        badge: Withheld::new(badge.to_owned()),
        pin: pin.map(|pin| Withheld::new(pin.to_owned())),
        ends_ms: None,
    }
}

fn refused<T: std::fmt::Debug>(answer: Result<T, AdminError>, kind: ProblemType, what: &str) {
    match answer {
        Err(AdminError::Refused(problem)) => assert_eq!(problem.kind, kind, "{what}"),
        other => panic!("{what}: {other:?}"),
    }
}

/// The roster a station has now, proven as a station proves it, and the one its lease names.
pub(crate) async fn roster(factory: &Factory, station: &Station) -> (Option<Roster>, u64) {
    let documents = documents(&station.client()).await;
    let terms = release::lease::show_lease(&documents["lease"]).unwrap();
    let Some(document) = documents.get("roster") else { return (None, terms.roster_version) };
    let repository = repository(factory, station, &documents);
    let check = RosterCheck {
        tenant: repository.tenant(),
        station_key: &station.keys.hpke,
        keys: repository.lease_keys(),
        version_min: terms.roster_version,
    };
    (Some(Roster::verify(document, &check).unwrap()), terms.roster_version)
}

fn proves(roster: &Roster, number: u32, pin: &str) -> bool {
    let verifier = roster.operator(number).unwrap().pin.as_ref().unwrap();
    roster.pepper().proves(number, &Pin::read(pin).unwrap(), verifier).unwrap()
}

#[tokio::test]
async fn a_station_gets_its_own_lines_people_signed_and_newer_with_every_change() {
    let (factory, _, _, station) = Factory::running("acme").await;
    let admin = factory.admin("acme");
    let create = CodeCreate {
        station: "st-9".parse().unwrap(),
        line: "line-9".parse().unwrap(),
        hub: None,
        expires_in_s: None,
    };
    let code = admin.create_code(&create).await.unwrap().code.parse().unwrap();
    let elsewhere = Station::enrol(StationKeys::draw(), &code).await.unwrap();
    assert!(matches!(roster(&factory, &station).await, (None, 0)), "no people, no roster");

    let mut lead = person(12, Role::Lead, "line-1", BADGE, Some(PIN));
    lead.name = Some(NAME.to_owned());
    lead.lines.push("line-2".parse().unwrap());
    admin.add_person(&lead).await.unwrap();
    admin.add_person(&person(7, Role::Worker, "line-1", "badge-7", None)).await.unwrap();
    let (first, named) = roster(&factory, &station).await;
    let first = first.unwrap();
    assert_eq!((first.version(), named), (1, 1));
    let numbers: Vec<u32> = first.operators().iter().map(|operator| operator.number).collect();
    assert_eq!(numbers, [7, 12]);
    assert_eq!(first.operator_of_badge(BADGE).map(|operator| operator.number), Some(12));
    assert!(first.operator_of_badge("badge-9").is_none());
    assert!(proves(&first, 12, PIN) && !proves(&first, 12, "27182819"));
    assert!(matches!(roster(&factory, &elsewhere).await, (None, 0)), "nobody of another line");

    // The same again: nothing is signed anew. A change: one more, old verifiers kept.
    assert_eq!(roster(&factory, &station).await.0.unwrap().version(), 1);
    admin.add_person(&person(9, Role::It, "line-9", "badge-9", Some("314159"))).await.unwrap();
    assert_eq!(roster(&factory, &station).await.0.unwrap().version(), 1, "another line's change");
    let change = PersonChange { disabled: Some(true), ..PersonChange::default() };
    admin.change_person(7, &change).await.unwrap();
    let (second, named) = roster(&factory, &station).await;
    let second = second.unwrap();
    assert_eq!((second.version(), named), (2, 2));
    assert!(second.operator(7).unwrap().disabled);
    assert_eq!(second.operator(12).unwrap().pin, first.operator(12).unwrap().pin);

    let change = PersonChange {
        pin: Some(Withheld::new(PIN.to_owned())),
        ends_ms: Some(99_000),
        ..PersonChange::default()
    };
    admin.change_person(12, &change).await.unwrap();
    let third = roster(&factory, &station).await.0.unwrap();
    assert_eq!(third.operator(12).unwrap().ends_ms, Some(99_000));
    assert_ne!(third.operator(12).unwrap().pin, first.operator(12).unwrap().pin, "a fresh salt");
    assert!(proves(&third, 12, PIN));

    // Everybody has left the line: it keeps people still, and has none.
    let leave = PersonChange {
        lines: Some(vec!["line-9".parse().unwrap()]),
        no_end: true,
        ..PersonChange::default()
    };
    for number in [7, 12] {
        admin.change_person(number, &leave).await.unwrap();
    }
    let (empty, named) = roster(&factory, &station).await;
    let empty = empty.unwrap();
    assert_eq!((empty.operators().len(), named), (0, empty.version()));
    let theirs = roster(&factory, &elsewhere).await.0.unwrap();
    assert_eq!(theirs.operators().len(), 3);
    assert!(proves(&theirs, 12, PIN), "made for this station, with its own pepper");
    assert_ne!(theirs.operator(12).unwrap().badge, first.operator(12).unwrap().badge);

    // What one station got is nothing to another.
    let documents = documents(&elsewhere.client()).await;
    let repository = repository(&factory, &station, &documents);
    let check = RosterCheck {
        tenant: repository.tenant(),
        station_key: &station.keys.hpke,
        keys: repository.lease_keys(),
        version_min: 0,
    };
    let moved = Roster::verify(&documents["roster"], &check);
    assert!(matches!(moved, Err(RosterError::OtherStation { .. })), "{moved:?}");
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_changes_nothing() {
    let factory = Factory::of(&["acme", "beta"]).await;
    let admin = factory.admin("acme");
    let lead = person(12, Role::Lead, "line-1", BADGE, Some(PIN));
    admin.add_person(&lead).await.unwrap();
    use ProblemType::{AlreadyExists, NotFound, RequestMalformed};
    let with = |change: &dyn Fn(&mut PersonCreate)| {
        let mut create = person(13, Role::Lead, "line-1", "badge-13", Some("314159"));
        change(&mut create);
        create
    };
    let pin = |text: &str| Some(Withheld::new(text.to_owned()));
    let cases: [(&str, ProblemType, PersonCreate); 14] = [
        ("the number of another", AlreadyExists, with(&|create| create.number = 12)),
        (
            "the badge of another",
            AlreadyExists,
            with(&|create| create.badge = Withheld::new(BADGE.to_owned())),
        ),
        ("number 0", RequestMalformed, with(&|create| create.number = 0)),
        ("no line", RequestMalformed, with(&|create| create.lines.clear())),
        ("a lead's PIN of five", RequestMalformed, with(&|create| create.pin = pin("27182"))),
        ("letters", RequestMalformed, with(&|create| create.pin = pin("secret"))),
        ("thirteen digits", RequestMalformed, with(&|create| create.pin = pin("2718281828459"))),
        ("a run", RequestMalformed, with(&|create| create.pin = pin("123456"))),
        ("one digit", RequestMalformed, with(&|create| create.pin = pin("777777"))),
        (
            "a badge of three",
            RequestMalformed,
            with(&|create| create.badge = Withheld::new("abc".to_owned())),
        ),
        (
            "a badge no scanner prints",
            RequestMalformed,
            with(&|create| create.badge = Withheld::new("abc\u{7}def".to_owned())),
        ),
        ("an endless name", RequestMalformed, with(&|create| create.name = Some("x".repeat(101)))),
        (
            "a name with an escape",
            RequestMalformed,
            with(&|create| create.name = Some("\u{1b}".into())),
        ),
        ("an end before 1970", RequestMalformed, with(&|create| create.ends_ms = Some(-1))),
    ];
    for (what, kind, create) in cases {
        refused(admin.add_person(&create).await, kind, what);
    }
    admin.add_person(&person(20, Role::Worker, "line-1", "badge-20", Some("2718"))).await.unwrap();
    let lead = PersonChange { role: Some(Role::Lead), ..PersonChange::default() };
    refused(admin.change_person(20, &lead).await, RequestMalformed, "a lead with four digits");
    let both = PersonChange { pin: pin("271828"), ..lead };
    admin.change_person(20, &both).await.unwrap();
    let nobody = PersonChange::default();
    refused(admin.change_person(99, &nobody).await, NotFound, "nobody");
    refused(admin.erase_name(12).await, NotFound, "a name nobody said");

    // Another tenant has its own people, badges and numbers.
    let beta = factory.admin("beta");
    assert!(beta.people().await.unwrap().is_empty());
    refused(beta.change_person(12, &PersonChange::default()).await, NotFound, "another tenant's");
    beta.add_person(&person(12, Role::Worker, "line-1", BADGE, None)).await.unwrap();
    let numbers: Vec<u32> =
        admin.people().await.unwrap().iter().map(|person| person.number).collect();
    assert_eq!(numbers, [12, 20]);
}

#[tokio::test]
async fn a_name_is_erased_for_good_and_no_badge_or_pin_lies_open_anywhere() {
    let mut factory = Factory::of(&["acme"]).await;
    let admin = factory.admin("acme");
    let mut lead = person(12, Role::Lead, "line-1", BADGE, Some(PIN));
    lead.name = Some(NAME.to_owned());
    admin.add_person(&lead).await.unwrap();
    let change = PersonChange { disabled: Some(true), ..PersonChange::default() };
    admin.change_person(12, &change).await.unwrap();
    assert_eq!(admin.people().await.unwrap()[0].name.as_deref(), Some(NAME));
    admin.erase_name(12).await.unwrap();
    let people = admin.people().await.unwrap();
    assert_eq!((people[0].number, &people[0].name), (12, &None));
    assert!(people[0].disabled && people[0].has_pin);

    let log = admin.log().await.unwrap().records.join("\n");
    for wanted in ["person 12 added: lead on line-1", "person 12 changed", "name of person 12"] {
        assert!(log.contains(wanted), "{wanted} is not in {log}");
    }
    let shown = format!("{lead:?} {change:?} {people:?}");
    factory.stop().await;
    let mut files = vec![("the log".to_owned(), log.into_bytes()), ("Debug".into(), shown.into())];
    for entry in std::fs::read_dir(factory.data()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            files.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    assert!(files.len() > 3);
    for (place, bytes) in &files {
        for secret in [PIN, BADGE, NAME] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            // Whoever adds a person has typed their name.
            assert!(!found || (secret == NAME && place == "Debug"), "{secret} in {place}");
        }
    }
}
