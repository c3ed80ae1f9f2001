use actix::prelude::*;
use metrics::{Counter, counter};
use strum::VariantNames;

use crate::{
    domain::{Budget, Refusal},
    messages::{
        AskMailReadiness, AskStoreReadiness, BeginSignIn, ChargeStart, ClaimMessages, CountMails, DecideByNumber, DecideCheck,
        EndVerification, Failure, FindMails, FinishSignIn, ForgetUser, GatherUser, KeepUser, LookUpMail, LookUpPassword,
        LookUpUser, LookUpVerification, MailQueued, OpenVerification, RefundStart, ReplacePassword, RequeueMail, ResendMail,
        ReviseUser, SettleMessage,
    },
    supervision::{Ask, AskError, Guarded},
};

/// Questions about a store itself, of each kind: they get through while all its other permits are taken.
const SIDE_PERMITS: u32 = 64;

/// What a store can be asked, whichever it is.
#[derive(Clone)]
pub struct StoreAsks {
    /// Opens a verification.
    pub open: Ask<OpenVerification>,
    /// Looks at one.
    pub look_up: Ask<LookUpVerification>,
    /// Decides a presented number.
    pub check: Ask<DecideCheck>,
    /// Decides a number that identifies by itself.
    pub check_by_number: Ask<DecideByNumber>,
    /// Queues one's mail again.
    pub resend: Ask<ResendMail>,
    /// Charges a start to budgets that span addresses.
    pub charge_start: Ask<ChargeStart>,
    /// Gives that back.
    pub refund_start: Ask<RefundStart>,
    /// Ends one.
    pub end: Ask<EndVerification>,
    /// Lists mails.
    pub find_mails: Ask<FindMails>,
    /// Looks at one.
    pub look_up_mail: Ask<LookUpMail>,
    /// Has one tried now.
    pub requeue_mail: Ask<RequeueMail>,
    /// Keeps a user.
    pub keep_user: Ask<KeepUser>,
    /// Looks at one.
    pub look_up_user: Ask<LookUpUser>,
    /// See [`LookUpPassword`].
    pub look_up_password: Ask<LookUpPassword>,
    /// Changes what is kept of one.
    pub revise_user: Ask<ReviseUser>,
    /// Forgets one.
    pub forget_user: Ask<ForgetUser>,
    /// Gathers all that is kept of one.
    pub gather_user: Ask<GatherUser>,
    /// Charges a presented password.
    pub begin_sign_in: Ask<BeginSignIn>,
    /// Ends a sign-in whose password was right.
    pub finish_sign_in: Ask<FinishSignIn>,
    /// Sets a password.
    pub replace_password: Ask<ReplacePassword>,
    /// Leases due mails.
    pub claim: Ask<ClaimMessages>,
    /// Settles a lease.
    pub settle: Ask<SettleMessage>,
    /// Counts the mails in its queue.
    pub count_mails: Ask<CountMails>,
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
            + Handler<DecideByNumber>
            + Handler<ResendMail>
            + Handler<ChargeStart>
            + Handler<RefundStart>
            + Handler<EndVerification>
            + Handler<FindMails>
            + Handler<LookUpMail>
            + Handler<RequeueMail>
            + Handler<KeepUser>
            + Handler<LookUpUser>
            + Handler<LookUpPassword>
            + Handler<ReviseUser>
            + Handler<ForgetUser>
            + Handler<GatherUser>
            + Handler<BeginSignIn>
            + Handler<FinishSignIn>
            + Handler<ReplacePassword>
            + Handler<ClaimMessages>
            + Handler<SettleMessage>
            + Handler<CountMails>
            + Handler<AskStoreReadiness>,
    {
        Self {
            open: store.asks(),
            look_up: store.asks(),
            check: store.asks(),
            check_by_number: store.asks(),
            resend: store.asks(),
            charge_start: store.asks(),
            refund_start: store.asks(),
            end: store.asks(),
            find_mails: store.asks(),
            look_up_mail: store.asks(),
            requeue_mail: store.asks(),
            keep_user: store.asks(),
            look_up_user: store.asks(),
            look_up_password: store.asks(),
            revise_user: store.asks(),
            forget_user: store.asks(),
            gather_user: store.asks(),
            begin_sign_in: store.asks(),
            finish_sign_in: store.asks(),
            replace_password: store.asks(),
            claim: store.asks(),
            settle: store.asks(),
            count_mails: store.asks_apart(SIDE_PERMITS),
            readiness: store.asks_apart(SIDE_PERMITS),
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

/// What the Gateway answers when the store has refused or had no answer.
pub(super) fn failure(error: AskError<Failure>) -> Failure {
    match error {
        AskError::Refused(failure) => {
            count_if_budget(&failure);
            failure
        }
        AskError::Overloaded => Failure::Overloaded,
        AskError::Unavailable(_) | AskError::TimedOut | AskError::Crashed => Failure::Unavailable,
    }
}

fn count_if_budget(failure: &Failure) {
    if let Failure::Refused(Refusal::BudgetSpent { budget, .. }) = failure {
        times_spent(budget.as_str()).increment(1);
    }
}

/// Has all budgets told, spent no time so far: the first one is to be an increase.
pub fn count_budgets_from_zero() {
    for budget in Budget::VARIANTS {
        times_spent(budget).increment(0);
    }
}

fn times_spent(budget: &'static str) -> Counter {
    counter!("fiador_budgets_spent_total", "budget" => budget)
}
