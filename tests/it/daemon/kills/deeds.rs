//! What a daemon is doing when it dies, and what comes of it.

use serde_json::{Value, json};

pub use super::users::{forgetting, password_change, sign_in, sign_up};
use super::{
    promises::{a_start_happened_once, nothing_is_left, the_number_works_once, the_one_number},
    scene::{A_LEASE_LATER, AFTER_THE_END, NOW, Scene, THREE_LEASES_LATER, TWO_LEASES_LATER},
};
use crate::kit::{caller::other_than, http::Reply, smtp_sink::Step};

/// It makes its key ring.
pub async fn first_start(mut scene: Scene, place: &str) {
    scene.dies_at(place, NOW, &[]).await;

    let daemon = scene.start(NOW).await;

    a_start_happened_once(&mut scene, daemon, &Value::Null, None).await;
}

pub async fn start(scene: Scene, place: &str) {
    start_with(scene, place, &Value::Null).await;
}

/// It mails the number of a start: once more only when the server has it and the store does not know.
pub async fn mail(scene: Scene, place: &str) {
    let transmissions = start_with(scene, place, &Value::Null).await;

    let is_unknown =
        ["smtp.dot.after", "mailer.settle.before", "redis.commit.before:2", "embedded.commit.before:2"].contains(&place);
    assert_eq!(transmissions, 1 + usize::from(is_unknown));
}

/// A start that is charged to a budget of its own before.
pub async fn start_of_an_ip(scene: Scene, place: &str) {
    start_with(scene, place, &json!({"context": {"ip": "203.0.113.9"}})).await;
}

async fn start_with(mut scene: Scene, place: &str, context: &Value) -> usize {
    let acknowledged = scene.dies_when_asked(place, NOW, |caller| caller.starting(context)).await;

    let daemon = scene.start(A_LEASE_LATER).await;

    a_start_happened_once(&mut scene, daemon, context, acknowledged).await
}

/// It dies each time: a mail that may have been taken three times is not sent again, and says so.
pub async fn mail_again_and_again(mut scene: Scene, place: &str) {
    scene.dies_when_asked(place, NOW, |caller| caller.starting(&Value::Null)).await;
    for ahead in [A_LEASE_LATER, TWO_LEASES_LATER] {
        scene.dies_at(place, ahead, &[]).await;
    }

    let daemon = scene.start(THREE_LEASES_LATER).await;

    let caller = scene.caller(&daemon);
    let id = Reply::to(caller.starting(&Value::Null)).await.id();
    caller.until_mail_is("failed", &id).await;
    let transmissions = scene.new_mails().await;
    assert_eq!(transmissions.len(), 3);
    the_number_works_once(&caller, &id, &the_one_number(&transmissions), None).await;
    nothing_is_left(&scene, &caller).await;
}

/// It finds a mail in the queue that was put off.
pub async fn claim(mut scene: Scene, place: &str) {
    let acknowledged = put_off(&scene).await;
    scene.dies_at(place, A_LEASE_LATER, &[]).await;

    let daemon = scene.start(TWO_LEASES_LATER).await;

    a_start_happened_once(&mut scene, daemon, &Value::Null, Some(acknowledged)).await;
}

/// It was told to stop while a mail waits.
pub async fn stop(mut scene: Scene, place: &str) {
    let acknowledged = put_off(&scene).await;
    let dying = scene.start_dying_at(place, NOW).await;
    dying.terminate().await;
    dying.killed().await;

    let daemon = scene.start(A_LEASE_LATER).await;

    a_start_happened_once(&mut scene, daemon, &Value::Null, Some(acknowledged)).await;
}

pub async fn right_check(mut scene: Scene, place: &str) {
    let (id, number) = mailed(&mut scene).await;
    let acknowledged = scene.dies_when_asked(place, NOW, |caller| caller.checking_once(&id, &number)).await;

    let daemon = scene.start(NOW).await;

    let caller = scene.caller(&daemon);
    if acknowledged.is_some() {
        assert_eq!(caller.read(&id).await.json()["status"], "approved");
    }
    the_number_works_once(&caller, &id, &number, acknowledged).await;
    nothing_is_left(&scene, &caller).await;
}

pub async fn wrong_check(mut scene: Scene, place: &str) {
    let (id, number) = mailed(&mut scene).await;
    let wrong = other_than(&number);
    let acknowledged = scene.dies_when_asked(place, NOW, |caller| caller.checking_once(&id, &wrong)).await;

    let daemon = scene.start(NOW).await;

    let caller = scene.caller(&daemon);
    if let Some(reply) = acknowledged {
        assert_eq!(reply.problem(422, "number-incorrect")["attempts_remaining"], 4);
        assert_eq!(caller.attempts_remaining(&id).await, 4);
    }
    let again = Reply::to(caller.checking_once(&id, &wrong)).await;
    assert_eq!(again.problem(422, "number-incorrect")["attempts_remaining"], 4);
    assert_eq!(caller.attempts_remaining(&id).await, 4);
    assert_eq!(caller.check(&id, &wrong).await.problem(422, "number-incorrect")["attempts_remaining"], 3);
    nothing_is_left(&scene, &caller).await;
    daemon.kill().await;

    let daemon = scene.start(AFTER_THE_END).await;

    scene.caller(&daemon).check(&id, &number).await.problem(410, "expired");
}

pub async fn resend(mut scene: Scene, place: &str) {
    let (id, number) = mailed(&mut scene).await;
    let acknowledged = scene.dies_when_asked(place, A_LEASE_LATER, |caller| caller.resending(&id)).await;

    let daemon = scene.start(TWO_LEASES_LATER).await;

    let caller = scene.caller(&daemon);
    let again = Reply::to(caller.resending(&id)).await;
    for reply in acknowledged.iter().chain([&again]) {
        assert_eq!((reply.status, reply.id()), (202, id.clone()), "{}", reply.text);
    }
    caller.until_mail_is("sent", &id).await;
    assert_eq!(the_one_number(&scene.new_mails().await), number);
    the_number_works_once(&caller, &id, &number, None).await;
    nothing_is_left(&scene, &caller).await;
}

pub async fn cancel(mut scene: Scene, place: &str) {
    let (id, number) = mailed(&mut scene).await;
    let acknowledged = scene.dies_when_asked(place, NOW, |caller| caller.canceling(&id)).await;

    let daemon = scene.start(NOW).await;

    let caller = scene.caller(&daemon);
    if acknowledged.is_some() {
        assert_eq!(caller.read(&id).await.json()["status"], "canceled");
    }
    assert_eq!(Reply::to(caller.canceling(&id)).await.status, 204);
    caller.check(&id, &number).await.problem(410, "canceled");
    nothing_is_left(&scene, &caller).await;
}

/// A command puts a new key into its ring.
pub async fn rotation(mut scene: Scene, place: &str) {
    let (id, number) = mailed(&mut scene).await;
    scene.dies_at(place, NOW, &["key", "rotate"]).await;

    scene.home.run(&["key", "rotate"]).await;

    let daemon = scene.start(NOW).await;
    let caller = scene.caller(&daemon);
    the_number_works_once(&caller, &id, &number, None).await;
    assert!(!scene.home.path("data/keyring.toml.rotated").exists());
    nothing_is_left(&scene, &caller).await;
}

/// The id and the number of a verification whose mail has gone out.
async fn mailed(scene: &mut Scene) -> (String, String) {
    let daemon = scene.start(NOW).await;
    let caller = scene.caller(&daemon);
    let id = Reply::to(caller.starting(&Value::Null)).await.id();
    caller.until_mail_is("sent", &id).await;
    let number = the_one_number(&scene.new_mails().await);
    daemon.kill().await;
    (id, number)
}

/// The answer to a start whose mail was put off.
async fn put_off(scene: &Scene) -> Reply {
    scene.sink.says(Step::Mail, "451 4.7.1 later");
    let daemon = scene.start(NOW).await;
    let caller = scene.caller(&daemon);
    let started = Reply::to(caller.starting(&Value::Null)).await;
    caller.until_mail_is("deferred", &started.id()).await;
    daemon.kill().await;
    started
}
