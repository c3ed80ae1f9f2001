//! The ways to a server: as a user with no more rights than are needed, over a unix socket, over TLS.

use std::{collections::BTreeSet, fs, path::Path};

use fiador::messages::Failure;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::keys::do_everything;
use crate::kit::{
    caller::Caller,
    daemon::Home,
    monitor::Monitor,
    redis::TestRedis,
    stores::{TestStore, settings, try_redis_ring},
};

/// All that a daemon needs of its server. The commands in the second half are those of the script.
const RIGHTS: [&str; 23] = [
    "resetkeys",
    "resetchannels",
    "-@all",
    "~{*}*",
    "~fiador:keyring",
    "+info",
    "+time",
    "+get",
    "+mget",
    "+set",
    "+zrange",
    "+evalsha",
    "+eval",
    "+getrange",
    "+exists",
    "+unlink",
    "+zadd",
    "+zrem",
    "+zremrangebyscore",
    "+pexpire",
    "+pexpireat",
    "on",
    ">s3cret:/@",
];

fn url_of(user: &str, server: &TestRedis) -> String {
    format!("redis://{user}:s3cret%3A%2F%40@127.0.0.1:{}/", server.port())
}

#[actix::test]
async fn a_user_with_just_the_rights_that_are_needed_can_do_everything() {
    let (server, directory) = (TestRedis::start(), tempfile::tempdir().unwrap());
    server.tell(&[&["ACL", "SETUSER", "fiador"], RIGHTS.as_slice()].concat());
    let mut monitor = Monitor::of(&server);
    server.tell(&["ACL", "SETUSER", "default", "off"]);

    let store = TestStore::on(&url_of("fiador", &server), directory.path()).await;
    do_everything(&store).await;
    let used: BTreeSet<String> = monitor.take().iter().map(|seen| format!("+{}", seen.name().to_lowercase())).collect();
    let granted = RIGHTS.iter().filter(|right| right.starts_with('+')).map(ToString::to_string);
    let not_ours = ["+acl", "+auth", "+client"].map(str::to_owned); // the test's; always granted; the library goes on without
    let needed = used.into_iter().chain(["+time".to_owned()]).filter(|name| !not_ours.contains(name));
    assert_eq!(granted.collect::<BTreeSet<_>>(), needed.collect());
}

#[actix::test]
async fn a_right_that_is_missing_fails_what_needs_it_alone() {
    let (server, directory) = (TestRedis::start(), tempfile::tempdir().unwrap());
    server.tell(&[&["ACL", "SETUSER", "fiador"], RIGHTS.as_slice(), &["-mget"]].concat());
    let store = TestStore::on(&url_of("fiador", &server), directory.path()).await;
    let (verification, mail) = store.start("ada@example.org").await;

    assert_eq!(store.check(&verification.id, mail.digits().unwrap()).await, Err(Failure::Unavailable));
    assert!(store.look_up(&verification.id).await.is_ok());
    store.end(&verification.id).await.unwrap();
}

#[actix::test]
async fn a_wrong_password_is_refused_without_being_repeated() {
    let (server, directory) = (TestRedis::start_with(&["--requirepass", "right"]), tempfile::tempdir().unwrap());
    let url = format!("redis://:wr0ng@127.0.0.1:{}/", server.port());

    let refused = try_redis_ring(&settings(&url), directory.path()).await.err().unwrap().to_string();
    assert!(refused.contains(&server.port().to_string()) && !refused.contains("wr0ng"), "{refused}");
}

#[actix::test]
async fn a_unix_socket_leads_to_a_server() {
    for scheme in ["unix", "redis+unix"] {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("redis.sock").display().to_string();
        let _server = TestRedis::start_with(&["--unixsocket", &socket]);

        let store = TestStore::on(&format!("{scheme}://{socket}"), directory.path()).await;
        do_everything(&store).await;
    }
}

/// A certificate for 127.0.0.1 and its authority's, in files of this directory.
fn make_certificates(directory: &Path) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    fs::write(directory.join("authority.pem"), authority.pem()).unwrap();
    fs::write(directory.join("server.pem"), certificate.pem()).unwrap();
    fs::write(directory.join("server.key"), key.serialize_pem()).unwrap();
}

#[actix::test]
async fn tls_leads_to_a_server_whose_authority_is_trusted_and_to_no_other() {
    let (ours, theirs) = (Home::new(), Home::new());
    for home in [&ours, &theirs] {
        make_certificates(&home.path(""));
    }
    let server = TestRedis::start_tls(&ours.path("server.pem"), &ours.path("server.key"));
    let url = format!("rediss://127.0.0.1:{}/", server.port());
    let authority_of = |home: &Home| home.path("authority.pem").display().to_string();
    let (our_authority, their_authority) = (authority_of(&ours), authority_of(&theirs));
    let trusting = |authority| [("FIADOR__STORE__REDIS_URL", url.as_str()), ("SSL_CERT_FILE", authority)];

    let refused = theirs.refusal(&trusting(their_authority.as_str())).await;
    assert!(refused.contains("certificate"), "{refused}");
    let daemon = ours.start_with(&trusting(our_authority.as_str())).await;
    assert_eq!(Caller::of(&daemon, &ours.demo_key()).get("/health/ready").await.status, 200);
}
