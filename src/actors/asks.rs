use actix::prelude::*;

use crate::{
    messages::{
        AskMailReadiness, AskStoreReadiness, ClaimMessages, DecideCheck, EndVerification, Failure, LookUpVerification,
        MailQueued, OpenVerification, SettleMessage,
    },
    supervision::{Ask, AskError, Guarded},
};

/// What a store can be asked, whichever it is.
#[derive(Clone)]
pub struct StoreAsks {
    /// Opens a verification.
    pub open: Ask<OpenVerification>,
    /// Looks at one.
    pub look_up: Ask<LookUpVerification>,
    /// Decides a presented number.
    pub check: Ask<DecideCheck>,
    /// Ends one.
    pub end: Ask<EndVerification>,
    /// Leases due mails.
    pub claim: Ask<ClaimMessages>,
    /// Settles a lease.
    pub settle: Ask<SettleMessage>,
    /// Tells whether it is up.
    pub readiness: Ask<AskStoreReadiness>,
}

impl StoreAsks {
    /// Those of a guarded store.
    pub fn of<S>(store: &Guarded<S>) -> Self
    where
        S: Actor<Context = Context<S>>
            + Handler<OpenVerification>
            + Handler<LookUpVerification>
            + Handler<DecideCheck>
            + Handler<EndVerification>
            + Handler<ClaimMessages>
            + Handler<SettleMessage>
            + Handler<AskStoreReadiness>,
    {
        Self {
            open: store.asks(),
            look_up: store.asks(),
            check: store.asks(),
            end: store.asks(),
            claim: store.asks(),
            settle: store.asks(),
            readiness: store.asks(),
        }
    }
}

/// What the Gateway asks the Mailer.
#[derive(Clone)]
pub struct MailAsks {
    /// Hands a stored mail over.
    pub queued: Ask<MailQueued>,
    /// Tells whether mails go out.
    pub readiness: Ask<AskMailReadiness>,
}

/// What an asker answers when its ask had no answer.
pub(super) fn failure(error: AskError<Failure>) -> Failure {
    match error {
        AskError::Refused(failure) => failure,
        AskError::Overloaded => Failure::Overloaded,
        AskError::Unavailable(_) | AskError::TimedOut | AskError::Crashed => Failure::Unavailable,
    }
}
