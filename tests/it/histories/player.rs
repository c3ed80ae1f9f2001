use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use fiador::{
    domain::{
        Allowance, Approval, Budget, Charge, Delivery, DeliveryStatus, LeasedMessage, MessageOutcome, Moment, OperationId, Token,
        VerificationId, VerificationView,
    },
    messages::{Failure, OpenVerification, Opened},
};

use super::{
    Deed, Guess, Start, Step,
    model::{Model, Presented, Which},
    said::Said,
};
use crate::kit::stores::{TestStore, new_operation};

/// What time it is in the store.
pub type StoreTime = Box<dyn Fn() -> Moment>;

/// How far a cell's time may be from that of its server.
const ASKEW: Duration = Duration::from_millis(20);
/// Passes with each step, so that nothing happens at the very moment at which something ends.
const TICK: Duration = Duration::from_millis(10);
const RETRY_AFTER_SECONDS: [f64; 5] = [1.0, 5.0, 15.0, 60.0, 180.0];

/// Plays one history in a store and in a model of it.
pub struct Player<'a> {
    store: &'a TestStore,
    time: &'a StoreTime,
    model: Model,
    /// Makes its addresses and operations its own.
    salt: OperationId,
    known: BTreeMap<Which, Known>,
    /// In the order of their starts.
    started: Vec<Which>,
    leases: Vec<(Which, LeasedMessage)>,
}

/// What is known of a verification from outside.
struct Known {
    id: VerificationId,
    token: Token,
    digits: usize,
    /// Once a mail told it.
    number: Option<String>,
    message_ids: Vec<String>,
}

impl<'a> Player<'a> {
    pub fn new(store: &'a TestStore, time: &'a StoreTime) -> Self {
        let (known, salt) = (BTreeMap::new(), new_operation());
        Self { store, time, model: Model::default(), salt, known, started: Vec::new(), leases: Vec::new() }
    }

    pub async fn play(mut self, history: Vec<Step>) {
        for step in history {
            self.store.hand.advance(TICK);
            match step {
                Step::Wait(span) => self.store.hand.advance(span),
                Step::Start(start) => self.start(start).await,
                Step::ToOne(ago, deed) => self.do_to_one(ago, deed).await,
                Step::Claim => self.claim().await,
                Step::Budgets { of_ip, gives_back } => self.charge(of_ip, gives_back).await,
                Step::Settle(ago, outcome) => self.settle(ago, outcome).await,
            }
        }
        for ago in 0..self.started.len() {
            self.do_to_one(ago, Deed::LookUp).await;
        }
    }

    /// Lets the model decide the same, at the moment at which the store may have.
    fn expect(&mut self, before: Moment, said: &Said, decide: impl Fn(&mut Model, Moment) -> Said) {
        let after = (self.time)();
        let decided = [after, before, before - ASKEW, after + ASKEW].map(|now| {
            let mut model = self.model.clone();
            (decide(&mut model, now), model)
        });
        let Some((_, model)) = decided.iter().find(|(expected, _)| expected.is_like(said)) else {
            panic!("the store said {said:?}, the transitions {:?}", decided[0].0)
        };
        self.model = model.clone();
    }

    async fn start(&mut self, start: Start) {
        let of = (start.address, start.operation);
        let address = format!("{}.{}@example.org", start.address, URL_SAFE_NO_PAD.encode(self.salt.0));
        let opening = OpenVerification {
            token: Some(Token::Text(format!("tok-{}", start.body))),
            digits: if start.is_found_by_number { 12 } else { 8 },
            is_found_by_number: start.is_found_by_number,
            is_test: start.is_test,
            with_lease: start.with_lease,
            operation: self.operation(start.address, start.operation),
            ..TestStore::opening(&address)
        };
        let before = (self.time)();
        let answer = self.store.open(opening.clone()).await;
        if let Ok(opened) = &answer {
            self.note_start(of, opening, opened);
        }
        self.expect(before, &mailed(&answer), |model, now| model.start(of, start, &address, now));
    }

    fn note_start(&mut self, of: Which, opening: OpenVerification, opened: &Opened) {
        let id = opened.verification.id.clone();
        assert!(self.known.get(&of).is_none_or(|known| known.id == id), "an operation leads to one id");
        if !opened.is_repetition {
            let (token, digits) = (opening.token.unwrap(), opening.digits.into());
            let number = opening.is_test.then(|| "0".repeat(digits));
            let before = self.known.insert(of, Known { id, token, digits, number, message_ids: Vec::new() });
            self.started.extend(before.is_none().then_some(of)); // an hour after its end an operation starts anew
        }
        self.note_mail(of, opened);
    }

    fn note_mail(&mut self, of: Which, opened: &Opened) {
        if let Some(delivery) = &opened.verification.delivery {
            self.known.get_mut(&of).unwrap().message_ids.push(delivery.message_id.clone());
        }
        if let Some(message) = &opened.message {
            self.note_lease(of, message);
        }
    }

    fn note_lease(&mut self, of: Which, message: &LeasedMessage) {
        let number = message.digits().unwrap();
        let known = self.known.get_mut(&of).unwrap().number.get_or_insert_with(|| number.to_owned());
        assert_eq!(known, number, "all mails of a verification tell one number");
        self.leases.push((of, message.clone()));
    }

    async fn do_to_one(&mut self, ago: usize, deed: Deed) {
        let Some(&of) = self.started.iter().rev().nth(ago) else { return };
        let id = self.known[&of].id.clone();
        let before = (self.time)();
        match deed {
            Deed::LookUp => {
                let said = viewed(&self.store.look_up(&id).await);
                self.expect(before, &said, |model, now| model.look_up(of, now));
            }
            Deed::Check { operation, guess, is_test } => {
                let Some(number) = self.number(of, guess) else { return };
                let answer = self.store.check_with(self.operation(0, operation), &id, &number, is_test).await;
                let said = self.approved(of, &answer);
                let presented = Presented { operation, guess, digits: number.len(), is_test };
                self.expect(before, &said, |model, now| model.check(of, presented, now));
            }
            Deed::CheckByNumber { operation } => {
                let Some(number) = self.number(of, Guess::Right) else { return };
                let answer = self.store.check_by_number_as(self.operation(0, operation), &number).await;
                let said = self.approved(of, &answer);
                self.expect(before, &said, |model, now| model.check_by_number(of, operation, number.len(), now));
            }
            Deed::Resend { operation, with_lease } => {
                let answer = self.store.resend_with(self.operation(0, operation), &id, with_lease).await;
                if let Ok(opened) = &answer {
                    self.note_mail(of, opened);
                }
                self.expect(before, &mailed(&answer), |model, now| model.resend(of, operation, with_lease, now));
            }
            Deed::Cancel => {
                let said = self.store.end(&id).await.map_or_else(|failure| Said::failed(&failure), |()| Said::nothing());
                self.expect(before, &said, |model, now| model.cancel(of, now));
            }
        }
    }

    async fn claim(&mut self) {
        let before = (self.time)();
        let claimed = self.store.claim(1_000).await;
        let ours: Vec<_> = claimed.into_iter().filter_map(|message| Some((self.whose(&message)?, message))).collect();
        for (of, message) in &ours {
            self.note_lease(*of, message);
        }
        let said = Said::leases(ours.iter().map(|(_, message)| message));
        self.expect(before, &said, Model::claim);
    }

    /// The application's budget, after that of an end user, or alone.
    async fn charge(&mut self, of_ip: bool, gives_back: bool) {
        let subject = URL_SAFE_NO_PAD.encode(self.salt.0);
        let charge = |budget, at_once| Charge { budget, subject: subject.clone(), allowance: Allowance::hourly(at_once, 120) };
        let (ip, application) = (charge(Budget::IpStarts, 2), charge(Budget::ApplicationStarts, 3));
        let charges: Vec<Charge> = of_ip.then_some(ip).into_iter().chain([application]).collect();
        let before = (self.time)();
        let answer = if gives_back { self.store.refund(charges.clone()).await } else { self.store.charge(charges.clone()).await };
        let said = answer.map_or_else(|failure| Said::failed(&failure), |()| Said::nothing());
        self.expect(before, &said, |model, now| model.charge(&charges, gives_back, now));
    }

    /// None for a mail of an earlier history.
    fn whose(&self, message: &LeasedMessage) -> Option<Which> {
        let is_its_own = |known: &Known| known.message_ids.contains(&message.message_id);
        self.known.iter().find(|(_, known)| is_its_own(known)).map(|(&of, _)| of)
    }

    async fn settle(&mut self, ago: usize, outcome: MessageOutcome) {
        let Some((of, lease)) = self.leases.iter().rev().nth(ago).cloned() else { return };
        let before = (self.time)();
        self.store.settle(&lease, outcome.clone()).await;
        let view = self.store.look_up(&self.known[&of].id).await;
        let delivery = view.as_ref().ok().and_then(|view| view.delivery.clone());
        self.expect(before, &viewed(&view), |model, now| {
            model.settle(of, lease.fence, &outcome, jitter(delivery.as_ref(), now), now);
            model.look_up(of, now)
        });
    }

    /// One that is not known yet cannot be presented.
    fn number(&self, of: Which, guess: Guess) -> Option<String> {
        match guess {
            Guess::Right => self.known[&of].number.clone(),
            Guess::Wrong => Some("1".repeat(self.known[&of].digits)),
            Guess::TooShort => Some("1".repeat(self.known[&of].digits - 1)),
        }
    }

    fn operation(&self, address: u8, operation: u8) -> OperationId {
        let mut bytes = self.salt.0;
        bytes[30..].copy_from_slice(&[address, operation]);
        OperationId(bytes)
    }

    fn approved(&self, of: Which, answer: &Result<Approval, Failure>) -> Said {
        match answer {
            Ok(approval) => {
                assert_eq!(approval.token.as_ref(), Some(&self.known[&of].token), "another token was released");
                Said::approved(&approval.email, &approval.purpose, approval.approved_at)
            }
            Err(failure) => Said::failed(failure),
        }
    }
}

fn mailed(answer: &Result<Opened, Failure>) -> Said {
    let said = |opened: &Opened| Said::mailing(&opened.verification, opened.message.as_deref(), opened.is_repetition);
    answer.as_ref().map_or_else(Said::failed, said)
}

fn viewed(answer: &Result<VerificationView, Failure>) -> Said {
    answer.as_ref().map_or_else(Said::failed, Said::view)
}

/// What the store drew for the next try, as its moment tells.
fn jitter(delivery: Option<&Delivery>, now: Moment) -> f64 {
    let Some(delivery) = delivery else { return 0.5 };
    if let Some(next) = delivery.next_attempt_at {
        let usual = RETRY_AFTER_SECONDS[(delivery.attempts as usize).clamp(1, 5) - 1];
        return (next.since(now).as_secs_f64() / usual - 0.75) * 2.0;
    }
    if delivery.status == DeliveryStatus::Expired { 1.0 } else { 0.5 }
}
