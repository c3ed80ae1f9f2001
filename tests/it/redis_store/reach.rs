//! The ways to a server: as a user with no more rights than are needed, over a unix socket, over TLS.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use fiador::{domain::MessageOutcome, messages::OpenVerification};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::kit::{
    daemon::TestDaemon,
    monitor::Monitor,
    redis::TestRedis,
    stores::{TestStore, other_than, settings, try_redis_ring, until},
};

/// All that a daemon needs of its server. The commands in the second half are those of the script.
const RIGHTS: [&str; 22] = [
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

/// Every operation; what the user may not do shows as an answer that is missing.
async fn everything_works(store: &TestStore) {
    let (verification, mail) = store.start("ada@example.org").await;
    store.settle(&mail, MessageOutcome::Refused("550 no".to_owned())).await;
    store.look_up(&verification.id).await.unwrap();
    for _ in 0..5 {
        store.check(&verification.id, &other_than(mail.number.as_str())).await.unwrap_err();
    }
    store.hand.advance(Duration::from_secs(30));
    let unleased = OpenVerification { with_lease: false, ..TestStore::opening("ada@example.org") };
    let verification = store.open(unleased).await.unwrap().verification;
    let mail = store.claim(8).await.remove(0);
    assert!(store.check(&verification.id, mail.number.as_str()).await.is_ok());
    let (verification, _) = store.start("bob@example.org").await;
    store.end(&verification.id).await.unwrap();
}

#[actix::test]
async fn a_user_with_just_the_rights_that_are_needed_can_do_everything() {
    let (server, directory) = (TestRedis::start(), tempfile::tempdir().unwrap());
    server.tell(&[&["ACL", "SETUSER", "fiador"], RIGHTS.as_slice()].concat());
    let mut monitor = Monitor::of(&server);
    server.tell(&["ACL", "SETUSER", "default", "off"]);

    let store = TestStore::on(&url_of("fiador", &server), directory.path()).await;
    everything_works(&store).await;
    let used: BTreeSet<String> = monitor.take().iter().map(|seen| format!("+{}", seen.name().to_lowercase())).collect();
    let granted = RIGHTS.iter().filter(|right| right.starts_with('+')).map(ToString::to_string);
    let not_ours = ["+acl", "+client"].map(str::to_owned); // the test's, and the library's, which goes on without
    let needed = used.into_iter().chain(["+time".to_owned()]).filter(|name| !not_ours.contains(name));
    assert_eq!(granted.collect::<BTreeSet<_>>(), needed.collect());
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
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("redis.sock").display().to_string();
    let _server = TestRedis::start_with(&["--unixsocket", &socket]);

    for scheme in ["unix", "redis+unix"] {
        let store = TestStore::on(&format!("{scheme}://{socket}"), directory.path()).await;
        everything_works(&store).await;
        store.hand.advance(Duration::from_secs(4000));
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
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for directory in [&ours, &theirs] {
        make_certificates(directory.path());
    }
    let server = TestRedis::start_tls(&ours.path().join("server.pem"), &ours.path().join("server.key"));
    let url = format!("rediss://127.0.0.1:{}/", server.port());
    let trusting = |directory: &Path| directory.join("authority.pem").display().to_string();
    let environment = |trusted| [("FIADOR__STORE__REDIS_URL", url.as_str()), ("SSL_CERT_FILE", trusted)];

    let trusts_others = trusting(theirs.path());
    let refused = TestDaemon::refusal(theirs.path(), &environment(trusts_others.as_str()));
    assert!(refused.contains("certificate"), "{refused}");
    let trusts_ours = trusting(ours.path());
    let daemon = TestDaemon::start(ours.path(), &environment(trusts_ours.as_str()));
    let is_ready = async || reqwest::get(daemon.url("/health/ready")).await.is_ok_and(|reply| reply.status() == 200);
    until(is_ready).await;
}
