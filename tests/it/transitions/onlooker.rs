//! Follows a history and holds the promises against what can be seen of it from outside, not against how they are kept.

use std::{collections::BTreeSet, time::Duration};

use super::one_address::{OneAddress, Opened, WRONG};
use fiador::domain::{Budget, LEAST_LIFE, LeasedMessage, MessageOutcome, Moment, Refusal, Status, transitions::Start};

const MINUTE: Duration = Duration::from_secs(60);
const HALF_AN_HOUR: Duration = Duration::from_secs(1_800);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const MOST_BYTES: usize = 16 * 1024;

/// What is done next; `of` and `lease` count back from the newest.
#[derive(Clone, Debug)]
pub enum Step {
    Wait(Duration),
    Start { ttl_seconds: u64, with_lease: bool },
    Repeat { of: usize, same_body: bool },
    Check { of: usize, is_right: bool, operation: u32 },
    Cancel { of: usize },
    Claim { of: usize },
    Settle { of: usize, lease: usize, outcome: MessageOutcome },
}

pub struct Onlooker {
    ada: OneAddress,
    seen: Vec<Seen>,
    wrong_answers_at: Vec<Moment>,
}

/// What is known of one verification.
struct Seen {
    request: Start,
    opened: Opened,
    started_at: Moment,
    end: Option<(Status, Moment)>,
    approved_by: Option<u32>,
    /// The operations that were told that their number is wrong.
    wrong: BTreeSet<u32>,
    leases: Vec<Lease>,
}

struct Lease {
    mail: LeasedMessage,
    is_settled: bool,
    may_have_been_sent: bool,
}

impl Seen {
    fn expires_at(&self) -> Moment {
        self.started_at + self.request.ttl
    }

    fn status(&self, now: Moment) -> Status {
        let by_time = if now < self.expires_at() { Status::Pending } else { Status::Expired };
        self.end.map_or(by_time, |(status, _)| status)
    }

    fn ends_at(&self) -> Moment {
        self.end.map_or(self.expires_at(), |(_, at)| at)
    }

    fn note_lease(&mut self, mail: Option<LeasedMessage>) {
        self.leases.extend(mail.map(|mail| Lease { mail, is_settled: false, may_have_been_sent: true }));
        let transmissions = self.leases.iter().filter(|lease| lease.may_have_been_sent).count();
        assert!(transmissions <= 3, "{transmissions} transmissions that may have been accepted");
    }

    /// Whether its mail counts against the address: an approval within the hour gives it back.
    fn is_charged(&self) -> bool {
        let is_given_back = self.status(self.started_at) == Status::Approved && self.ends_at().since(self.started_at) < HOUR;
        !is_given_back && self.leases.iter().any(|lease| lease.may_have_been_sent)
    }
}

impl Onlooker {
    pub fn new() -> Self {
        Self { ada: OneAddress::new(), seen: Vec::new(), wrong_answers_at: Vec::new() }
    }

    pub fn follow(&mut self, step: Step) {
        let before = self.ada.stored.clone();
        let newest = self.seen.len().saturating_sub(1);
        let answer = match step {
            Step::Wait(span) => {
                self.ada.now = self.ada.now + span;
                Ok(())
            }
            Step::Start { ttl_seconds, with_lease } => self.start(Duration::from_secs(ttl_seconds), with_lease),
            _ if self.seen.is_empty() => Ok(()),
            Step::Repeat { of, same_body } => self.repeat(newest.saturating_sub(of), same_body),
            Step::Check { of, is_right, operation } => self.check(newest.saturating_sub(of), is_right, operation),
            Step::Cancel { of } => self.cancel(newest.saturating_sub(of)),
            Step::Claim { of } => {
                self.claim(newest.saturating_sub(of));
                Ok(())
            }
            Step::Settle { of, lease, outcome } => {
                self.settle(newest.saturating_sub(of), lease, outcome);
                Ok(())
            }
        };
        if let Err(refusal) = answer {
            assert_eq!(self.ada.stored, before, "{refusal:?} changed the record");
        }
        self.look_at_all();
    }

    fn start(&mut self, ttl: Duration, with_lease: bool) -> Result<(), Refusal> {
        let request = Start { ttl, with_lease, ..self.ada.new_request() };
        let opened = self.ada.open(&request)?;
        let mail = opened.mail.clone();
        let mut seen = Seen {
            request,
            opened,
            started_at: self.ada.now,
            end: None,
            approved_by: None,
            wrong: BTreeSet::new(),
            leases: Vec::new(),
        };
        seen.note_lease(mail);
        self.seen.push(seen);
        let pending = self.seen.iter().filter(|seen| seen.status(self.ada.now) == Status::Pending).count();
        assert!(pending <= 10, "{pending} are pending");
        Ok(())
    }

    /// Only of what is remembered: else it is a new start.
    fn repeat(&mut self, of: usize, same_body: bool) -> Result<(), Refusal> {
        let seen = &self.seen[of];
        let Ok(known) = self.ada.read(&seen.opened) else { return Ok(()) };
        let fingerprint = if same_body { seen.request.fingerprint } else { [2; 16] };
        let again = self.ada.open(&Start { fingerprint, ..seen.request.clone() });
        assert_eq!(again.as_ref().ok().map(|opened| &opened.view), same_body.then_some(&known));
        again.map(drop)
    }

    fn check(&mut self, of: usize, is_right: bool, operation: u32) -> Result<(), Refusal> {
        let (now, seen) = (self.ada.now, &mut self.seen[of]);
        let number = if is_right { seen.opened.right.as_str() } else { WRONG };
        let could_approve = is_right && seen.status(now) == Status::Pending && !seen.wrong.contains(&operation);
        match self.ada.check_as(operation, &seen.opened, number) {
            Ok(approved) if seen.approved_by.is_some() => {
                assert_eq!((seen.approved_by, is_right), (Some(operation), true), "released to another operation");
                assert!(now < approved.approved_at + MINUTE, "released again after the minute");
            }
            Ok(_) => {
                assert!(could_approve, "approved a wrong number, or after the end");
                seen.approved_by = Some(operation);
                seen.end = Some((Status::Approved, now));
            }
            Err(Refusal::NumberIncorrect { .. }) if seen.wrong.insert(operation) => {
                assert!(!is_right && seen.status(now) == Status::Pending);
                self.wrong_answers_at.push(now);
                if seen.wrong.len() == 5 {
                    seen.end = Some((Status::Exhausted, now));
                }
                assert!(seen.wrong.len() <= 5, "a sixth wrong answer");
            }
            Err(refusal) => {
                let is_for_address = matches!(refusal, Refusal::BudgetSpent { budget: Budget::AddressChecks, .. });
                assert!(!could_approve || is_for_address, "{refusal:?} for the right number");
                return Err(refusal);
            }
        }
        Ok(())
    }

    fn cancel(&mut self, of: usize) -> Result<(), Refusal> {
        let (now, seen) = (self.ada.now, &mut self.seen[of]);
        self.ada.cancel(&seen.opened)?;
        if seen.status(now) == Status::Pending {
            seen.end = Some((Status::Canceled, now));
        }
        Ok(())
    }

    fn claim(&mut self, of: usize) {
        let (now, seen) = (self.ada.now, &mut self.seen[of]);
        let mail = self.ada.claim(&seen.opened);
        if mail.is_some() {
            assert!(seen.status(now) == Status::Pending && now + LEAST_LIFE <= seen.expires_at(), "leased too late");
            let is_held = |lease: &Lease| now < lease.mail.leased_until && !lease.is_settled;
            assert!(!seen.leases.iter().any(is_held), "leased twice at once");
        }
        seen.note_lease(mail);
    }

    fn settle(&mut self, of: usize, lease: usize, outcome: MessageOutcome) {
        let seen = &mut self.seen[of];
        if seen.leases.is_empty() {
            return;
        }
        let newest = seen.leases.len() - 1;
        let at = newest.saturating_sub(lease);
        let lease = &mut seen.leases[at];
        let was_not_accepted = matches!(
            outcome,
            MessageOutcome::Refused(_) | MessageOutcome::Deferred { maybe_accepted: false, .. } | MessageOutcome::Returned
        );
        self.ada.settle(&lease.mail, outcome);
        if !self.ada.effects.is_empty() {
            assert!(at == newest && !lease.is_settled, "settled twice, or under an old lease");
            lease.is_settled = true;
            lease.may_have_been_sent = !was_not_accepted;
        }
    }

    /// Nothing that was acknowledged is lost within an hour of its end, and a record stays small.
    fn look_at_all(&self) {
        let now = self.ada.now;
        let promised = self.seen.iter().filter(|seen| now < seen.ends_at() + HOUR);
        for seen in promised {
            let found = self.ada.read(&seen.opened).map(|view| (view.status, view.expires_at));
            let is_as_seen = found == Ok((seen.status(now), seen.expires_at()));
            assert!(is_as_seen || self.ends_since(seen.ends_at()) > 16, "{found:?}");
        }
        let bytes = self.ada.stored.as_ref().map_or(0, Vec::len);
        assert!(bytes <= MOST_BYTES, "{bytes} bytes");
    }

    fn ends_since(&self, moment: Moment) -> usize {
        self.seen.iter().filter(|seen| (moment..=self.ada.now).contains(&seen.ends_at())).count()
    }

    /// The budgets of the address, over each stretch of time between any two events.
    pub fn count(&self) {
        each_stretch(&self.wrong_answers_at, |count, span| {
            let most = 10 + span.as_millis() / HALF_AN_HOUR.as_millis();
            assert!(count <= most, "{count} wrong answers in {span:?}");
        });
        let mails: Vec<Moment> = self.seen.iter().filter(|seen| seen.is_charged()).map(|seen| seen.started_at).collect();
        each_stretch(&mails, |count, span| {
            assert!(count <= 5 + span.as_millis() / HOUR.as_millis(), "{count} mails in {span:?}");
            assert!(count <= 29 || span > DAY, "{count} mails in {span:?}");
        });
    }
}

/// Calls `hold` with how many of the events there are from each to each later one, and how long it is between them.
fn each_stretch(events: &[Moment], hold: impl Fn(u128, Duration)) {
    for (first, &from) in events.iter().enumerate() {
        for (count, &until) in (1..).zip(&events[first..]) {
            hold(count, until.since(from));
        }
    }
}
