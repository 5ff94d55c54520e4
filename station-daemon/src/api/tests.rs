//! Who gets in, who does not, and that the committed document is the real one.

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;
use crate::desk::halted_view;
use preflight::Preflight;
use view::{
    ActAnswer, ApprovalAnswer, Disposition, DispositionAnswer, OpenAnswer, ScanKind, TeachAnswer,
    TroubleCode, Wish,
};

const HOST: &str = "127.0.0.1:7380";

struct Echo;

impl Desk for Echo {
    fn scan(&self, text: &str) -> ScanAnswer {
        ScanAnswer::to(ScanKind::Order, true, text)
    }

    fn open(&self, slot: u32) -> Option<OpenAnswer> {
        (slot == 1).then(|| OpenAnswer { open: true, word: "opened".to_owned() })
    }

    fn dispose(&self, disposition: &Disposition) -> DispositionAnswer {
        DispositionAnswer { accepted: true, word: format!("{disposition:?}") }
    }

    fn approve(&self, wish: &Wish) -> ApprovalAnswer {
        let word = serde_json::to_string(wish).expect("words");
        ApprovalAnswer { accepted: true, word }
    }

    fn stick(&self, act: &StickAct) -> StickDone {
        StickDone { accepted: true, word: act.folder.clone(), ..StickDone::default() }
    }

    fn prove(&self, pin: &str) -> ActAnswer {
        ActAnswer::done(if pin == "271828" { "pin_right" } else { "other" })
    }

    fn may_see_figures(&self) -> bool {
        true
    }

    fn sign_out(&self) -> ActAnswer {
        ActAnswer::done("signed_out")
    }

    fn close_order(&self) -> ActAnswer {
        ActAnswer::done("order_closed")
    }

    fn handover(&self) -> Option<Handover> {
        None
    }

    fn preflight(&self) -> Option<Preflight> {
        Some(Preflight::of(Vec::new()))
    }

    fn teach(&self, slot: u32) -> Option<TeachAnswer> {
        (slot == 1).then(|| TeachAnswer { ports: Vec::new(), word: "nothing_came".to_owned() })
    }

    fn look(&self, slot: u32) -> Option<bool> {
        [None, Some(true), Some(false)].get(usize::try_from(slot).ok()?).copied().flatten()
    }
}

struct Screen {
    router: Router,
    folder: tempfile::TempDir,
    _view: watch::Sender<Arc<StationView>>,
}

impl Screen {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let address = HOST.parse().expect("address");
        let guard = Guard::open(folder.path().join("enter"), address).expect("guard");
        let (sender, view) = watch::channel(Arc::new(halted_view(TroubleCode::DiskFull, "1")));
        let api = Api {
            view,
            desk: Arc::new(Echo),
            guard: Arc::new(guard),
            figures: None,
            page_folder: None,
        };
        Self { router: router(api, address), folder, _view: sender }
    }

    /// The path of the entry address now in the file.
    fn entry(&self) -> String {
        let line = std::fs::read_to_string(self.folder.path().join("enter")).expect("entry");
        line.trim().strip_prefix(&format!("http://{HOST}")).expect("own address").to_owned()
    }

    async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> axum::http::Response<Body> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).expect("request");
        self.router.clone().oneshot(request).await.expect("answer")
    }

    async fn cookie(&self) -> String {
        let answer = self.ask("GET", &self.entry(), &[("host", HOST)], "").await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let cookie = answer.headers()[header::SET_COOKIE].to_str().expect("text").to_owned();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        cookie.split(';').next().expect("pair").to_owned()
    }
}

#[tokio::test]
async fn a_nonce_opens_once_and_only_its_cookie_sees_the_station() {
    let screen = Screen::new();
    let entry = screen.entry();
    let cookie = screen.cookie().await;
    let again = screen.ask("GET", &entry, &[("host", HOST)], "").await;
    assert_eq!(again.status(), StatusCode::FORBIDDEN, "a used nonce");
    assert_ne!(screen.entry(), entry, "a fresh nonce waits");
    screen.cookie().await;

    let headers = [("host", HOST), ("cookie", cookie.as_str())];
    let seen = screen.ask("GET", "/api/view", &headers, "").await;
    assert_eq!(seen.status(), StatusCode::OK);
    let body = seen.into_body().collect().await.expect("body").to_bytes();
    let view: StationView = serde_json::from_slice(&body).expect("a view");
    assert_eq!(view.trouble.expect("trouble").code, TroubleCode::DiskFull);
}

#[tokio::test]
async fn a_foreign_host_origin_or_cookie_gets_nothing() {
    let screen = Screen::new();
    let cookie = screen.cookie().await;
    let cookie = cookie.as_str();
    for (host, origin, cookie, path, expected) in [
        (HOST, None, Some(cookie), "/api/view", StatusCode::OK),
        (
            "localhost:7380",
            Some("http://localhost:7380"),
            Some(cookie),
            "/api/view",
            StatusCode::OK,
        ),
        (HOST, None, None, "/api/view", StatusCode::UNAUTHORIZED),
        (HOST, None, None, "/api/events", StatusCode::UNAUTHORIZED),
        (HOST, None, Some("flashline_screen="), "/api/view", StatusCode::UNAUTHORIZED),
        (HOST, None, Some("flashline_screen=00"), "/api/view", StatusCode::UNAUTHORIZED),
        ("evil.example:7380", None, Some(cookie), "/api/view", StatusCode::FORBIDDEN),
        ("evil.example:7380", None, None, "/", StatusCode::FORBIDDEN),
        (HOST, Some("http://evil.example"), Some(cookie), "/api/view", StatusCode::FORBIDDEN),
        (HOST, Some("null"), Some(cookie), "/api/view", StatusCode::FORBIDDEN),
        (HOST, None, None, "/api/openapi.json", StatusCode::OK),
        (HOST, None, None, "/", StatusCode::OK),
        (HOST, None, None, "/../Cargo.toml", StatusCode::NOT_FOUND),
        (HOST, None, None, "/api/nothing", StatusCode::NOT_FOUND),
    ] {
        let mut headers = vec![("host", host)];
        headers.extend(origin.map(|origin| ("origin", origin)));
        headers.extend(cookie.map(|cookie| ("cookie", cookie)));
        let answer = screen.ask("GET", path, &headers, "").await;
        assert_eq!(answer.status(), expected, "{headers:?} {path}");
        let policy = answer.headers()[header::CONTENT_SECURITY_POLICY].to_str().expect("text");
        assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
    }
}

#[tokio::test]
async fn scans_reach_the_desk_unless_they_are_too_long() {
    let screen = Screen::new();
    let cookie = screen.cookie().await;
    let headers =
        [("host", HOST), ("cookie", cookie.as_str()), ("content-type", "application/json")];
    for (text, word) in [("WO:4711", "WO:4711"), (&"x".repeat(257), "too_long")] {
        let body = serde_json::json!({ "text": text }).to_string();
        let answer = screen.ask("POST", "/api/scan", &headers, &body).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let bytes = answer.into_body().collect().await.expect("body").to_bytes();
        let answer: ScanAnswer = serde_json::from_slice(&bytes).expect("an answer");
        assert_eq!(answer.word, word);
    }
    let huge = screen.ask("POST", "/api/scan", &headers, &"x".repeat(100_000)).await;
    assert_eq!(huge.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let no_cookie = [("host", HOST), ("content-type", "application/json")];
    let refused = screen.ask("POST", "/api/scan", &no_cookie, "{\"text\":\"WO:1\"}").await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_touch_reaches_its_slot_for_a_screen_that_was_let_in_and_nobody_else() {
    let screen = Screen::new();
    let cookie = screen.cookie().await;
    let own = [("host", HOST), ("cookie", cookie.as_str())];
    for (path, status, found) in [
        ("/api/slots/1/look", StatusCode::OK, Some(true)),
        ("/api/slots/2/look", StatusCode::OK, Some(false)),
        ("/api/slots/3/look", StatusCode::NOT_FOUND, None),
        ("/api/slots/x/look", StatusCode::BAD_REQUEST, None),
        ("/api/slots/-1/look", StatusCode::BAD_REQUEST, None),
    ] {
        let answer = screen.ask("POST", path, &own, "").await;
        assert_eq!(answer.status(), status, "{path}");
        let bytes = answer.into_body().collect().await.expect("body").to_bytes();
        let answer = serde_json::from_slice::<LookAnswer>(&bytes).ok();
        assert_eq!(answer.map(|answer| answer.found), found, "{path}");
    }
    for (method, path, status) in [
        ("GET", "/api/preflight", StatusCode::OK),
        ("POST", "/api/slots/1/teach", StatusCode::OK),
        ("POST", "/api/slots/2/teach", StatusCode::NOT_FOUND),
    ] {
        assert_eq!(screen.ask(method, path, &own, "").await.status(), status, "{path}");
        let stranger = screen.ask(method, path, &[("host", HOST)], "").await;
        assert_eq!(stranger.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    for (path, status, open) in [
        ("/api/slots/1/open", StatusCode::OK, Some(true)),
        ("/api/slots/2/open", StatusCode::NOT_FOUND, None),
        ("/api/slots/x/open", StatusCode::BAD_REQUEST, None),
    ] {
        let answer = screen.ask("POST", path, &own, "").await;
        assert_eq!(answer.status(), status, "{path}");
        let bytes = answer.into_body().collect().await.expect("body").to_bytes();
        let answer = serde_json::from_slice::<OpenAnswer>(&bytes).ok();
        assert_eq!(answer.map(|answer| answer.open), open, "{path}");
        let stranger = screen.ask("POST", path, &[("host", HOST)], "").await;
        assert_eq!(stranger.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    let cookie = ("cookie", cookie.as_str());
    for (headers, status) in [
        (vec![("host", HOST)], StatusCode::UNAUTHORIZED),
        (vec![("host", HOST), ("cookie", "flashline_screen=00")], StatusCode::UNAUTHORIZED),
        (vec![("host", "evil.example:7380"), cookie], StatusCode::FORBIDDEN),
        (vec![("host", HOST), ("origin", "http://127.0.0.1:7381"), cookie], StatusCode::FORBIDDEN),
        (vec![("host", HOST), ("origin", "null"), cookie], StatusCode::FORBIDDEN),
    ] {
        let answer = screen.ask("POST", "/api/slots/1/look", &headers, "").await;
        assert_eq!(answer.status(), status, "{headers:?}");
    }
    let read = screen.ask("GET", "/api/slots/1/look", &own, "").await;
    assert_eq!(read.status(), StatusCode::METHOD_NOT_ALLOWED, "a link never touches");
}

#[test]
fn the_committed_document_is_the_one_this_program_writes() {
    let committed = include_str!("../../openapi.json");
    assert!(
        committed == openapi_json(),
        "station-daemon/openapi.json is old: cargo run -p station-daemon -- openapi > it"
    );
}

#[tokio::test]
async fn an_approval_reaches_the_desk_for_a_screen_that_was_let_in_and_nobody_else() {
    let screen = Screen::new();
    let cookie = screen.cookie().await;
    let json = ("content-type", "application/json");
    let own = [("host", HOST), ("cookie", cookie.as_str()), json];
    for (body, status) in [
        (r#"{"kind":"unproven","chip":"RP2040","way":"probe"}"#, StatusCode::OK),
        (r#"{"kind":"unlock","slot":3}"#, StatusCode::OK),
        // Whose act it is, is not the screen's to say.
        (r#"{"kind":"unlock","slot":3,"by":12}"#, StatusCode::UNPROCESSABLE_ENTITY),
        (r#"{"kind":"unlock"}"#, StatusCode::UNPROCESSABLE_ENTITY),
        (r#"{"kind":"everything"}"#, StatusCode::UNPROCESSABLE_ENTITY),
        ("", StatusCode::BAD_REQUEST),
    ] {
        let answer = screen.ask("POST", "/api/approvals", &own, body).await;
        assert_eq!(answer.status(), status, "{body}");
        if status == StatusCode::OK {
            let bytes = answer.into_body().collect().await.expect("body").to_bytes();
            let answer: ApprovalAnswer = serde_json::from_slice(&bytes).expect("an answer");
            assert_eq!((answer.accepted, answer.word.as_str()), (true, body));
        }
        let stranger = screen.ask("POST", "/api/approvals", &[("host", HOST), json], body).await;
        assert_eq!(stranger.status(), StatusCode::UNAUTHORIZED, "{body}");
    }
}

#[tokio::test]
async fn what_a_person_does_reaches_the_desk_for_a_screen_that_was_let_in_and_nobody_else() {
    let screen = Screen::new();
    let cookie = screen.cookie().await;
    let json = ("content-type", "application/json");
    let own = [("host", HOST), ("cookie", cookie.as_str()), json];
    for (path, body, status, word) in [
        ("/api/operator/pin", r#"{"pin":"271828"}"#, StatusCode::OK, "pin_right"),
        ("/api/operator/pin", r#"{"pin":271828}"#, StatusCode::UNPROCESSABLE_ENTITY, ""),
        ("/api/operator/pin", r#"{"pin":"1","as":"it"}"#, StatusCode::UNPROCESSABLE_ENTITY, ""),
        ("/api/operator/out", "", StatusCode::OK, "signed_out"),
        ("/api/order/close", "", StatusCode::OK, "order_closed"),
    ] {
        let answer = screen.ask("POST", path, &own, body).await;
        assert_eq!(answer.status(), status, "{path} {body}");
        if status == StatusCode::OK {
            let bytes = answer.into_body().collect().await.expect("body").to_bytes();
            let answer: ActAnswer = serde_json::from_slice(&bytes).expect("an answer");
            assert_eq!((answer.accepted, answer.word.as_str()), (true, word), "{path}");
        }
        let stranger = screen.ask("POST", path, &[("host", HOST), json], body).await;
        assert_eq!(stranger.status(), StatusCode::UNAUTHORIZED, "{path}");
        let read = screen.ask("GET", path, &own, "").await;
        assert_eq!(read.status(), StatusCode::METHOD_NOT_ALLOWED, "a link never acts");
    }
}

#[tokio::test]
async fn a_scan_is_shown_at_once_and_everything_else_at_most_five_times_a_second() {
    use futures_util::{FutureExt as _, StreamExt as _};
    let mut now = halted_view(TroubleCode::DiskFull, "1");
    let (sender, receiver) = watch::channel(Arc::new(now.clone()));
    let mut views = Box::pin(views(receiver));
    assert!(views.next().now_or_never().flatten().is_some(), "the first at once");
    let scan = |number: u32| {
        let (text, answer) = (None, ScanAnswer::to(ScanKind::Order, true, "order_selected"));
        Some(view::ScanSeen { number, scanner: 1, text, answer, since_ms: 0 })
    };
    for number in 1..=3 {
        now.seq += 1;
        sender.send_replace(Arc::new(now.clone()));
        assert!(views.next().now_or_never().is_none(), "a change waits");
        now.scan = scan(number);
        sender.send_replace(Arc::new(now.clone()));
        assert!(views.next().now_or_never().flatten().is_some(), "scan {number} does not");
    }
    now.seq += 1;
    sender.send_replace(Arc::new(now));
    assert!(views.next().await.is_some(), "what waited is shown in the end");
    drop(sender);
    assert!(views.next().await.is_none());
}
