//! How long single functions take, and one route without a socket: `cargo bench --manifest-path benches/Cargo.toml --features
//! functions`.

use std::{collections::BTreeMap, hint::black_box, sync::Arc, time::Duration};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use fiador::{
    api_key::ApiKey,
    app::Service,
    audit::AuditLog,
    clock::{Clock, system_random},
    config::Config,
    domain::{
        ApiKeyGrant, Application, ApplicationName, EmailAddress, IdentityNumber, LeasedMessage, Limits, Locale, Lookup,
        MessageKey, Moment, OperationId, Purpose, SecondStep, Token,
    },
    fuzzing,
    http::{self, Asks, Front},
    mail::rendering::Renderer,
    store::{
        KeyRing, Vault,
        operations::{Checking, Operation, Snapshot, StartRequest, Starting},
    },
};
use mimalloc::MiMalloc;

/// The daemon's.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const NOW: Moment = Moment(1_767_225_600_000); // 2026-01-01T00:00:00Z
const BODY: &str = r#"{"email":"ada@example.org","token":"session of ada"}"#;

fn application() -> Application {
    Application {
        name: ApplicationName::parse("shop").expect("it is a name"),
        display_name: "Corner Shop".to_owned(),
        keys: vec![],
        locale: Locale::EN,
        from: address("codes@shop.example"),
        reply_to: None,
        lookup: Lookup::Id,
        number_in_subject: false,
        is_test: false,
        second_step: SecondStep::default(),
        limits: Limits::default(),
        purposes: BTreeMap::new(),
    }
}

fn address(text: &str) -> EmailAddress {
    EmailAddress::parse(text).expect("it is an address")
}

fn vault() -> Vault {
    Vault::new(KeyRing::generate(&mut system_random()))
}

fn request() -> StartRequest {
    StartRequest {
        application: ApplicationName::parse("shop").expect("it is a name"),
        address: address("ada@example.org"),
        token: Some(Token::Text("session of ada".to_owned())),
        purpose: Purpose::default(),
        locale: Locale::EN,
        ttl_seconds: 600,
        digits: 8,
        wrong_checks: 5,
        mail_domain: "shop.example".to_owned(),
        context_ip: None,
        is_found_by_number: false,
        signs_in: None,
        is_test: false,
        with_lease: true,
        refusal: None,
        operation: OperationId([7; 32]),
    }
}

/// What a start does between its request and its commit: derives keys and hashes, draws the number, decides, seals.
fn start(criterion: &mut Criterion) {
    let vault = vault();
    criterion.bench_function("start: derive and draw", |bencher| {
        bencher.iter_batched(request, |request| Starting::new(&vault, request), BatchSize::SmallInput);
    });
    let starting = Starting::new(&vault, request());
    criterion.bench_function("start: decide and seal", |bencher| {
        bencher.iter(|| starting.decide(&vault, &Snapshot::default(), NOW).map(|decision| black_box(decision.write)));
    });
}

/// The same of a wrong check, which opens the record before.
fn check(criterion: &mut Criterion) {
    let vault = vault();
    let started = Starting::new(&vault, request()).decide(&vault, &Snapshot::default(), NOW).expect("nothing is read");
    let id = started.answer.map(|mailing| mailing.view.id).expect("nothing is in the way");
    let write = started.write.expect("a start is written");
    let read = Snapshot { record: write.record.map(|(sealed, _)| sealed), token: Some(write.sealed.token) };
    let number = IdentityNumber::parse("00000000").expect("it is a number");
    let derive = || {
        let shop = ApplicationName::parse("shop").expect("it is a name");
        Checking::new(&vault, shop, id.clone(), number.clone(), false, &OperationId([9; 32])).expect("the id is its own")
    };
    criterion.bench_function("check: derive", |bencher| bencher.iter(derive));
    let checking = derive();
    criterion.bench_function("check: open, decide and seal", |bencher| {
        bencher.iter(|| checking.decide(&vault, &read, NOW + Duration::from_secs(9)).map(|decision| black_box(decision.write)));
    });
}

fn words(criterion: &mut Criterion) {
    criterion.bench_function("draw a number", |bencher| {
        let mut random = system_random();
        bencher.iter(|| IdentityNumber::draw(&mut random, 8));
    });
    criterion.bench_function("parse and normalise an address", |bencher| {
        bencher.iter(|| EmailAddress::parse(black_box("Ada.Lovelace@Example.org")).map(|address| address.normalised()));
    });
    criterion.bench_function("parse a body, as each of the four calls and beside another parser", |bencher| {
        bencher.iter(|| fuzzing::bodies(black_box(BODY.as_bytes())));
    });
}

fn mail(criterion: &mut Criterion) {
    let (renderer, application) = (Renderer::default(), application());
    let message = LeasedMessage {
        key: MessageKey { handle: [1; 16], verification: [2; 16] },
        fence: 1,
        tries: 0,
        leased_until: NOW + Duration::from_secs(60),
        leased_at: NOW,
        application: application.name.clone(),
        address: address("ada@example.org"),
        number: Some(IdentityNumber::parse("40718293").expect("it is a number")),
        purpose: Purpose::default(),
        locale: Locale::EN,
        started_at: NOW,
        queued_at: NOW,
        expires_at: NOW + Duration::from_secs(600),
        message_id: "<3f0c9a.1@shop.example>".to_owned(),
        written: None,
    };
    criterion.bench_function("render a mail", |bencher| bencher.iter(|| renderer.render(&message, &application)));
}

/// `GET /v1/verifications/{id}` from the parsed request to the reply: front, key, Gateway, embedded store, JSON.
fn route(criterion: &mut Criterion) {
    let system = actix::System::new();
    let key = ApiKey::draw();
    let directory = tempfile::tempdir().expect("there is a place for temporary files");
    let shop = Application { keys: vec![ApiKeyGrant::new(key.hash())], ..application() };
    let data_dir = directory.path().join("data");
    let config = Config { data_dir, applications: vec![shop], demo_sender: None, ..Config::default() };
    let service = system.block_on(Service::start(&config, Clock::system())).expect("an empty directory is all it needs");
    let front = Front::new(asks(&service), http::Limits::default(), AuditLog::off());
    let post = || request_to("POST", "/v1/verifications", &key, BODY);
    let reply = system.block_on(front.answer_in_memory(post()));
    assert_eq!(reply.status(), 202);
    let place = reply.headers()["location"].to_str().expect("it is a path").to_owned();
    criterion.bench_function("GET /v1/verifications/{id}, without a socket", |bencher| {
        bencher.iter(|| {
            let reply = system.block_on(front.answer_in_memory(request_to("GET", &place, &key, "")));
            assert_eq!(reply.status(), 200);
        });
    });
}

fn request_to(method: &str, path: &str, key: &ApiKey, body: &str) -> warp::http::Request<String> {
    let request = warp::http::Request::builder().method(method).uri(path).header("host", "localhost");
    let request = request.header("authorization", format!("Bearer {}", key.as_str())).header("content-type", "application/json");
    request.body(body.to_owned()).expect("all parts are right")
}

fn asks(service: &Service) -> Asks {
    Asks {
        authenticate: service.authenticate(),
        start_verification: service.asks(),
        read_verification: service.asks(),
        check_number: service.asks(),
        check_by_number: service.asks(),
        resend_verification: service.asks(),
        cancel_verification: service.asks(),
        list_mails: service.asks(),
        read_mail: service.asks(),
        retry_mail: service.asks(),
        create_user: service.asks(),
        read_user: service.asks(),
        find_user: service.asks(),
        update_user: service.asks(),
        delete_user: service.asks(),
        export_user: service.asks(),
        set_password: service.asks(),
        sign_in: service.asks(),
        sign_in_by_number: service.asks(),
        readiness: service.asks(),
        system: Arc::new(|| Box::pin(async { unreachable!("nobody asks for it") })),
        inbox: None,
        published_keys: Arc::new(|| unreachable!("nobody asks for them")),
        is_live: Arc::new(|| Box::pin(async { true })),
    }
}

criterion_group!(functions, start, check, words, mail, route);
criterion_main!(functions);
