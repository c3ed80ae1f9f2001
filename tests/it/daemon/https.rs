//! HTTPS as it is run: configured by two files, renewed without a restart, reached through proxies.

use std::fs;

use fiador::api_key::ApiKey;
use time::Duration;
use tokio::{io::AsyncWriteExt, net::TcpStream, process::Command};
use tokio_rustls::client::TlsStream;

use crate::kit::{
    caller::Caller,
    daemon::{Daemon, Home, application_whose_key},
    http::{Reply, read_reply},
    tls::TestCertificate,
};

const TLS: &str = "[http.tls]\ncertificate_file = \"certificate.pem\"\nkey_file = \"key.pem\"\n";
const DEV: &str = "[dev]\ninbox = true\n";

/// A directory whose daemon shows this certificate.
fn home_with(certificate: &TestCertificate) -> Home {
    let (home, _) = Home::with_application(&format!("{TLS}{DEV}"));
    home.write("certificate.pem", &certificate.pem);
    home.write("key.pem", &certificate.key_pem);
    home
}

async fn connect(daemon: &Daemon, certificate: &TestCertificate) -> std::io::Result<TlsStream<TcpStream>> {
    certificate.connect(daemon.address.parse().unwrap(), &["http/1.1"]).await
}

async fn is_live(stream: &mut TlsStream<TcpStream>) -> bool {
    stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    read_reply(stream).await.status == 200
}

/// What curl, which shares no code with us, prints of a call: status, version of HTTP.
async fn curl(home: &Home, daemon: &Daemon, arguments: &[&str]) -> String {
    let port = daemon.address.rsplit(':').next().unwrap();
    let output = Command::new("curl")
        .args(["--silent", "--output", "/dev/null", "--max-time", "20", "--noproxy", "*", "--cacert"])
        .arg(home.path("certificate.pem"))
        .args(["--write-out", "%{http_code} %{http_version}"])
        .args(arguments)
        .arg(format!("https://localhost:{port}/health/live"))
        .output();
    String::from_utf8(output.await.unwrap().stdout).unwrap()
}

#[tokio::test]
async fn two_files_make_it_https_for_any_client() {
    let certificate = TestCertificate::new();
    let home = home_with(&certificate);
    let daemon = home.start().await;

    assert!(daemon.printed()[0].contains(" listens on https://127.0.0.1:"), "{:?}", daemon.printed());
    assert_eq!(curl(&home, &daemon, &["--http2"]).await, "200 2");
    assert_eq!(curl(&home, &daemon, &["--http1.1"]).await, "200 1.1");
    assert_eq!(curl(&home, &daemon, &["--tls-max", "1.2"]).await, "200 2");
}

#[tokio::test]
async fn new_files_are_shown_to_new_connections_and_open_ones_go_on() {
    let (old, new) = (TestCertificate::new(), TestCertificate::new());
    let home = home_with(&old);
    let daemon = home.start().await;
    let mut open = connect(&daemon, &old).await.unwrap();
    assert!(is_live(&mut open).await);

    // as renewals do: written beside the old ones, which they then replace
    for (name, pem) in [("certificate.pem", &new.pem), ("key.pem", &new.key_pem)] {
        home.write("new", pem);
        fs::rename(home.path("new"), home.path(name)).unwrap();
    }
    daemon.until_logged("certificate renewed").await;

    assert!(is_live(&mut connect(&daemon, &new).await.unwrap()).await);
    assert!(connect(&daemon, &old).await.is_err(), "the old one is shown no more");
    assert!(is_live(&mut open).await);
}

#[tokio::test]
async fn half_of_a_pair_is_not_taken_and_refuses_a_reload_until_the_other_half_is_there() {
    let (old, new) = (TestCertificate::new(), TestCertificate::new());
    let home = home_with(&old);
    let daemon = home.start().await;

    home.write("certificate.pem", &new.pem);
    daemon.until_logged("certificate not renewed").await;
    daemon.hang_up().await;
    daemon.until_logged("configuration not reloaded").await;
    let told = "http.tls.key_file names key.pem, which is not the key of the first certificate in certificate.pem";
    let refusals: Vec<String> = daemon.logged().into_iter().filter(|line| line.contains(told)).collect();
    assert_eq!(refusals.len(), 2, "each says once which and why: {:#?}", daemon.logged());
    assert!(is_live(&mut connect(&daemon, &old).await.unwrap()).await);

    home.write("key.pem", &new.key_pem);
    daemon.until_logged("certificate renewed").await;
    assert!(is_live(&mut connect(&daemon, &new).await.unwrap()).await);
}

#[tokio::test]
async fn a_reload_takes_other_files_and_an_open_connection_goes_on() {
    let (old, new) = (TestCertificate::new(), TestCertificate::new());
    let home = home_with(&old);
    let daemon = home.start().await;
    let mut open = connect(&daemon, &old).await.unwrap();
    assert!(is_live(&mut open).await);

    home.write("other/certificate.pem", &new.pem);
    home.write("other/key.pem", &new.key_pem);
    let moved =
        home.read("config.toml").replace("\"certificate.pem", "\"other/certificate.pem").replace("\"key.", "\"other/key.");
    home.write("config.toml", &moved);
    daemon.hang_up().await;
    daemon.until_logged("configuration reloaded").await;

    assert!(is_live(&mut connect(&daemon, &new).await.unwrap()).await);
    assert!(is_live(&mut open).await);
    home.write("other/key.pem", &old.key_pem);
    daemon.until_logged("certificate not renewed").await; // it is these that are looked at now
}

#[tokio::test]
async fn https_is_not_turned_off_while_the_daemon_runs() {
    let certificate = TestCertificate::new();
    let home = home_with(&certificate);
    let daemon = home.start().await;

    home.write("config.toml", &home.read("config.toml").replace(TLS, ""));
    daemon.hang_up().await;

    daemon.until_logged("http.tls: cannot change while the daemon runs").await;
    assert!(is_live(&mut connect(&daemon, &certificate).await.unwrap()).await);
}

#[tokio::test]
async fn a_certificate_that_runs_out_soon_is_told_of() {
    for (days, is_told) in [(-1, true), (13, true), (15, false)] {
        let home = home_with(&TestCertificate::that_holds(Duration::days(days)));
        let mut daemon = home.start().await;
        if is_told {
            daemon.until_logged("certificate runs out").await;
        }
        daemon.terminate().await;
        daemon.ended().await;
        assert_eq!(daemon.logged().iter().any(|line| line.contains("certificate runs out")), is_told, "{days} days");
    }
}

#[tokio::test]
async fn one_that_has_run_out_is_not_taken_for_one_that_holds() {
    let (old, over) = (TestCertificate::new(), TestCertificate::that_holds(Duration::days(-1)));
    let home = home_with(&old);
    let daemon = home.start().await;

    home.write("certificate.pem", &over.pem);
    home.write("key.pem", &over.key_pem);
    daemon.until_logged("while the one in use holds").await;
    daemon.hang_up().await;
    daemon.until_logged("configuration not reloaded").await;
    assert!(is_live(&mut connect(&daemon, &old).await.unwrap()).await);
    assert!(home.run(&["check-config"]).await.contains("with a certificate that RAN OUT at"));

    let new = TestCertificate::new();
    home.write("certificate.pem", &new.pem);
    home.write("key.pem", &new.key_pem);
    daemon.until_logged("certificate renewed").await;
    assert!(is_live(&mut connect(&daemon, &new).await.unwrap()).await);
}

#[tokio::test]
async fn the_old_contract_is_encrypted_with_it_too() {
    let certificate = TestCertificate::new();
    let (home, _) = Home::with_application(&format!(
        "{TLS}{DEV}[compat]\nlisten = \"127.0.0.1:0\"\napplication = \"legacy\"\n[[applications]]\nname = \"legacy\"\nlookup = \"number\"\n"
    ));
    home.write("certificate.pem", &certificate.pem);
    home.write("key.pem", &certificate.key_pem);
    let daemon = home.start().await;

    daemon.until_logged("old contract is served").await;
    let logged = daemon.logged();
    let address = logged.iter().find_map(|line| line.split("compat.listen=").nth(1)).unwrap();
    let address = address.split(' ').next().unwrap().parse().unwrap();
    let mut stream = certificate.connect(address, &["http/1.1"]).await.unwrap();
    stream.write_all(b"POST /validar HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    assert_eq!(read_reply(&mut stream).await.status, 400);
}

// ---------------------------------------------------------------- behind proxies

/// The status of a read from here, which a proxy is said to forward.
async fn read_forwarded(daemon: &Daemon, key: &str, forwarded: Option<&str>) -> u16 {
    let caller = Caller::of(daemon, key);
    let request = caller.request(reqwest::Method::GET, &format!("/v1/verifications/vrf_{}", "A".repeat(43)));
    let request = match forwarded {
        Some(forwarded) => request.header("X-Forwarded-For", forwarded),
        None => request,
    };
    Reply::to(request).await.status
}

/// A directory in which a key may be used from 203.0.113.0/24 alone, and these are the trusted proxies.
fn home_behind(proxies: &str) -> (Home, String) {
    let (home, key) = (Home::new(), ApiKey::draw().as_str().to_owned());
    let application = application_whose_key("shop", &key, ", networks = [\"203.0.113.0/24\"]");
    home.write("config.toml", &format!("[http]\ntrusted_proxies = [{proxies}]\n{DEV}{application}"));
    (home, key)
}

#[tokio::test]
async fn only_a_trusted_proxy_says_for_whom_it_speaks() {
    let (home, key) = home_behind("\"127.0.0.0/8\"");
    let daemon = home.start().await;
    for (forwarded, status) in [
        (Some("203.0.113.9"), 404),
        (Some("198.51.100.1, 203.0.113.9, 127.0.0.2"), 404),
        (Some("203.0.113.9, 198.51.100.1"), 401),
        (Some("203.0.113.9, nonsense"), 401),
        (None, 401),
    ] {
        assert_eq!(read_forwarded(&daemon, &key, forwarded).await, status, "{forwarded:?}");
    }
    let inbox = Caller::of(&daemon, &key).request(reqwest::Method::GET, "/dev/inbox");
    assert_eq!(Reply::to(inbox.header("X-Forwarded-For", "127.0.0.1")).await.status, 404, "it is not for whom one speaks for");

    home.write("config.toml", &home.read("config.toml").replace("127.0.0.0/8", "10.0.0.0/8"));
    daemon.hang_up().await;
    daemon.until_logged("configuration reloaded").await;
    assert_eq!(read_forwarded(&daemon, &key, Some("203.0.113.9")).await, 401, "it is trusted no more");
}

#[tokio::test]
async fn a_forged_word_of_a_proxy_is_not_heard() {
    let (home, key) = home_behind("");
    let daemon = home.start().await;

    assert_eq!(read_forwarded(&daemon, &key, Some("203.0.113.9")).await, 401);
}
