//! What must hold after every death.

use serde_json::{Value, json};

use super::scene::Scene;
use crate::kit::{
    caller::{Caller, number_in},
    daemon::Daemon,
    http::Reply,
    smtp_sink::Taken,
};

/// An acknowledged start is there; one that was not is there or not; asked again it is the same, and no second one. Its mail
/// comes and its number works. How often it was transmitted.
pub async fn a_start_happened_once(scene: &mut Scene, daemon: Daemon, context: &Value, acknowledged: Option<Reply>) -> usize {
    let caller = scene.caller(&daemon);
    if let Some(reply) = &acknowledged {
        assert_eq!(reply.status, 202, "{}", reply.text);
        assert_eq!(caller.read(&reply.id()).await.json()["status"], "pending");
    }

    let again = Reply::to(caller.starting(context)).await;

    assert_eq!(again.status, 202, "{}", again.text);
    if let Some(reply) = acknowledged {
        assert_eq!((again.id(), &again.json()["expires_at"]), (reply.id(), &reply.json()["expires_at"]));
    }
    caller.until_mail_is("sent", &again.id()).await;
    let transmissions = scene.new_mails().await;
    the_number_works_once(&caller, &again.id(), &the_one_number(&transmissions), None).await;
    nothing_is_left(scene, &caller).await;
    transmissions.len()
}

/// The number in all of these, which are one mail, transmitted three times at most.
pub fn the_one_number(transmissions: &[Taken]) -> String {
    let facts = |mail: &Taken| (mail.header("Message-ID"), number_in(&mail.content));
    let first = facts(&transmissions[0]);
    assert!(transmissions.iter().all(|mail| facts(mail) == first), "{transmissions:#?}");
    assert!(transmissions.len() <= 3, "{}", transmissions.len());
    first.1
}

/// The token comes to one operation, as often as it asks, and to no other.
pub async fn the_number_works_once(caller: &Caller, id: &str, number: &str, acknowledged: Option<Reply>) {
    let approval = Reply::to(caller.checking_once(id, number)).await;
    assert_eq!((approval.status, approval.json()["token"].take()), (200, json!("tok-1")), "{}", approval.text);
    if let Some(reply) = acknowledged {
        assert_eq!((reply.status, &reply.text), (200, &approval.text));
    }

    assert_eq!(Reply::to(caller.checking_once(id, number)).await.text, approval.text);
    caller.check(id, number).await.problem(409, "already-approved");
}

/// No mail waits, none has come that nobody asked for, and no draft of a key ring lies about.
pub async fn nothing_is_left(scene: &Scene, caller: &Caller) {
    let queued = caller.get("/v1/messages?status=queued").await;
    assert_eq!((queued.status, queued.json()["messages"].take()), (200, json!([])), "{}", queued.text);
    assert_eq!(scene.sink.mails_left(), 0);
    assert!(!scene.home.path("data/keyring.toml.new").exists());
}
