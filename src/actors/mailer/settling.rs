//! Tells the store what became of a try, until it knows or the lease has run out.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::{
    messages::{Failure, SettleMessage},
    supervision::{Ask, AskError},
};

/// How long the store may take for one settlement.
const DEADLINE: Duration = Duration::from_secs(2);
/// The wait before the first repetition; each further one waits twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Asks at least once, and again until the store has answered or `lease_ends_at` has come. Without an answer the lease
/// runs out, and the store counts the try as one that may have been accepted.
pub(super) async fn settle(store: &Ask<SettleMessage>, settlement: SettleMessage, lease_ends_at: Instant) {
    let mut pause = FIRST_PAUSE;
    loop {
        let error = match store.ask(settlement.clone(), DEADLINE).await {
            Ok(()) => return,
            Err(error) => error,
        };
        let is_final = matches!(error, AskError::Refused(Failure::Refused(_)));
        if is_final || Instant::now() + pause >= lease_ends_at {
            warn!(attempt = settlement.fence, error = %error, "a mail could not be settled");
            return;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
