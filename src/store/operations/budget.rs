use super::{Decision, Operation, Snapshot, StoreError, Vault, Write, seal_record};
use crate::{
    domain::{Allowance, ApplicationName, Budget, Charge, MessageKey, Moment, Refusal, TokenBucket},
    store::{Handle, operations::Sealed},
};

/// Takes one from a budget that spans addresses, or gives one back.
pub struct Charging {
    place: Place,
    step: Step,
}

/// Looks how many a budget that spans addresses has left.
pub struct Counting {
    place: Place,
}

struct Place {
    budget: Budget,
    allowance: Allowance,
    handle: Handle,
}

enum Step {
    Take,
    GiveBack,
}

impl Place {
    fn new(vault: &Vault, application: &ApplicationName, charge: &Charge) -> Self {
        let &Charge { budget, allowance, ref subject } = charge;
        Self { budget, allowance, handle: vault.budget(application, budget, subject) }
    }

    /// A budget is a record of its own, without verifications.
    fn key(&self) -> MessageKey {
        MessageKey { handle: self.handle.0, verification: self.handle.0 }
    }

    /// How many are left: one at least.
    fn left(&self, bucket: TokenBucket, now: Moment) -> Result<u32, Refusal> {
        let wait = bucket.wait(self.allowance, now);
        let is_there_one = wait.is_zero();
        is_there_one.then(|| bucket.left(self.allowance, now)).ok_or_else(|| Refusal::spent(self.budget, self.allowance, wait))
    }
}

impl Charging {
    /// Takes one of an application's.
    pub fn take(vault: &Vault, application: &ApplicationName, charge: &Charge) -> Self {
        Self { place: Place::new(vault, application, charge), step: Step::Take }
    }

    /// Gives one of an application's back.
    pub fn give_back(vault: &Vault, application: &ApplicationName, charge: &Charge) -> Self {
        Self { place: Place::new(vault, application, charge), step: Step::GiveBack }
    }
}

impl Counting {
    /// Looks whether one of an application's is left.
    pub fn new(vault: &Vault, application: &ApplicationName, charge: &Charge) -> Self {
        Self { place: Place::new(vault, application, charge) }
    }
}

impl Operation for Charging {
    type Answer = Result<(), Refusal>;

    fn place(&self) -> MessageKey {
        self.place.key()
    }

    fn guess(&mut self) -> Option<Snapshot> {
        match self.step {
            Step::Take => Some(Snapshot::default()),
            Step::GiveBack => None,
        }
    }

    fn decide(&self, vault: &Vault, read: &Snapshot, now: Moment) -> Result<Decision<Self::Answer>, StoreError> {
        let mut bucket: TokenBucket = read.open(vault, self.place.handle)?;
        if let (Step::Take, Err(refusal)) = (&self.step, self.place.left(bucket, now)) {
            return Ok(Decision { answer: Err(refusal), write: None });
        }
        match self.step {
            Step::Take => bucket.take(self.place.allowance, now).expect("there is one left"),
            Step::GiveBack => bucket.give_back(self.place.allowance, &[]),
        }
        let record = seal_record(vault, self.place.handle, &bucket, bucket.full_at(), now);
        Ok(Decision { answer: Ok(()), write: Some(Write { record, effects: Vec::new(), sealed: Sealed::default() }) })
    }
}

impl Operation for Counting {
    type Answer = Result<u32, Refusal>;

    fn place(&self) -> MessageKey {
        self.place.key()
    }

    fn may_write(&self) -> bool {
        false
    }

    fn decide(&self, vault: &Vault, read: &Snapshot, now: Moment) -> Result<Decision<Self::Answer>, StoreError> {
        Ok(Decision { answer: self.place.left(read.open(vault, self.place.handle)?, now), write: None })
    }
}
