//! The whole job with a real SMTP server.

use serde_json::{Value, json};

use crate::kit::{
    caller::{Caller, number_in},
    daemon::Home,
    http::Reply,
    smtp_server::{PASSWORD, SmtpServer, USER},
};

/// As a client may write it: what comes back is this and not its meaning.
const TOKEN: &str = r#"{ "session" : "s-1",  "n":1.0e0, "ä":"\u00e4", "n":[ ] }"#;

#[tokio::test]
async fn a_number_mailed_over_starttls_with_a_login_gives_the_token_back_byte_for_byte() {
    let mut server = SmtpServer::start().await;
    let (home, key) = Home::with_application(&format!(
        "[[smtp]]\nhost = \"localhost\"\nport = {}\nuser = \"{USER}\"\npassword_file = \"smtp-password\"\nfrom = \"no-reply@shop.example\"",
        server.settings().port,
    ));
    home.write("smtp-password", PASSWORD);
    let certificate = server.certificate().display().to_string();
    let daemon = home.start_with(&[("SSL_CERT_FILE", &certificate)]).await;
    let caller = Caller::of(&daemon, &key);

    let body = format!(r#"{{"email":"Ada@example.org","token":{TOKEN},"locale":"es"}}"#);
    let started = Reply::to(caller.post("/v1/verifications", body)).await;
    assert_eq!(started.status, 202, "{}", started.text);
    let mail = server.next_report().await;

    assert_eq!((&mail["tls"], &mail["user"]), (&true.into(), &USER.into()));
    assert_eq!((&mail["sender"], &mail["recipients"][0]), (&"no-reply@shop.example".into(), &"Ada@example.org".into()));
    let approval = caller.check(&started.id(), &number_in(mail["content"].as_str().unwrap())).await;
    assert!(approval.text.ends_with(&format!(r#","token":{TOKEN}}}"#)), "{}", approval.text);
    assert_eq!(caller.get("/health/ready").await.status, 200);
    drop(daemon);
    server.stop().await;
}

#[tokio::test]
async fn a_mail_server_that_is_not_trusted_is_told_by_readiness_and_gets_no_mail() {
    let server = SmtpServer::start().await;
    let (home, key) = Home::with_application(&format!(
        "[[smtp]]\nhost = \"localhost\"\nport = {}\nfrom = \"no-reply@shop.example\"",
        server.settings().port,
    ));
    let other = SmtpServer::start().await;
    let certificate = other.certificate().display().to_string();
    let daemon = home.start_with(&[("SSL_CERT_FILE", &certificate)]).await;
    let caller = Caller::of(&daemon, &key);

    let id = caller.start_for("ada@example.org").await;
    let delivery = loop {
        let delivery = caller.read(&id).await.json()["delivery"].take();
        if delivery["last_reply"] != Value::Null {
            break delivery;
        }
    };

    assert_eq!((&delivery["status"], &delivery["attempts"]), (&json!("queued"), &json!(0)), "{delivery}");
    assert_eq!(caller.get("/health/ready").await.problem(503, "unavailable")["parts"][0]["part"], "mail");
    drop(daemon);
    server.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn with_an_smtp_server_there_is_no_dev_inbox() {
    let config = "[[smtp]]\nhost = \"localhost\"\nport = 9\ntls = \"none\"\nfrom = \"no-reply@shop.example\"";
    let (home, key) = Home::with_application(config);
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &key);

    caller.get("/dev/inbox").await.problem(404, "not-found");
    caller.get("/dev/inbox/messages?to=ada@example.org").await.problem(404, "not-found");
}

#[tokio::test]
async fn a_mail_server_that_is_down_fails_no_registration_of_the_old_contract() {
    let home = Home::new();
    home.write(
        "config.toml",
        "[[smtp]]\nhost = \"localhost\"\nport = 9\ntls = \"none\"\nfrom = \"no-reply@shop.example\"\n\
         [compat]\nlisten = \"127.0.0.1:0\"\napplication = \"legacy\"\n\
         [[applications]]\nname = \"legacy\"\nlookup = \"number\"\n",
    );
    let daemon = home.start().await;
    daemon.until_logged("old contract is served").await;
    let address = daemon.logged().iter().find_map(|line| Some(line.split_once("compat.listen=")?.1.to_owned())).unwrap();

    for n in 0..3 {
        let body = json!({"correo": format!("ada{n}@example.org"), "token": "tok-1"}).to_string();
        let request = reqwest::Client::new().post(format!("http://{address}/registrar"));
        let reply = request.header("Content-Type", "application/json").body(body).send().await.unwrap();
        assert_eq!(reply.status(), 200);
        assert_eq!(reply.text().await.unwrap(), "correo y token registrados");
    }
}
