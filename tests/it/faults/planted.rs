//! Bugs are planted in both daemons: the campaign finds each, so it would find one that nobody planted.

use std::time::Duration;

use super::{
    campaign::{Settings, run},
    trouble::Fault,
    violation::Breach,
};

/// A campaign against this bug that ends with its first violation finds one of these breaches.
async fn finds(bug: &'static str, faults: &[Fault], breaches: &[Breach]) {
    finds_within(120, bug, faults, breaches).await;
}

async fn finds_within(seconds: u64, bug: &'static str, faults: &[Fault], breaches: &[Breach]) {
    let (lasts, calm) = (Duration::from_secs(seconds), Duration::from_secs(1));
    let (faults, settling) = (faults.to_vec(), Duration::from_secs(2));
    let report = run(Settings { seed: 11, lasts, clients: 16, faults, calm, settling, bug: Some(bug) }).await;
    assert!(breaches.iter().any(|breach| report.has(*breach)), "{bug}: {report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_that_is_not_kept_is_found() {
    finds("approval-forgotten", &[], &[Breach::ReleasedTwice, Breach::ReleasedTooLate, Breach::NoOrder]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_check_that_costs_nothing_is_found() {
    finds("wrong-check-forgotten", &[], &[Breach::TooManyWrongChecks, Breach::NoOrder]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_that_is_not_kept_is_found() {
    finds("cancel-forgotten", &[], &[Breach::ReleasedTooLate, Breach::NoOrder]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_works_after_its_end_is_found() {
    finds("expiry-ignored", &[Fault::LeaseLater], &[Breach::ReleasedTooLate, Breach::NoOrder]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_of_nobody_that_opens_is_found() {
    finds("any-number-opens", &[], &[Breach::WrongNumberOpens]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_compares_nothing_is_found() {
    let breaches =
        [Breach::OtherAnswer, Breach::OtherNumberMailed, Breach::ReleasedTwice, Breach::TooManyWrongChecks, Breach::NoOrder];
    finds("last-write-wins", &[], &breaches).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_whose_commit_failed_is_found() {
    let faults = [Fault::RedisKilled, Fault::RoadHalfOpen];
    finds("answered-before-commit", &faults, &[Breach::Lost, Breach::OtherAnswer, Breach::ReleasedTwice, Breach::NoOrder]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_called_undone_and_was_done_is_found() {
    finds("called-undone", &[Fault::RepliesCut], &[Breach::NoOrder]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_is_not_known_again_is_found() {
    finds("check-key-ignored", &[], &[Breach::OtherAnswer, Breach::NoOrder]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_is_not_known_again_is_found() {
    finds("start-key-ignored", &[], &[Breach::OtherAnswer, Breach::NoOrder]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_that_nobody_can_claim_is_found() {
    finds_within(5, "not-queued", &[Fault::LeaseLater, Fault::MailStalled], &[Breach::MailLost]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_that_may_have_been_accepted_too_often_is_found() {
    let faults = [Fault::LeaseLater, Fault::MailCutAfterDot];
    finds("maybe-accepted-forgotten", &faults, &[Breach::TooManyTransmissions]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_that_has_another_id_at_each_try_is_found() {
    let faults = [Fault::LeaseLater, Fault::MailCutAfterDot];
    finds("other-message-ids", &faults, &[Breach::TooManyTransmissions]).await;
}
