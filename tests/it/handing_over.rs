//! What a Gateway does with mails that the Mailer has no room for.

use std::time::Duration;

use fiador::messages::{Failure, StartVerification};
use tokio::time::timeout;

use crate::kit::{
    gateways::{Letterbox, LoneGateway},
    stores::{new_operation, shop},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Starts for a new address of this domain; whether its mail is handed over.
async fn is_handed_over(gateway: &LoneGateway, nth: usize, domain: &str) -> bool {
    let start = StartVerification::new(shop(), format!("u{nth}@{domain}"), new_operation());
    let before = gateway.handed_over().await;
    gateway.gateway.asks().ask(start, PATIENCE).await.unwrap();
    gateway.handed_over().await > before
}

/// The first of so many starts whose mail is, or is not, handed over.
async fn first(gateway: &LoneGateway, nths: impl Iterator<Item = usize>, is_wanted: bool) -> Option<usize> {
    for nth in nths {
        if is_handed_over(gateway, nth, "full.example").await == is_wanted {
            return Some(nth);
        }
    }
    None
}

#[actix::test]
async fn after_a_refusal_mails_of_its_kind_are_left_in_the_queue_for_a_second_and_others_are_not() {
    let gateway = LoneGateway::beside(Letterbox::answering(Err(Failure::Overloaded))).await;
    assert!(is_handed_over(&gateway, 0, "full.example").await);

    let kept = first(&gateway, 1..20, false).await;
    assert!(kept.is_some(), "the refusal was not heard");
    assert!(is_handed_over(&gateway, 0, "other.example").await);
    let again = timeout(PATIENCE, first(&gateway, 20.., true)).await.unwrap();
    assert!(again.is_some());
}

#[actix::test]
async fn mails_that_are_taken_keep_none_from_being_handed_over() {
    let gateway = LoneGateway::beside(Letterbox::answering(Ok(()))).await;
    assert_eq!(first(&gateway, 0..20, false).await, None);
}
