use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Delivery, DeliveryStatus, MessageId, Moment};

/// How long a worker may take over one mail.
pub const LEASE: Duration = Duration::from_secs(60);
/// A mail whose number holds for less than this is not sent any more: it would arrive too late to be typed.
pub const LEAST_LIFE: Duration = Duration::from_secs(45);
/// Transmissions that the server may have accepted without saying so, at most.
const MOST_MAYBE_ACCEPTED: u8 = 3;
const RETRY_AFTER_SECONDS: [u64; 5] = [1, 5, 15, 60, 180];

/// The mail of one verification: where it stands and what became of its tries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedMessage {
    pub(super) message_id: MessageId,
    pub(super) created_at: Moment,
    /// When its address was charged for it; none once that was given back.
    charged_at: Option<Moment>,
    state: State,
    /// Grows with each lease; a settlement names the one it had.
    fence: u32,
    attempts: u32,
    /// Leases whose mail the server may have accepted: counted when given, taken back by a definite refusal.
    maybe_accepted: u8,
    last_reply: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    Waiting { until: Moment },
    Leased { until: Moment },
    Sent,
    Captured,
    Failed,
    Expired,
    Dropped,
    Withheld,
    Decoy,
}

/// What `delivery` says of it, so that nobody waits for it.
const WITHHELD: &str = "none is sent: this is a test application";

impl QueuedMessage {
    /// A mail that its address is charged for now, and that is due at once.
    pub fn new(message_id: MessageId, now: Moment) -> Self {
        let (charged_at, state) = (Some(now), State::Waiting { until: now });
        Self { message_id, created_at: now, charged_at, state, fence: 0, attempts: 0, maybe_accepted: 0, last_reply: None }
    }

    /// A mail that is never sent, and nobody is charged for: that of a test application.
    pub fn withheld(message_id: MessageId, now: Moment) -> Self {
        let (charged_at, last_reply) = (None, Some(WITHHELD.to_owned()));
        Self { charged_at, last_reply, state: State::Withheld, ..Self::new(message_id, now) }
    }

    /// A mail that nobody is charged for, and that is due at once.
    pub fn uncharged(message_id: MessageId, now: Moment) -> Self {
        Self { charged_at: None, ..Self::new(message_id, now) }
    }

    /// A mail that looks like any other, is charged like any other, and is never sent: nobody is to see that there is no user.
    pub fn decoy(message_id: MessageId, now: Moment) -> Self {
        Self { state: State::Decoy, ..Self::new(message_id, now) }
    }

    /// Whether it is kept from being sent because its application is a test one.
    pub fn is_withheld(&self) -> bool {
        matches!(self.state, State::Withheld)
    }

    #[must_use]
    /// The same number in a mail of its own: leases of the one before it no longer count.
    pub fn again(&self, message_id: MessageId, now: Moment) -> Self {
        let another = if matches!(self.state, State::Decoy) { Self::decoy } else { Self::new };
        Self { fence: self.fence, ..another(message_id, now) }
    }

    /// When somebody has to look at it again; none when nobody has.
    pub fn due_at(&self) -> Option<Moment> {
        match self.state {
            State::Waiting { until } | State::Leased { until } => Some(until),
            State::Sent | State::Captured | State::Failed | State::Expired | State::Dropped | State::Withheld | State::Decoy => {
                None
            }
        }
    }

    /// Whether it waits for its first or next try.
    pub fn waits(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
    }

    /// Whether a server refused it for good, or may have taken it as often as is allowed.
    pub fn was_given_up(&self) -> bool {
        matches!(self.state, State::Failed)
    }

    /// Whether a server has taken it, or none is to.
    pub fn was_taken(&self) -> bool {
        matches!(self.state, State::Sent | State::Captured | State::Withheld)
    }

    /// Whether it will never be sent, and not because its verification ended first.
    pub fn has_failed(&self) -> bool {
        matches!(self.state, State::Failed | State::Expired)
    }

    /// Whether it will never be sent, and no server can have accepted it.
    pub fn was_never_sent(&self) -> bool {
        let is_over = matches!(self.state, State::Failed | State::Expired | State::Dropped);
        is_over && self.maybe_accepted == 0
    }

    /// When its address was charged for it; none once that was given back.
    pub fn charged_at(&self) -> Option<Moment> {
        self.charged_at
    }

    /// Whether what its address was charged for it was given back.
    pub fn is_uncharged(&self) -> bool {
        self.charged_at.is_none()
    }

    /// Its address is charged for it again.
    pub fn charge(&mut self, now: Moment) {
        self.charged_at = Some(now);
    }

    /// When its address was charged for it, the first time that this is asked.
    pub fn take_charge(&mut self) -> Option<Moment> {
        self.charged_at.take()
    }

    /// The newest lease's number.
    pub fn fence(&self) -> u32 {
        self.fence
    }

    /// How often it was tried.
    pub fn tries(&self) -> u32 {
        self.attempts
    }

    /// Whether `fence` is that of a lease that has not been settled.
    pub fn is_leased_under(&self, fence: u32) -> bool {
        matches!(self.state, State::Leased { .. }) && self.fence == fence
    }

    /// Whether one more transmission would be one too many.
    pub fn has_used_its_transmissions(&self) -> bool {
        self.maybe_accepted >= MOST_MAYBE_ACCEPTED
    }

    /// Gives the right to send until the lease's end.
    pub fn lease(&mut self, now: Moment) -> Moment {
        let until = now + LEASE;
        self.state = State::Leased { until };
        self.fence += 1;
        self.maybe_accepted += 1;
        until
    }

    /// Notes that the last lease ran out without a word.
    pub fn note_lapsed_lease(&mut self) {
        if matches!(self.state, State::Leased { .. }) {
            self.note_try("no word from the worker that sent it".to_owned());
        }
    }

    /// Notes a try and what was answered.
    pub fn note_try(&mut self, reply: String) {
        self.attempts += 1;
        self.last_reply = Some(reply);
    }

    /// Notes why it was not tried.
    pub fn note_held(&mut self, why: String) {
        self.last_reply = Some(why);
    }

    /// Notes that the server has definitely not accepted the last transmission.
    pub fn note_not_accepted(&mut self) {
        self.maybe_accepted = self.maybe_accepted.saturating_sub(1);
    }

    /// When the next try is, after the tries so far; `jitter` in 0..1 spreads it over 75 to 125 per cent.
    pub fn next_try(&self, now: Moment, jitter: f64) -> Moment {
        let tries = usize::try_from(self.attempts).unwrap_or(usize::MAX);
        let seconds = RETRY_AFTER_SECONDS[tries.clamp(1, RETRY_AFTER_SECONDS.len()) - 1];
        now + Duration::from_secs(seconds).mul_f64(0.75 + jitter.clamp(0.0, 1.0) / 2.0)
    }

    /// It waits for a try at `until`.
    pub fn wait(&mut self, until: Moment) {
        self.state = State::Waiting { until };
    }

    /// The server took it.
    pub fn sent(&mut self) {
        self.state = State::Sent;
    }

    /// The dev inbox took it.
    pub fn captured(&mut self) {
        self.attempts += 1;
        self.state = State::Captured;
    }

    /// It will never be sent: refused, or its transmissions are used up.
    pub fn failed(&mut self) {
        self.state = State::Failed;
    }

    /// It will never be sent: too late.
    pub fn expired(&mut self) {
        self.state = State::Expired;
    }

    /// Its verification ended: whoever holds its lease may still settle it, nobody else will send it.
    pub fn verification_ended(&mut self) {
        if self.waits() {
            self.state = State::Dropped;
        }
    }

    /// Nobody will send it, as its verification ended.
    pub fn dropped(&mut self) {
        self.state = State::Dropped;
    }

    /// As the application sees it.
    pub fn view(&self) -> Delivery {
        let status = match self.state {
            State::Waiting { .. } if self.attempts == 0 => DeliveryStatus::Queued,
            State::Decoy => DeliveryStatus::Queued,
            State::Waiting { .. } => DeliveryStatus::Deferred,
            State::Leased { .. } => DeliveryStatus::Sending,
            State::Sent => DeliveryStatus::Sent,
            State::Captured | State::Withheld => DeliveryStatus::Captured,
            State::Failed => DeliveryStatus::Failed,
            State::Expired => DeliveryStatus::Expired,
            State::Dropped => DeliveryStatus::Dropped,
        };
        let next_attempt_at = match self.state {
            State::Waiting { until } if status == DeliveryStatus::Deferred => Some(until),
            _ => None,
        };
        Delivery {
            status,
            attempts: self.attempts,
            last_reply: self.last_reply.clone(),
            next_attempt_at,
            message_id: self.message_id.written(),
        }
    }
}
