//! Old records are let go: what is left verifies, what went is on record.

use audit::{ExportKeys, verify_csv_export, verify_export};
use protocol::JournalAck;

use crate::factory::*;
use crate::journals::{passed, reserved};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

#[tokio::test]
async fn records_older_than_they_are_kept_leave_their_hashes_and_the_rest_is_exported_with_proofs()
{
    let (mut factory, _, _, mut station) = Factory::running("acme").await;
    // Written in 1970, by the station's own word.
    for number in 0..4 {
        station.record(reserved(number));
        station.record(passed(number));
    }
    let now_ms = factory.now_ms();
    for number in 4..7 {
        station.record_at(now_ms, passed(number));
    }
    json::<JournalAck>(&station.client().push(&station.push(0, 11)).await);
    let admin = factory.admin("acme");
    let keys = ExportKeys {
        origin: Some(station.origin()),
        station_key: station.keys.journal_public(),
        cosigner: Some(audit::Cosigner {
            name: station.enrolled.hub_cosign_name.clone(),
            key: station.enrolled.hub_cosign_key.0,
        }),
    };
    for (csv, complete, records) in [(false, true, 11), (true, true, 11)] {
        let file = admin.export("st-1", None, csv).await.unwrap();
        let report = if csv {
            verify_csv_export(file.as_slice(), &keys)
        } else {
            verify_export(file.as_slice(), &keys)
        };
        let report = report.unwrap();
        assert_eq!((report.complete, report.records), (complete, records), "csv {csv}");
    }

    factory.keep_records_days = Some(30);
    let (stations, people) = factory.stop().await;
    factory.start(stations, people).await;
    let admin = factory.admin("acme");
    let page = admin.journal("st-1", None).await.unwrap();
    assert_eq!(page.size, 11);
    let gone: Vec<usize> = (0..11).filter(|seq| page.records[*seq].is_empty()).collect();
    assert_eq!(gone, [1, 3, 5, 7], "reservations stay, and what is young");
    for csv in [false, true] {
        let file = admin.export("st-1", None, csv).await.unwrap();
        let report = if csv {
            verify_csv_export(file.as_slice(), &keys)
        } else {
            verify_export(file.as_slice(), &keys)
        };
        let report = report.unwrap();
        assert_eq!((report.complete, report.records), (false, 7), "csv {csv}");
        assert_eq!(report.checkpoint.size, 11);
    }
    let log = admin.log().await.unwrap().records.join("\n");
    assert!(
        log.contains("4 records before 8 of journal 1 of station st-1 let go after 30 days"),
        "{log}"
    );
    assert_eq!(admin.units().await.unwrap().len(), 7, "units stay");

    // The journal goes on, and what was taken before is known again.
    station.note(2);
    let ack: JournalAck = json(&station.client().push(&station.push(5, 13)).await);
    assert_eq!(ack.size, 13);
    // What stands behind a young record stays until that one is old.
    factory.pass_ms(DAY_MS);
    let (stations, people) = factory.stop().await;
    factory.start(stations, people).await;
    let log = factory.admin("acme").log().await.unwrap().records;
    assert_eq!(log.iter().filter(|record| record.contains("let go")).count(), 1);
}
