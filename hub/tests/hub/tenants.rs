//! Two tenants on one hub never meet, through any route.

use hub::admin_client::{AdminError, OrderCreate};
use protocol::{JournalAck, PortionGrant, ProblemType};

use crate::desk::PRODUCT;
use crate::factory::*;
use crate::journals::passed;
use crate::leases::documents;

async fn two() -> (Factory, Station, Station, String) {
    let factory = Factory::of(&["acme", "beta"]).await;
    let (desk, published, mut acme) = factory.set_up("acme").await;
    let (_, _, beta) = factory.set_up("beta").await;
    factory.grant(&desk, &published, &acme, "4711", 4).await;
    acme.record(passed(1));
    json::<JournalAck>(&acme.client().push(&acme.push(0, 1)).await);
    (factory, acme, beta, published.manifest_sha256.to_string())
}

#[tokio::test]
async fn a_station_is_told_nothing_of_another_tenants_documents_chunks_and_journals() {
    let (factory, acme, beta, manifest) = two().await;
    let (ours, theirs) = (acme.client(), beta.client());
    let acme_documents = documents(&ours).await;
    let beta_documents = documents(&theirs).await;
    for (name, bytes) in &acme_documents {
        let same = beta_documents.get(name) == Some(bytes);
        assert!(!same, "{name} is the same for both tenants");
    }
    assert_eq!(kind(&theirs.get(&format!("/v1/documents/manifest/{manifest}")).await), "not-found");

    let manifest: serde_json::Value =
        serde_json::from_slice(&acme_documents[&format!("manifest/{manifest}")]).unwrap();
    let mut digests = Vec::new();
    collect_digests(&manifest, &mut digests);
    let mut served = 0;
    for digest in digests {
        let path = format!("/v1/chunks/{digest}");
        if ours.get(&path).await.0 == 200 {
            served += 1;
            assert_eq!(kind(&theirs.get(&path).await), "not-found", "{digest}");
        }
    }
    assert!(served >= 5, "{served} chunks");

    // Both stations are called st-1; each sees its own journal.
    let state: protocol::JournalState = json(&ours.get("/v1/journal/1").await);
    assert_eq!(state.size, 1);
    let state: protocol::JournalState = json(&theirs.get("/v1/journal/1").await);
    assert_eq!((state.size, state.cosigned), (0, None));
    // Neither can write into the other's.
    assert_eq!(kind(&theirs.push(&acme.push(0, 1)).await), "journal-not-verified");
    assert_eq!(factory.admin("beta").units().await.unwrap().len(), 0);
}

fn collect_digests(value: &serde_json::Value, into: &mut Vec<String>) {
    if let Some(text) = value.as_str().filter(|text| text.len() == 64) {
        into.push(text.to_owned());
    }
    value.as_array().into_iter().flatten().for_each(|inner| collect_digests(inner, into));
    let members = value.as_object().into_iter().flat_map(|map| map.values());
    members.for_each(|inner| collect_digests(inner, into));
}

#[tokio::test]
async fn an_administrator_sees_and_changes_the_things_of_one_tenant_only() {
    let (factory, acme, beta, manifest) = two().await;
    let (ours, theirs) = (factory.admin("acme"), factory.admin("beta"));
    assert_eq!(ours.units().await.unwrap().len(), 1);
    assert_eq!(ours.orders().await.unwrap().len(), 1);
    assert_eq!(ours.releases().await.unwrap().len(), 1);
    assert!(theirs.units().await.unwrap().is_empty());
    assert!(theirs.orders().await.unwrap().is_empty());
    assert_ne!(
        theirs.releases().await.unwrap()[0].manifest_sha256,
        ours.releases().await.unwrap()[0].manifest_sha256
    );
    let stations = theirs.stations().await.unwrap();
    assert_eq!(stations.len(), 1);
    assert_eq!(stations[0].journal_key.0, beta.keys.journal_public());
    assert!(theirs.journal("st-1", None).await.unwrap().records.is_empty());

    let refused = |answer: Result<(), AdminError>, kind: ProblemType| match answer {
        Err(AdminError::Refused(problem)) => assert_eq!(problem.kind, kind),
        other => panic!("{other:?}"),
    };
    let order = OrderCreate {
        number: "4712".parse().unwrap(),
        product: PRODUCT.parse().unwrap(),
        manifest_sha256: manifest.parse().unwrap(),
        quantity: 1,
    };
    refused(theirs.create_order(&order).await, ProblemType::NotFound);
    let grant = PortionGrant {
        station: "st-1".parse().unwrap(),
        order: "4711".parse().unwrap(),
        quantity: 1,
        allotment_certificate: None,
        index_from: None,
        index_to: None,
        channel: None,
    };
    refused(theirs.grant(&grant).await, ProblemType::NotFound);
    factory.enrolled("acme", "only-acme").await;
    refused(theirs.revoke("only-acme").await, ProblemType::NotFound);
    let journal = theirs.journal("only-acme", None).await.map(|_| ());
    refused(journal, ProblemType::NotFound);
    theirs.revoke("st-1").await.unwrap();
    assert_eq!(acme.client().get("/v1/documents").await.0, 200, "their st-1, not ours");
    assert_eq!(kind(&beta.client().get("/v1/documents").await), "certificate-refused");
}

#[tokio::test]
async fn an_uploaded_chunk_is_given_to_nobody_before_a_release_of_their_tenant_names_it() {
    let (factory, acme, beta, _) = two().await;
    let body = b"a chunk of nobody".to_vec();
    let digest = sha256(&body);
    let admin = RawClient::new(&factory.admin_address(), &factory.ca_pem(), None);
    let url = format!("{}/v1/admin/chunks/{digest}", admin.base);
    let token = factory.token("acme");
    let (status, _) = admin.send(admin.http.put(&url).bearer_auth(&token).body(body)).await;
    assert_eq!(status, 204);
    for client in [acme.client(), beta.client()] {
        assert_eq!(kind(&client.get(&format!("/v1/chunks/{digest}")).await), "not-found");
    }
    let other = admin.http.put(&url).bearer_auth(&token).body("other bytes");
    assert_eq!(kind(&admin.send(other).await), "release-damaged");
    let large = admin.http.put(&url).bearer_auth(&token).body(vec![0; 5 << 20]);
    assert_eq!(kind(&admin.send(large).await), "request-too-large");
}
