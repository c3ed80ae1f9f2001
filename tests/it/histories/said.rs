use std::{fmt::Debug, time::Duration};

use fiador::{
    domain::{EmailAddress, LeasedMessage, Moment, Purpose, Refusal, VerificationView},
    messages::Failure,
};

/// An answer in a form that can be compared: moments and waits may differ by a second, because a server's time goes on.
#[derive(Clone, Debug, Default)]
pub struct Said {
    words: String,
    moments: Vec<Moment>,
    waits: Vec<u64>,
}

impl Said {
    /// Whether both say the same.
    pub fn is_like(&self, other: &Self) -> bool {
        let (apart, in_seconds) = (Duration::from_secs(1), 1);
        self.words == other.words
            && self.moments.len() == other.moments.len()
            && self.moments.iter().zip(&other.moments).all(|(one, two)| one.since(*two).max(two.since(*one)) <= apart)
            && self.waits.len() == other.waits.len()
            && self.waits.iter().zip(&other.waits).all(|(one, two)| one.abs_diff(*two) <= in_seconds)
    }

    fn words(words: impl Debug) -> Self {
        Self { words: format!("{words:?}"), ..Self::default() }
    }

    fn and(mut self, more: Self) -> Self {
        self.words.push_str(&more.words);
        self.moments.extend(more.moments);
        self.waits.extend(more.waits);
        self
    }

    pub fn nothing() -> Self {
        Self::default()
    }

    pub fn refused(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::BudgetSpent { budget, quota, retry_after_seconds } => {
                Self { waits: vec![*retry_after_seconds], ..Self::words((budget, quota)) }
            }
            other => Self::words(other),
        }
    }

    pub fn failed(failure: &Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => Self::refused(refusal),
            other => Self::words(other),
        }
    }

    pub fn view(view: &VerificationView) -> Self {
        let delivery = view.delivery.as_ref();
        let told = delivery.map(|delivery| (delivery.status, delivery.attempts, &delivery.last_reply));
        let email = view.email.as_ref().map(EmailAddress::as_str);
        let moments = [Some(view.expires_at), view.approved_at, delivery.and_then(|delivery| delivery.next_attempt_at)];
        Self {
            moments: moments.into_iter().flatten().collect(),
            ..Self::words((view.status, email, view.purpose.as_str(), view.attempts_remaining, told))
        }
    }

    pub fn mailing(view: &VerificationView, message: Option<&LeasedMessage>, is_repetition: bool) -> Self {
        Self::view(view).and(message.map_or_else(|| Self::words("no lease"), Self::lease)).and(Self::words(is_repetition))
    }

    pub fn lease(message: &LeasedMessage) -> Self {
        let words =
            (message.address.as_str(), message.fence, message.purpose.as_str(), message.locale, message.digits().unwrap().len());
        Self {
            // when it was started is first, for the order: leases of one claim may be a millisecond apart
            moments: vec![message.started_at, message.expires_at, message.leased_at, message.leased_until],
            ..Self::words(words)
        }
    }

    /// In whatever order they were given.
    pub fn leases<'a>(messages: impl IntoIterator<Item = &'a LeasedMessage>) -> Self {
        let mut leases: Vec<Self> = messages.into_iter().map(Self::lease).collect();
        leases.sort_by(|one, other| (&one.words, &one.moments).cmp(&(&other.words, &other.moments)));
        leases.into_iter().fold(Self::nothing(), Self::and)
    }

    pub fn approved(email: &EmailAddress, purpose: &Purpose, at: Moment) -> Self {
        Self { moments: vec![at], ..Self::words(("approved", email.as_str(), purpose.as_str())) }
    }
}
