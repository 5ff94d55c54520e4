//! A station flashes what its own lease names, while it lasts.

use release::lease::without_keys;
use release::{
    Channel, Digest, DocumentError, Lease, LeaseCheck, LeaseError, LeaseKeys, LeaseTerms,
    LeasedRelease, MayNot, WrapError,
};
use serde_json::{Value, json};

use crate::workbench::*;

#[test]
fn one_flipped_byte_anywhere_in_a_lease_is_noticed() {
    sweep_under("lease", &Shelf::good(), |shelf| &mut shelf.lease);
}

#[test]
fn a_lease_counts_for_one_station_under_the_tenants_lease_key() {
    check(
        "another station's lease",
        |shelf| shelf.station = "other station",
        |refusal| matches!(refusal, Refusal::Lease(LeaseError::OtherStation { .. })),
    );
    check(
        "signed by a stranger",
        |shelf| shelf.lease = lease_terms(&packed()).sign(&[&key("stranger")]).unwrap(),
        |refusal| {
            matches!(
                refusal,
                Refusal::Lease(LeaseError::TooFewSignatures { found: 0, threshold: 1 })
            )
        },
    );
    check(
        "not signed",
        |shelf| shelf.lease = lease_terms(&packed()).sign(&[]).unwrap(),
        |refusal| matches!(refusal, Refusal::Lease(LeaseError::TooFewSignatures { found: 0, .. })),
    );
    check(
        "another tenant's lease",
        |shelf| shelf.lend(|terms| terms.tenant = name("other")),
        |refusal| matches!(refusal, Refusal::Lease(LeaseError::OtherTenant { .. })),
    );
    check(
        "a lease for this station with another's key wrapped in it",
        |shelf| {
            shelf.lend(|terms| {
                let leased = &mut terms.releases[0];
                let binding = lease_terms(&packed()).binding(leased.manifest_sha256, CHANNEL);
                let wrapped_key = packed().content_keys[0]
                    .1
                    .wrap_for(&wrap_key("other station").public(), &binding, &mut Numbered(3))
                    .unwrap();
                *leased = LeasedRelease::new(leased.manifest_sha256, CHANNEL, wrapped_key);
            });
        },
        |refusal| matches!(refusal, Refusal::Wrap(WrapError::DoesNotOpen)),
    );
    check(
        "a key wrapped for an earlier lease",
        |shelf| shelf.lend(|terms| terms.version = 8),
        |refusal| matches!(refusal, Refusal::Wrap(WrapError::DoesNotOpen)),
    );
}

#[test]
fn a_lease_never_goes_back() {
    check(
        "a lower version",
        |shelf| shelf.lease_version_seen = Some(8),
        |refusal| {
            matches!(refusal, Refusal::Lease(LeaseError::OlderVersion { seen: 8, offered: 7 }))
        },
    );
    for seen in [None, Some(6), Some(7)] {
        let mut shelf = Shelf::good();
        shelf.lease_version_seen = seen;
        assert!(shelf.flash().is_ok(), "after {seen:?}");
    }
}

#[test]
fn a_lease_has_a_beginning_and_an_end() {
    let good = lease_terms(&packed());
    let document = good.sign(&[&key("hub lease")]).unwrap();
    let at = |now_ms: i64| {
        let tenant = name("acme");
        let keys = lease_keys();
        let station_key = wrap_key("station").public().digest();
        let check =
            LeaseCheck { tenant: &tenant, station_key, keys: &keys, version_seen: None, now_ms };
        Lease::verify(&document, &check)
    };
    let early = release::limits::LEASE_EARLY_MS_MAX;
    assert!(at(good.not_after_ms).is_ok());
    assert!(matches!(at(good.not_after_ms + 1), Err(LeaseError::Over { .. })));
    assert!(at(good.issued_ms - early).is_ok());
    assert!(matches!(at(good.issued_ms - early - 1), Err(LeaseError::NotYet { .. })));
    assert!(matches!(at(i64::MIN), Err(LeaseError::NotYet { .. })));
    assert!(matches!(at(i64::MAX), Err(LeaseError::Over { .. })));

    check(
        "ended while the station ran",
        |shelf| shelf.now_ms = NOW_MS + 8 * DAY_MS,
        |refusal| matches!(refusal, Refusal::MayNot(MayNot::Over { .. })),
    );
    check(
        "a clock that jumped to 1970",
        |shelf| shelf.now_ms = 0,
        |refusal| matches!(refusal, Refusal::MayNot(MayNot::NotYet { .. })),
    );
}

#[test]
fn a_lease_names_release_and_channel() {
    let lease_of = |shelf: &Shelf| {
        let tenant = name("acme");
        let keys = lease_keys();
        let station_key = wrap_key("station").public().digest();
        let check = LeaseCheck {
            tenant: &tenant,
            station_key,
            keys: &keys,
            version_seen: None,
            now_ms: NOW_MS,
        };
        Lease::verify(&shelf.lease, &check).unwrap()
    };
    let lease = lease_of(&Shelf::good());
    let leased = lease.releases[0].manifest_sha256;
    assert!(lease.may_flash(&leased, CHANNEL, NOW_MS).is_ok());
    for (release, channel) in [(leased, Channel::AfterSales), (Digest::of(b"other"), CHANNEL)] {
        assert!(matches!(
            lease.may_flash(&release, channel, NOW_MS),
            Err(MayNot::NotLeased { .. })
        ));
    }
    check(
        "a release the lease does not name",
        |shelf| {
            shelf.lend(|terms| {
                terms.releases.clear();
                terms.portions.clear();
            });
        },
        |refusal| matches!(refusal, Refusal::MayNot(MayNot::NotLeased { .. })),
    );
}

#[test]
fn two_lease_keys_may_be_required() {
    let keys =
        LeaseKeys::new(name("acme"), 2, vec![key("hub lease").public(), key("lead").public()])
            .unwrap();
    let terms = lease_terms(&packed());
    let tenant = name("acme");
    let check = LeaseCheck {
        tenant: &tenant,
        station_key: wrap_key("station").public().digest(),
        keys: &keys,
        version_seen: None,
        now_ms: NOW_MS,
    };
    let one = terms.sign(&[&key("hub lease")]).unwrap();
    assert!(matches!(
        Lease::verify(&one, &check),
        Err(LeaseError::TooFewSignatures { found: 1, threshold: 2 })
    ));
    let both = terms.sign(&[&key("hub lease"), &key("lead")]).unwrap();
    assert!(Lease::verify(&both, &check).is_ok());
    assert!(LeaseKeys::new(name("acme"), 3, keys.keys().to_vec()).is_err());
    assert!(LeaseKeys::new(name("acme"), 0, keys.keys().to_vec()).is_err());
}

#[test]
fn terms_that_break_a_rule_are_neither_signed_nor_believed() {
    let cases: [(&str, fn(&mut LeaseTerms)); 12] = [
        ("ends before it begins", |terms| terms.not_after_ms = terms.issued_ms),
        ("before 1970", |terms| terms.issued_ms = -1),
        ("version 0", |terms| terms.version = 0),
        ("version beyond what JSON holds", |terms| terms.version = 1 << 53),
        ("a release twice", |terms| terms.releases.push(terms.releases[0].clone())),
        ("an order twice", |terms| terms.portions.push(terms.portions[0].clone())),
        ("an order without a number", |terms| terms.portions[0].order.clear()),
        ("an order with a control character", |terms| terms.portions[0].order = "a\u{7}".into()),
        ("a portion of a release it does not name", |terms| {
            terms.portions[0].manifest_sha256 = Digest::of(b"other");
        }),
        ("indices that run back", |terms| terms.portions[0].index_from = 11),
        ("an allotment that is not hex", |terms| terms.portions[0].allotment = Some("0G".into())),
        ("too many portions", |terms| {
            let portion = terms.portions[0].clone();
            terms.portions = (0..257)
                .map(|n| release::Portion { order: n.to_string(), ..portion.clone() })
                .collect();
        }),
    ];
    for (what, change) in cases {
        let mut terms = lease_terms(&packed());
        change(&mut terms);
        let refused = terms.sign(&[&key("hub lease")]);
        assert!(matches!(refused, Err(DocumentError::Rule { .. })), "{what}: {refused:?}");
    }
    let mut later = lease_terms(&packed());
    later.v = 3;
    assert!(matches!(
        later.sign(&[&key("hub lease")]),
        Err(DocumentError::UnknownFormat { version: 3, .. })
    ));
}

#[test]
fn a_lease_of_a_later_version_is_refused_by_that_name() {
    check(
        "version 3",
        |shelf| {
            let mut value: Value = serde_json::from_slice(&shelf.lease).unwrap();
            value["signed"]["v"] = json!(3);
            value["signed"]["something_new"] = json!(true);
            shelf.lease = release::canonical::to_bytes(&value).unwrap();
        },
        |refusal| {
            matches!(
                refusal,
                Refusal::Lease(LeaseError::Unreadable(DocumentError::UnknownFormat {
                    version: 3,
                    ..
                }))
            )
        },
    );
}

#[test]
fn a_lease_with_a_field_too_many_or_too_few_is_refused() {
    let cases: [(&str, fn(&mut Value)); 4] = [
        ("an unknown field", |lease| lease["signed"]["extra"] = json!(1)),
        ("an unknown field beside the signatures", |lease| lease["extra"] = json!(1)),
        ("a null", |lease| lease["signed"]["portions"][0]["allotment"] = Value::Null),
        ("a missing field", |lease| {
            lease["signed"].as_object_mut().unwrap().remove("allow_simulated");
        }),
    ];
    for (what, change) in cases {
        check(
            what,
            |shelf| {
                let mut value: Value = serde_json::from_slice(&shelf.lease).unwrap();
                change(&mut value);
                shelf.lease = release::canonical::to_bytes(&value).unwrap();
            },
            |refusal| matches!(refusal, Refusal::Lease(LeaseError::Unreadable(_))),
        );
    }
}

#[test]
fn a_lease_whose_key_was_erased_keeps_its_signature_and_opens_that_release_no_more() {
    let whole = Shelf::good();
    let erased = without_keys(&whole.lease, |_| true).unwrap();
    assert!(!String::from_utf8(erased.clone()).unwrap().contains(&first_wrap(&whole.lease)));
    check(
        "an erased key",
        |shelf| shelf.lease = erased,
        |refusal| matches!(refusal, Refusal::Wrap(WrapError::Erased)),
    );
    let kept = without_keys(&whole.lease, |_| false).unwrap();
    assert_eq!(kept, whole.lease);
}

#[test]
fn a_lease_holds_only_the_keys_it_names() {
    let spoil: [(&str, fn(&mut Value)); 3] = [
        ("a key that no release names", |lease| {
            lease["wraps"] = json!(["00".repeat(80)]);
        }),
        ("a key twice", |lease| {
            let again = lease["wraps"][0].clone();
            lease["wraps"].as_array_mut().unwrap().push(again);
        }),
        ("a digest of another key", |lease| {
            lease["signed"]["releases"][0]["wrapped_key_sha256"] = json!("00".repeat(32));
        }),
    ];
    for (what, change) in spoil {
        check(
            what,
            |shelf| {
                let mut value: Value = serde_json::from_slice(&shelf.lease).unwrap();
                change(&mut value);
                shelf.lease = release::canonical::to_bytes(&value).unwrap();
            },
            |refusal| {
                matches!(
                    refusal,
                    Refusal::Lease(LeaseError::Unreadable(DocumentError::Rule { .. }))
                )
            },
        );
    }
    let mut keyless = lease_terms(&packed());
    keyless.releases[0].wrapped_key = None;
    assert!(matches!(keyless.sign(&[&key("hub lease")]), Err(DocumentError::Rule { .. })));
}

fn first_wrap(lease: &[u8]) -> String {
    let value: Value = serde_json::from_slice(lease).unwrap();
    value["wraps"][0].as_str().unwrap().to_owned()
}
