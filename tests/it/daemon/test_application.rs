//! A test application: its users test their sign-in against it, without a mailbox.

use fiador::api_key::ApiKey;
use reqwest::Method;
use serde_json::json;

use crate::kit::{
    caller::Caller,
    daemon::{Daemon, Home, application_whose_key},
    http::Reply,
};

const DEV: &str = "[dev]\ninbox = true\n";

/// A daemon with the test application `ci`, and the application `shop`.
async fn with_both() -> (Home, Daemon, Caller, Caller, String) {
    let (home, shop_key) = Home::with_application(DEV);
    let ci_key = ApiKey::draw().as_str().to_owned();
    declare(&home, &ci_key, "test = true", &shop_key);
    let daemon = home.start().await;
    let (ci, shop) = (Caller::of(&daemon, &ci_key), Caller::of(&daemon, &shop_key));
    (home, daemon, ci, shop, [ci_key, shop_key].join(" "))
}

fn declare(home: &Home, ci_key: &str, more: &str, shop_key: &str) {
    let (ci, shop) = (application_whose_key("ci", ci_key, ""), application_whose_key("shop", shop_key, ""));
    home.write("config.toml", &format!("{DEV}{ci}{more}\n{shop}"));
}

#[tokio::test]
async fn a_sign_in_is_tested_with_zeros_again_and_again_and_no_mail_is_there() {
    let (_home, daemon, ci, shop, _) = with_both().await;

    for _ in 0..30 {
        let id = ci.start_for("ada@example.org").await;
        assert_eq!(Reply::to(ci.request(Method::POST, &format!("/v1/verifications/{id}/resend"))).await.status, 202);
        let approved = ci.check(&id, "00000000").await;
        assert_eq!((approved.json()["token"].clone(), approved.json()["test"].clone()), (json!("tok-1"), json!(true)));
        assert_eq!(approved.header("fiador-test"), Some("true"));
    }
    assert_eq!(ci.get("/dev/inbox/messages").await.json(), json!([]));

    let id = shop.start_for("ada@example.org").await; // whose budgets are its own
    assert_eq!(ci.check(&id, "00000000").await.status, 404);
    assert_eq!(shop.check(&id, "00000000").await.problem(422, "number-incorrect").get("test"), None);
    assert!(daemon.printed().iter().any(|line| line == "  test:  ci: anyone passes"), "{:#?}", daemon.printed());
    daemon.until_logged("test application: anyone passes").await;
}

#[tokio::test]
async fn what_was_started_as_a_test_opens_nothing_once_the_application_is_a_real_one() {
    let (home, daemon, ci, _shop, keys) = with_both().await;
    let (ci_key, shop_key) = keys.split_once(' ').unwrap();
    let id = ci.start_for("ada@example.org").await;

    declare(&home, ci_key, "", shop_key);
    daemon.hang_up().await;
    daemon.until_logged("configuration reloaded").await;

    let refused = ci.check(&id, "00000000").await;
    assert_eq!((refused.status, refused.header("fiador-test")), (404, None));
    let (real, number) = (ci.start_for("ada@example.org").await, ci.mailed_number("ada@example.org").await);
    assert_eq!(ci.check(&real, &number).await.status, 200);
}
