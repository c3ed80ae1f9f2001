//! One address under the rules: its record as a store would keep it, and a clock moved by hand.

use std::time::Duration;

use fiador::domain::{
    AddressRecord, ApplicationName, Budget, Delivery, EmailAddress, IdentityNumber, KeyedHash, LeasedMessage, Locale, MessageId,
    MessageKey, MessageOutcome, Moment, Purpose, Refusal, VerificationId, VerificationView,
    transitions::{
        Approved, Cancel, Check, Claim, Effect, Outcome, Read, Settle, Start, cancel, check, claim, read, settle, start,
    },
};

use crate::kit::budgets;

/// A number that is never drawn here.
pub const WRONG: &str = "00000000";
const HANDLE: [u8; 16] = [7; 16];

pub struct OneAddress {
    pub now: Moment,
    /// Whether it is an address of a test application.
    pub is_test: bool,
    /// What the last operation changed beside the record.
    pub effects: Vec<Effect>,
    /// The record as it was last committed, in the bytes that a store seals.
    pub stored: Option<Vec<u8>>,
    operations: u32,
}

/// A verification as whoever started it knows it, with the number that was mailed.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    pub view: VerificationView,
    pub key: KeyedHash,
    pub right: String,
    pub mail: Option<LeasedMessage>,
}

/// The start of the operation numbered `n`: id and number follow from it.
pub fn request(n: u32) -> Start {
    let right = (10_000_000 + n).to_string();
    Start {
        id: VerificationId::parse(&format!("vrf_{n:043}")).unwrap(),
        key: u128::from(n).to_be_bytes(),
        fingerprint: [1; 16],
        handle: HANDLE,
        application: ApplicationName::parse("shop").unwrap(),
        address: EmailAddress::parse("ada@example.org").unwrap(),
        purpose: Purpose::default(),
        locale: Locale::EN,
        ttl: Duration::from_secs(600),
        number: IdentityNumber::parse(&right).unwrap(),
        has_token: true,
        wrong_checks: 5,
        message_id: message_id(n),
        is_test: false,
        with_lease: true,
        signs_in: None,
        lookup: None,
        refusal: None,
    }
}

/// The refusal of a budget that has room again after so many seconds.
pub fn spent<T>(budget: Budget, retry_after_seconds: u64) -> Result<T, Refusal> {
    Err(budgets::spent(budget, retry_after_seconds))
}

pub fn wrong<T>(attempts_remaining: u8) -> Result<T, Refusal> {
    Err(Refusal::NumberIncorrect { attempts_remaining })
}

pub fn sent() -> MessageOutcome {
    MessageOutcome::Sent("250 queued".to_owned())
}

pub fn refused() -> MessageOutcome {
    MessageOutcome::Refused("550 no such user".to_owned())
}

pub fn deferred() -> MessageOutcome {
    MessageOutcome::Deferred { reply: "451 later".to_owned(), maybe_accepted: false }
}

pub fn perhaps_accepted() -> MessageOutcome {
    MessageOutcome::Deferred { reply: "no answer after the final dot".to_owned(), maybe_accepted: true }
}

/// One for each `n`.
pub fn message_id(n: u32) -> MessageId {
    MessageId { local: u128::from(n).to_be_bytes(), domain: "example.org".to_owned() }
}

/// Any fixed function serves: the rules only compare.
fn hash(number: &str) -> KeyedHash {
    std::array::from_fn(|at| number.as_bytes().get(at).copied().unwrap_or_default())
}

impl OneAddress {
    pub fn new() -> Self {
        Self { now: Moment(1_800_000_000_000), is_test: false, effects: Vec::new(), stored: None, operations: 0 }
    }

    pub fn of_a_test_application() -> Self {
        Self { is_test: true, ..Self::new() }
    }

    pub fn wait(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
    }

    /// Waits until a moment before `moment`, the shortest there is.
    pub fn wait_until_just_before(&mut self, moment: Moment) {
        self.now = moment - Duration::from_millis(1);
    }

    /// A new start with the usual members.
    pub fn start(&mut self) -> Opened {
        self.try_start().unwrap()
    }

    pub fn try_start(&mut self) -> Result<Opened, Refusal> {
        let request = self.new_request();
        self.open(&request)
    }

    /// A start, and the longest pause that has to follow one.
    pub fn start_and_pause(&mut self) -> Opened {
        let opened = self.start();
        self.wait(120);
        opened
    }

    /// A request that no one has made yet.
    pub fn new_request(&mut self) -> Start {
        Start { is_test: self.is_test, ..request(self.new_operation()) }
    }

    pub fn new_operation(&mut self) -> u32 {
        self.operations += 1;
        self.operations
    }

    pub fn open(&mut self, request: &Start) -> Result<Opened, Refusal> {
        let outcome = start(self.record(), request, self.now);
        let (key, right) = (request.key, request.number.as_str().to_owned());
        self.commit(outcome).map(|started| Opened { view: started.view, key, right, mail: started.message.map(|mail| *mail) })
    }

    /// A check by an operation of its own.
    pub fn check(&mut self, opened: &Opened, number: &str) -> Result<Approved, Refusal> {
        let operation = self.new_operation();
        self.check_as(operation, opened, number)
    }

    pub fn check_as(&mut self, operation: u32, opened: &Opened, number: &str) -> Result<Approved, Refusal> {
        let request = Check {
            key: opened.key,
            operation: u128::from(operation).to_be_bytes(),
            number: IdentityNumber::parse(number).unwrap(),
            number_hash: hash(number),
            is_test: self.is_test,
        };
        let outcome = check(self.record(), &request, self.now);
        self.commit(outcome)
    }

    pub fn cancel(&mut self, opened: &Opened) -> Result<(), Refusal> {
        let outcome = cancel(self.record(), Cancel { key: opened.key }, self.now);
        self.commit(outcome)
    }

    pub fn claim(&mut self, opened: &Opened) -> Option<LeasedMessage> {
        let key = MessageKey { handle: HANDLE, verification: opened.key };
        let outcome = claim(self.record(), Claim { key }, self.now);
        self.commit(outcome)
    }

    /// Settles without jitter: a next try comes at exactly its time.
    pub fn settle(&mut self, mail: &LeasedMessage, outcome: MessageOutcome) {
        let request = Settle { key: mail.key, fence: mail.fence, outcome, jitter: 0.5 };
        let outcome = settle(self.record(), &request, self.now);
        self.commit(outcome);
    }

    pub fn read(&self, opened: &Opened) -> Result<VerificationView, Refusal> {
        read(self.record(), &Read { id: opened.view.id.clone(), key: opened.key }, self.now)
    }

    pub fn delivery(&self, opened: &Opened) -> Delivery {
        self.read(opened).unwrap().delivery.unwrap()
    }

    /// The record as a store returns it: none once nothing in it matters.
    pub fn record(&self) -> AddressRecord {
        let stored = self.stored.as_ref().map(|bytes| postcard::from_bytes::<AddressRecord>(bytes).unwrap());
        stored.filter(|record| record.keep_until() > self.now).unwrap_or_default()
    }

    pub fn commit<A>(&mut self, outcome: Outcome<A>) -> A {
        self.effects.clear();
        if let Some(commit) = outcome.commit {
            self.effects = commit.effects;
            self.stored = Some(postcard::to_stdvec(&commit.record).unwrap());
        }
        outcome.answer
    }
}
