use std::time::Duration;

use rand::RngExt;

use super::{Decision, Operation, Sealed, Snapshot, StoreError, Vault, Write};
use crate::{
    clock::thread_random,
    domain::{
        ApplicationName, EmailAddress, FirstStep, IdentityNumber, Locale, MessageKey, Moment, OperationId, Purpose, Refusal,
        Token,
        transitions::{Effect, Mailing, Start, start},
    },
    planted::{Bug, is_planted},
    store::{Handle, SHARDS, sealing::TokenPlace},
};

/// Opens a verification, with a number drawn for it.
pub struct Starting {
    /// Boxed, because it is handed on a few times before it is done.
    start: Box<Start>,
    token: Option<Token>,
}

/// What is asked for.
pub struct StartRequest {
    /// Whose it is.
    pub application: ApplicationName,
    /// To whom.
    pub address: EmailAddress,
    /// What is deposited.
    pub token: Option<Token>,
    /// Why.
    pub purpose: Purpose,
    /// The mail's language.
    pub locale: Locale,
    /// How long the number holds, in seconds.
    pub ttl_seconds: u32,
    /// The number's digits.
    pub digits: u8,
    /// Wrong checks allowed.
    pub wrong_checks: u8,
    /// The domain of the mail's `Message-ID`.
    pub mail_domain: String,
    /// The end user's IP, for telling another body under the same operation.
    pub context_ip: Option<String>,
    /// Whether the number alone is to lead to it.
    pub is_found_by_number: bool,
    /// Whether its application is a test one.
    pub is_test: bool,
    /// Whether the first lease is wanted.
    pub with_lease: bool,
    /// What came before it, if it is to sign a user in.
    pub signs_in: Option<FirstStep>,
    /// Why nothing may be opened, if that is so: what all but a repetition is told.
    pub refusal: Option<Refusal>,
    /// Names this attempt.
    pub operation: OperationId,
}

impl Starting {
    /// Derives the id, its keys and hashes, and draws the number.
    pub fn new(vault: &Vault, request: StartRequest) -> Self {
        let fingerprint = fingerprint(vault, &request);
        let handle = vault.handle(&request.application, &request.address);
        let operation = if is_planted(Bug::StartKeyIgnored) { OperationId(thread_random().random()) } else { request.operation };
        let id = vault.id_for(&request.application, &request.address, handle, &operation);
        let key = vault.key_of(&request.application, &id);
        let number = number_for(vault, &request, handle);
        let start = Box::new(Start {
            fingerprint,
            handle: handle.0,
            lookup: request.is_found_by_number.then(|| vault.lookup(&request.application, &number)),
            number,
            has_token: request.token.is_some(),
            message_id: vault.message_id(&key, &key, request.mail_domain),
            ttl: Duration::from_secs(request.ttl_seconds.into()),
            id,
            key,
            application: request.application,
            address: request.address,
            purpose: request.purpose,
            locale: request.locale,
            wrong_checks: request.wrong_checks,
            is_test: request.is_test,
            with_lease: request.with_lease,
            signs_in: request.signs_in,
            refusal: request.refusal,
        });
        Self { start, token: request.token }
    }

    /// What its transition is given.
    pub(super) fn start(&self) -> &Start {
        &self.start
    }

    /// What the commit's effects store.
    pub(super) fn seal(&self, vault: &Vault, effects: &[Effect]) -> Sealed {
        let Start { application, id, key, number, .. } = &*self.start;
        let mut sealed = Sealed::default();
        for effect in effects {
            match (effect, &self.token) {
                (&Effect::StoreToken(expires_at), Some(token)) => {
                    let place = TokenPlace { application, id, key, expires_at };
                    sealed.token = vault.seal_token(&mut thread_random(), &place, token);
                }
                (Effect::StoreNumber(..), _) => sealed.id = vault.seal_id(&mut thread_random(), number, id),
                _ => {}
            }
        }
        sealed
    }
}

impl Operation for Starting {
    type Answer = Result<Mailing, Refusal>;

    fn place(&self) -> MessageKey {
        MessageKey { handle: self.start.handle, verification: self.start.key }
    }

    /// Most addresses are fresh.
    fn guess(&mut self) -> Option<Snapshot> {
        self.may_write().then(Snapshot::default)
    }

    fn may_write(&self) -> bool {
        self.start.refusal.is_none()
    }

    fn redraw(&mut self, vault: &Vault) {
        let Start { application, handle, number, lookup, .. } = &mut *self.start;
        *number = draw(vault, number.digits(), Some(Handle(*handle)));
        *lookup = Some(vault.lookup(application, number));
    }

    fn decide(&self, vault: &Vault, read: &Snapshot, now: Moment) -> Result<Decision<Self::Answer>, StoreError> {
        let handle = Handle(self.start.handle);
        let mut outcome = start(read.open(vault, handle)?, &self.start, now);
        let write = outcome.commit.map(|commit| Write::seal(vault, handle, &commit, self.seal(vault, &commit.effects), now));
        if let (Some(write), Ok(Mailing { message: Some(lease), .. })) = (&write, &mut outcome.answer) {
            write.goes_with(lease);
        }
        Ok(Decision { answer: outcome.answer, write })
    }
}

fn number_for(vault: &Vault, request: &StartRequest, handle: Handle) -> IdentityNumber {
    if request.is_test {
        return IdentityNumber::zeros(request.digits);
    }
    draw(vault, request.digits, request.is_found_by_number.then_some(handle))
}

/// A number that tells its address's shard where it alone has to lead there.
fn draw(vault: &Vault, digits: u8, found_at: Option<Handle>) -> IdentityNumber {
    let shard_of = |handle: Handle| u64::try_from(handle.shard()).expect("there are 64 shards");
    match found_at {
        None => IdentityNumber::draw(&mut vault.chance(), digits),
        Some(handle) => IdentityNumber::draw_in_shard(&mut vault.chance(), digits, shard_of(handle), SHARDS as u64),
    }
}

/// Tells another body under the same operation.
fn fingerprint(vault: &Vault, request: &StartRequest) -> [u8; 16] {
    let token = match &request.token {
        None => ("none", ""),
        Some(Token::Text(text)) => ("text", text.as_str()),
        Some(Token::Json(text)) => ("json", text.as_str()),
    };
    vault.body(&[
        request.application.as_str().as_bytes(),
        request.address.as_str().as_bytes(),
        request.purpose.as_str().as_bytes(),
        request.locale.as_str().as_bytes(),
        &request.ttl_seconds.to_be_bytes(),
        token.0.as_bytes(),
        token.1.as_bytes(),
        request.context_ip.as_deref().unwrap_or_default().as_bytes(),
        match request.signs_in {
            None => b"",
            Some(FirstStep::None) => b"number",
            Some(FirstStep::Password) => b"password",
        },
    ])
}
