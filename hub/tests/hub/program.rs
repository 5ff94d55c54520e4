//! The program itself: made, served, killed, served again.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use hub::vault::Secret;
use hub::{Hub, HubError};
use protocol::{EnrolmentCode, JournalAck, JournalState};

use crate::desk::{self, Desk};
use crate::factory::*;

const PROGRAM: &str = env!("CARGO_BIN_EXE_flashline-hub");

struct Program {
    child: Child,
    station: String,
    admin: String,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(arguments: &[&str]) -> serde_json::Value {
    let output = Command::new(PROGRAM).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn serve(folder: &Path, station: &str, admin: &str) -> Program {
    let mut child = Command::new(PROGRAM)
        .arg("serve")
        .args(["--station-listen", station, "--admin-listen", admin, "--data"])
        .arg(folder.join("hub"))
        .arg("--secret-file")
        .arg(folder.join("secret"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said: serde_json::Value = serde_json::from_str(&line).unwrap();
    let at = |name: &str| said[name].as_str().unwrap().to_owned();
    Program { child, station: at("station"), admin: at("admin") }
}

#[tokio::test]
async fn a_hub_that_is_killed_keeps_everything_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let made = run(&[
        "init",
        "--data",
        &path("hub"),
        "--tenant",
        "acme",
        "--secret-file",
        &path("secret"),
    ]);
    let file = |name: &str| made[name].as_str().unwrap().to_owned();
    let (ca, token) = (file("ca"), file("token_file"));
    let mut hub = serve(folder.path(), "127.0.0.1:0", "127.0.0.1:0");

    let mut desk = Desk::for_hub(Path::new(&file("hub_keys")), now_ms());
    desk::write(&desk.release("1.0.0", 9_000), &folder.path().join("bundle"));
    let admin = hub.admin.clone();
    let ask = |arguments: &[&str]| {
        let to = ["--hub", &admin, "--ca", &ca, "--token-file", &token];
        run(&[arguments, &to].concat())
    };
    let published = ask(&["publish", &path("bundle")]);
    let manifest = published["manifest_sha256"].as_str().unwrap().to_owned();
    let code = ask(&["station", "code", "--station", "st-1", "--line", "l-1"]);
    let code: EnrolmentCode = code["code"].as_str().unwrap().parse().unwrap();
    let mut station = Station::enrol(StationKeys::draw(), &code).await.unwrap();
    ask(&[
        "order",
        "create",
        "--number",
        "4711",
        "--product",
        "demo-lamp",
        "--manifest",
        &manifest,
        "--quantity",
        "4",
    ]);
    let certificate = desk.certify(10, station.keys.journal_public());
    ask(&[
        "portion",
        "grant",
        "--station",
        "st-1",
        "--order",
        "4711",
        "--quantity",
        "4",
        "--allotment-certificate",
        &hex::encode(certificate.as_bytes()),
    ]);
    let lease = station.client().get("/v1/documents/lease").await;
    assert_eq!(lease.0, 200);

    // Killed in the middle of a stream of records; what was acknowledged must be there.
    let mut acknowledged = 0;
    for round in 0..3 {
        let client = station.client();
        for _ in 0..5 {
            station.note(1);
            let size = station.records.len();
            json::<JournalAck>(&client.push(&station.push(size - 1, size)).await);
            acknowledged = size;
        }
        hub.child.kill().unwrap();
        hub.child.wait().unwrap();
        let (at_station, at_admin) = (hub.station.clone(), hub.admin.clone());
        hub = serve(folder.path(), &at_station, &at_admin);
        let state: JournalState = json(&station.client().get("/v1/journal/1").await);
        assert_eq!(state.size, acknowledged as u64, "round {round}");
        assert_eq!(station.client().get("/v1/documents/lease").await, lease, "round {round}");
    }
    let journal = ask(&["journal", "st-1"]);
    assert_eq!(journal["records"].as_array().unwrap().len(), acknowledged);
    assert_eq!(ask(&["releases"]).as_array().unwrap().len(), 1);
    assert_eq!(ask(&["stations"])[0]["journal_size"], acknowledged);
    assert_eq!(ask(&["units"]).as_array().unwrap().len(), 0);
    assert_eq!(ask(&["order", "list"])[0]["granted"], 4);
    assert_eq!(ask(&["station", "list"])[0]["name"], "st-1");

    // Asked to end, it ends in order, even while a station waits for news.
    let waiting = tokio::spawn({
        let client = station.client();
        async move {
            let url = format!("{}/v1/documents", client.base);
            let etag = client.http.get(&url).send().await.unwrap().headers()["etag"].clone();
            let known = etag.to_str().unwrap().trim_matches('"').to_owned();
            client.get(&format!("/v1/documents?known={known}&wait_s=30")).await.0
        }
    });
    let pid = hub.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let ended = tokio::task::spawn_blocking(move || hub.child.wait().unwrap());
    assert!(tokio::time::timeout(PATIENCE, ended).await.unwrap().unwrap().success());
    // The wait was answered, or came too late for a hub that had ended.
    if let Ok(status) = waiting.await {
        assert!([200, 304].contains(&status), "{status}");
    }
}

#[tokio::test]
async fn what_cannot_be_opened_is_refused_with_a_sentence() {
    let mut factory = Factory::of(&["acme"]).await;
    factory.stop().await;
    let open = |secret: &str| {
        let (data, secret) = (factory.data(), Secret::File(factory.folder.path().join(secret)));
        async move {
            Hub::open(&data, &secret, hub::hub::Terms::default(), std::sync::Arc::new(|| 0)).await
        }
    };
    assert!(open("secret").await.is_ok());
    assert!(matches!(open("missing").await, Err(HubError::Vault(_))), "no secret");
    let other = Secret::File(factory.folder.path().join("other"));
    other.make_if_missing().unwrap();
    assert!(matches!(open("other").await, Err(HubError::Vault(_))), "another secret");

    let elsewhere = Hub::open(
        factory.folder.path(),
        &Secret::File(factory.folder.path().join("secret")),
        hub::hub::Terms::default(),
        std::sync::Arc::new(|| 0),
    )
    .await;
    assert!(matches!(elsewhere, Err(HubError::NotMade { .. })));

    let database = rusqlite::Connection::open(factory.data().join("hub.db")).unwrap();
    database
        .execute("INSERT INTO hub_schema (version, name) VALUES (9999, '9999_later')", [])
        .unwrap();
    let newer = open("secret").await;
    let Err(HubError::Store(error)) = newer else { panic!("a newer store was opened") };
    assert!(error.to_string().contains("form 9999"), "{error}");
}

#[tokio::test]
async fn no_private_key_lies_plain_in_the_hubs_folder() {
    let (mut factory, _, _, _) = Factory::running("acme").await;
    factory.stop().await;
    let secret = std::fs::read_to_string(factory.folder.path().join("secret")).unwrap();
    // How PKCS #8 begins for Ed25519 (both versions), and what names the curve P-256 in a private
    // key: 32 bytes follow an octet string that begins with 02 01 01 04 20.
    let signs: [(&str, Vec<u8>); 4] = [
        ("Ed25519 v1", hex::decode("302e020100300506032b657004220420").unwrap()),
        ("Ed25519 v2", hex::decode("0201013005 06032b657004220420".replace(' ', "")).unwrap()),
        ("P-256", hex::decode("0201010420").unwrap()),
        ("the secret", hex::decode(secret.trim()).unwrap()),
    ];
    let mut files = 0;
    let mut folders = vec![factory.data()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let bytes = std::fs::read(&path).unwrap();
            for (what, sign) in &signs {
                let found = bytes.windows(sign.len()).any(|window| window == sign.as_slice());
                assert!(!found, "{what} in {}", path.display());
            }
        }
    }
    assert!(files > 5);
}

#[tokio::test]
async fn people_are_added_changed_and_listed_from_the_command_line_without_a_secret_on_it() {
    let factory = Factory::of(&["acme"]).await;
    let file = |name: &str, text: &str| {
        let path = factory.folder.path().join(name);
        std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (badge, pin) = (file("badge", "badge-12\r\n"), file("pin", "271828\n"));
    let (hub, ca) = (factory.admin_address(), factory.made["acme"].ca_file.display().to_string());
    let token = factory.made["acme"].token_file.display().to_string();
    let ask = |arguments: Vec<String>| {
        let to = ["--hub", &hub, "--ca", &ca, "--token-file", &token].map(str::to_owned);
        let all = [arguments, to.to_vec()].concat();
        tokio::task::spawn_blocking(move || {
            run(&all.iter().map(String::as_str).collect::<Vec<_>>())
        })
    };
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let add = format!(
        "person add --number 12 --role lead --line line-1 --badge-file {badge} --pin-file {pin} --name Ada"
    );
    assert_eq!(ask(words(&add)).await.unwrap()["added"], 12);
    ask(words("person change 12 --role it --line line-1 --line line-2 --disable")).await.unwrap();
    let people = ask(words("person list")).await.unwrap();
    let lines = serde_json::json!(["line-1", "line-2"]);
    assert_eq!((&people[0]["role"], &people[0]["lines"]), (&"it".into(), &lines));
    assert_eq!((&people[0]["disabled"], &people[0]["name"]), (&true.into(), &"Ada".into()));
    ask(words("person erase-name 12")).await.unwrap();
    assert_eq!(ask(words("person list")).await.unwrap()[0].get("name"), None);
}
