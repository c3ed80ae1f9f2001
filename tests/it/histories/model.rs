use std::{collections::BTreeMap, time::Duration};

use fiador::domain::{
    AddressRecord, Charge, IdentityNumber, KeyedHash, MessageId, MessageKey, MessageOutcome, Moment, Refusal, TokenBucket,
    VerificationId,
    transitions::{
        Approved, Cancel, Check, Claim, Commit, Effect, Mailing, Outcome, Read, Resend, Settle, Start, cancel, check, claim,
        read, resend, settle, start,
    },
};

use super::{Guess, said::Said};
use crate::kit::stores::TestStore;

/// A verification: its address and the operation that started it.
pub type Which = (u8, u8);

/// A number, and by whom it is presented.
#[derive(Clone, Copy)]
pub struct Presented {
    pub operation: u8,
    pub guess: Guess,
    pub digits: usize,
    pub is_test: bool,
}

/// What a store would keep, in memory and in clear.
#[derive(Clone, Default)]
pub struct Model {
    records: BTreeMap<u8, AddressRecord>,
    /// When each queued mail is due.
    queue: BTreeMap<Which, Moment>,
    /// Until when each number leads to its verification.
    numbers: BTreeMap<Which, Moment>,
    budgets: BTreeMap<&'static str, TokenBucket>,
}

fn key((address, operation): Which) -> KeyedHash {
    std::array::from_fn(|at| [address, operation].get(at).copied().unwrap_or_default())
}

fn which(key: KeyedHash) -> Which {
    (key[0], key[1])
}

fn place(of: Which) -> MessageKey {
    MessageKey { handle: [of.0; 16], verification: key(of) }
}

/// Stands in for an id, which no transition looks at.
fn any_id() -> VerificationId {
    VerificationId::parse(&format!("vrf_{}", "A".repeat(43))).unwrap()
}

fn any_message_id() -> MessageId {
    MessageId { local: [0; 16], domain: String::new() }
}

/// The same for the same guess, of so many digits.
fn number(guess: Guess, digits: usize) -> IdentityNumber {
    IdentityNumber::parse(&(guess as u8).to_string().repeat(digits)).unwrap()
}

impl Model {
    pub fn start(&mut self, of: Which, wish: super::Start, address: &str, now: Moment) -> Said {
        let usual = TestStore::opening(address);
        let digits = if wish.is_found_by_number { 12 } else { 8 };
        let request = Start {
            id: any_id(),
            key: key(of),
            fingerprint: [wish.body; 16],
            handle: [of.0; 16],
            application: usual.application,
            address: usual.address,
            purpose: usual.purpose,
            locale: usual.locale,
            ttl: Duration::from_secs(usual.ttl_seconds.into()),
            number: number(Guess::Right, digits),
            lookup: wish.is_found_by_number.then(|| key(of)),
            has_token: true,
            wrong_checks: usual.wrong_checks,
            message_id: any_message_id(),
            is_test: wish.is_test,
            with_lease: wish.with_lease,
            signs_in: None,
            refusal: None,
        };
        let outcome = start(self.record(of), &request, now);
        mailed(&self.commit(of, outcome))
    }

    pub fn look_up(&self, of: Which, now: Moment) -> Said {
        let view = read(self.record(of), &Read { id: any_id(), key: key(of) }, now);
        view.as_ref().map_or_else(Said::refused, Said::view)
    }

    pub fn check(&mut self, of: Which, presented: Presented, now: Moment) -> Said {
        approved(&self.decide_check(of, presented, now))
    }

    fn decide_check(&mut self, of: Which, presented: Presented, now: Moment) -> Result<Approved, Refusal> {
        let Presented { operation, guess, digits, is_test } = presented;
        let (number, number_hash) = (number(guess, digits), [guess as u8; 16]);
        let request = Check { key: key(of), operation: [operation; 16], number, number_hash, is_test };
        let outcome = check(self.record(of), &request, now);
        self.commit(of, outcome)
    }

    /// By the right number.
    pub fn check_by_number(&mut self, of: Which, operation: u8, digits: usize, now: Moment) -> Said {
        if self.numbers.get(&of).is_none_or(|&until| until <= now) {
            return Said::refused(&Refusal::NumberUnknown);
        }
        match self.decide_check(of, Presented { operation, guess: Guess::Right, digits, is_test: false }, now) {
            Err(refusal) if !matches!(refusal, Refusal::BudgetSpent { .. } | Refusal::IdempotencyMismatch) => {
                Said::refused(&Refusal::NumberUnknown)
            }
            answer => approved(&answer),
        }
    }

    pub fn resend(&mut self, of: Which, operation: u8, with_lease: bool, now: Moment) -> Said {
        let (operation, handle, message_id) = ([operation; 16], [of.0; 16], any_message_id());
        let request = Resend { id: any_id(), key: key(of), operation, handle, message_id, with_lease };
        let outcome = resend(self.record(of), &request, now);
        mailed(&self.commit(of, outcome))
    }

    pub fn cancel(&mut self, of: Which, now: Moment) -> Said {
        let outcome = cancel(self.record(of), Cancel { key: key(of) }, now);
        self.commit(of, outcome).as_ref().map_or_else(Said::refused, |()| Said::nothing())
    }

    /// All that are due.
    pub fn claim(&mut self, now: Moment) -> Said {
        let due: Vec<Which> = self.queue.iter().filter(|(_, due_at)| **due_at <= now).map(|(&of, _)| of).collect();
        let claims = due.into_iter().filter_map(|of| {
            let outcome = claim(self.record(of), Claim { key: place(of) }, now);
            self.commit(of, outcome)
        });
        Said::leases(&claims.collect::<Vec<_>>())
    }

    pub fn settle(&mut self, of: Which, fence: u32, outcome: &MessageOutcome, jitter: f64, now: Moment) {
        let request = Settle { key: place(of), fence, outcome: outcome.clone(), jitter };
        let outcome = settle(self.record(of), &request, now);
        self.commit(of, outcome);
    }

    /// All of them, or none when one is spent.
    pub fn charge(&mut self, charges: &[Charge], gives_back: bool, now: Moment) -> Said {
        let mut budgets = self.budgets.clone();
        for Charge { budget, allowance, .. } in charges {
            let bucket = budgets.entry(budget.as_str()).or_default();
            if gives_back {
                bucket.give_back(*allowance, &[]);
            } else if let Err(wait) = bucket.take(*allowance, now) {
                return Said::refused(&Refusal::spent(*budget, *allowance, wait));
            }
        }
        self.budgets = budgets;
        Said::nothing()
    }

    fn record(&self, of: Which) -> AddressRecord {
        self.records.get(&of.0).cloned().unwrap_or_default()
    }

    fn commit<A>(&mut self, of: Which, outcome: Outcome<A>) -> A {
        if let Some(Commit { record, effects }) = outcome.commit {
            self.records.insert(of.0, record);
            for effect in effects {
                self.apply(of, effect);
            }
        }
        outcome.answer
    }

    fn apply(&mut self, of: Which, effect: Effect) {
        match effect {
            Effect::Enqueue(due_at) => drop(self.queue.insert(of, due_at)),
            Effect::Unqueue => drop(self.queue.remove(&of)),
            Effect::StoreNumber(_, until) | Effect::KeepNumber(_, until) => drop(self.numbers.insert(of, until)),
            Effect::DropNumber(_) => drop(self.numbers.remove(&of)),
            Effect::Forget { verification, .. } => {
                self.queue.remove(&which(verification));
                self.numbers.remove(&which(verification));
            }
            // a token shows in the approval, a failed mail in its delivery
            Effect::StoreToken(_)
            | Effect::KeepToken(_)
            | Effect::DropToken
            | Effect::ListAsFailed
            | Effect::UnlistFailed
            | Effect::Unlist(_) => {}
        }
    }
}

fn mailed(answer: &Result<Mailing, Refusal>) -> Said {
    let said = |mailing: &Mailing| Said::mailing(&mailing.view, mailing.message.as_deref(), mailing.is_repetition);
    answer.as_ref().map_or_else(Said::refused, said)
}

fn approved(answer: &Result<Approved, Refusal>) -> Said {
    let said = |approved: &Approved| Said::approved(&approved.email, &approved.purpose, approved.approved_at);
    answer.as_ref().map_or_else(Said::refused, said)
}
