use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{Decision, Operation, Reads, Snapshot, StoreError, Vault, Write};
use crate::{
    clock::system_random,
    domain::{
        ApplicationName, EmailAddress, IdentityNumber, Locale, MessageKey, Moment, OperationId, Purpose, Refusal, Token,
        transitions::{Effect, Start, Started, start},
    },
    store::{Handle, sealing::TokenPlace},
};

/// Opens a verification, with a number drawn for it.
pub struct Starting {
    start: Start,
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
    /// Whether the first lease is wanted.
    pub with_lease: bool,
    /// Names this attempt.
    pub operation: OperationId,
}

impl Starting {
    /// Derives the id, its keys and hashes, and draws the number.
    pub fn new(vault: &Vault, request: StartRequest) -> Self {
        let fingerprint = fingerprint(vault, &request);
        let handle = vault.handle(&request.application, &request.address);
        let id = vault.id_for(&request.application, &request.address, handle, &request.operation);
        let key = vault.key_of(&request.application, &id);
        let number = IdentityNumber::draw(&mut system_random(), request.digits);
        let start = Start {
            fingerprint,
            handle: handle.0,
            number_hash: vault.number(&key, number.as_str()),
            number,
            has_token: request.token.is_some(),
            message_id: format!("<{}@{}>", URL_SAFE_NO_PAD.encode(vault.message(&key)), request.mail_domain),
            ttl: Duration::from_secs(request.ttl_seconds.into()),
            id,
            key,
            application: request.application,
            address: request.address,
            purpose: request.purpose,
            locale: request.locale,
            wrong_checks: request.wrong_checks,
            with_lease: request.with_lease,
        };
        Self { start, token: request.token }
    }

    fn seal_token(&self, vault: &Vault, expires_at: Moment) -> Option<Vec<u8>> {
        let Start { application, id, key, .. } = &self.start;
        let place = TokenPlace { application, id, key, expires_at };
        self.token.as_ref().map(|token| vault.seal_token(&mut system_random(), &place, token))
    }
}

impl Operation for Starting {
    type Answer = Result<Started, Refusal>;

    fn place(&self) -> MessageKey {
        MessageKey { handle: self.start.handle, verification: self.start.key }
    }

    fn reads(&self) -> Reads {
        Reads::NothingAtFirst
    }

    fn decide(&self, vault: &Vault, read: &Snapshot, now: Moment) -> Result<Decision<Self::Answer>, StoreError> {
        let handle = Handle(self.start.handle);
        let outcome = start(read.open(vault, handle)?, &self.start, now);
        let write = outcome.commit.map(|commit| {
            let expires_at = commit.effects.iter().find_map(|effect| match effect {
                Effect::StoreToken(until) => Some(*until),
                _ => None,
            });
            let token = expires_at.and_then(|expires_at| self.seal_token(vault, expires_at));
            Write::seal(vault, handle, &commit, token, now)
        });
        Ok(Decision { answer: outcome.answer, write })
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
    ])
}
