//! What both stores do with what they are asked: translate it into an operation, run it, translate what comes of it.

use futures_util::FutureExt;

use crate::{
    domain::{
        ApplicationName, Approval, Charge, Claimed, MailCounts, MailPage, MailView, NUMBER_MISSES, Refusal, UserExport, UserView,
        VerificationView, transitions::Mailing,
    },
    messages::{
        BeginSignIn, ChargeStart, ClaimMessages, CountMails, Credentials, DecideByNumber, DecideCheck, EndVerification, Failure,
        FindMails, FinishSignIn, FinishedSignIn, ForgetUser, GatherUser, KeepUser, KeptUser, LookUpMail, LookUpPassword,
        LookUpUser, LookUpVerification, OpenVerification, Opened, PasswordPlace, RefundStart, ReplacePassword, RequeueMail,
        ResendMail, ReviseUser, SettleMessage,
    },
    planted::{Bug, is_planted},
    store::{
        PageRequest, Records, StoreError,
        operations::{
            BeginningSignIn, Cancelling, ChangingUser, Charging, Checking, Counting, ExportingUser, FinishingSignIn,
            ForgettingUser, KeepingUser, Looking, LookingUpPassword, LookingUpUser, PasswordRequest, PasswordSignIn, Reading,
            Resending, Retrying, SettingPassword, Settling, StartRequest, Starting, UserRequest,
        },
        page,
    },
};

/// With so few misses left, or fewer, a hit is charged until it is known to be one. Above it hits cost no trip more and never
/// wait for one another.
const FEW_MISSES: u32 = NUMBER_MISSES.at_once / 2;

/// No `async fn`, whose future would keep what it was asked beside the operation.
pub(super) fn open(records: &impl Records, ask: OpenVerification) -> impl Future<Output = Result<Opened, Failure>> {
    records.run(Starting::new(records.vault(), start(ask))).map(|mailing| Ok(opened(mailing.map_err(failure)??)))
}

fn start(ask: OpenVerification) -> StartRequest {
    StartRequest {
        application: ask.application,
        address: ask.address,
        token: ask.token,
        purpose: ask.purpose,
        locale: ask.locale,
        ttl_seconds: ask.ttl_seconds,
        digits: ask.digits,
        wrong_checks: ask.wrong_checks,
        mail_domain: ask.mail_domain,
        context_ip: ask.context_ip,
        is_found_by_number: ask.is_found_by_number,
        is_test: ask.is_test,
        with_lease: ask.with_lease,
        signs_in: ask.signs_in,
        refusal: ask.refusal,
        operation: ask.operation,
    }
}

fn opened(mailing: Mailing) -> Opened {
    let Mailing { view, message, is_repetition } = mailing;
    Opened { verification: view, message, is_repetition }
}

pub(super) async fn resend(records: &impl Records, ask: ResendMail) -> Result<Opened, Failure> {
    let ResendMail { application, id, mail_domain, with_lease, operation } = ask;
    let resending = Resending::new(records.vault(), &application, id, mail_domain, with_lease, &operation);
    Ok(opened(records.run(resending.ok_or(Refusal::NotFound)?).await.map_err(failure)??))
}

pub(super) async fn look_up(records: &impl Records, ask: LookUpVerification) -> Result<VerificationView, Failure> {
    let reading = Reading::new(records.vault(), &ask.application, ask.id).ok_or(Refusal::NotFound)?;
    Ok(records.run(reading).await.map_err(failure)??)
}

pub(super) async fn check(records: &impl Records, ask: DecideCheck) -> Result<Approval, Failure> {
    let checking = Checking::new(records.vault(), ask.application, ask.id, ask.number, ask.is_test, &ask.operation);
    Ok(records.run(checking.ok_or(Refusal::NotFound)?).await.map_err(failure)??)
}

/// While the budget of misses is spent, hits are refused too: else they would be told apart.
pub(super) async fn check_by_number(records: &impl Records, ask: DecideByNumber) -> Result<Approval, Failure> {
    let DecideByNumber { application, number, operation } = ask;
    let counting = Counting::new(records.vault(), &application, &Charge::of_miss());
    let (found, left) = tokio::join!(records.find(&application, &number), records.run(counting));
    let are_few_left = left.map_err(failure)?? <= FEW_MISSES;
    let Some(id) = found.map_err(failure)? else { return Err(miss(records, &application).await) };
    let check = DecideCheck { application, id, number, is_test: false, operation };
    if are_few_left { check_at_a_charge(records, check).await } else { check_for_nothing(records, check).await }
}

async fn check_for_nothing(records: &impl Records, ask: DecideCheck) -> Result<Approval, Failure> {
    let application = ask.application.clone();
    match check(records, ask).await {
        Err(failure) if leads_nowhere(&failure) => Err(miss(records, &application).await),
        answer => answer,
    }
}

/// A hit that is charged like a miss until it is known to be one: guesses that are made all at once have seen the same budget.
async fn check_at_a_charge(records: &impl Records, ask: DecideCheck) -> Result<Approval, Failure> {
    let application = ask.application.clone();
    charge_miss(records, &application).await?;
    match check(records, ask).await {
        Err(failure) if leads_nowhere(&failure) => Err(Refusal::NumberUnknown.into()),
        Err(unknown @ (Failure::Unavailable | Failure::Overloaded)) => Err(unknown),
        hit => {
            let giving_back = Charging::give_back(records.vault(), &application, &Charge::of_miss());
            let _ = records.run(giving_back).await; // without an answer it comes back by itself
            hit
        }
    }
}

/// Whether the number led to a verification that has ended.
fn leads_nowhere(failure: &Failure) -> bool {
    let Failure::Refused(refusal) = failure else { return false };
    !matches!(refusal, Refusal::BudgetSpent { .. } | Refusal::IdempotencyMismatch)
}

async fn miss(records: &impl Records, application: &ApplicationName) -> Failure {
    charge_miss(records, application).await.err().unwrap_or_else(|| Refusal::NumberUnknown.into())
}

async fn charge_miss(records: &impl Records, application: &ApplicationName) -> Result<(), Failure> {
    let charging = Charging::take(records.vault(), application, &Charge::of_miss());
    Ok(records.run(charging).await.map_err(failure)??)
}

/// What was taken before one was found spent is given back at once.
pub(super) async fn charge_start(records: &impl Records, ask: ChargeStart) -> Result<(), Failure> {
    let ChargeStart { application, charges } = ask;
    for (index, charge) in charges.iter().enumerate() {
        if let Err(spent) = records.run(Charging::take(records.vault(), &application, charge)).await.map_err(failure)? {
            give_back(records, &application, &charges[..index]).await?;
            return Err(spent.into());
        }
    }
    Ok(())
}

pub(super) async fn refund_start(records: &impl Records, ask: RefundStart) -> Result<(), Failure> {
    give_back(records, &ask.application, &ask.charges).await
}

async fn give_back(records: &impl Records, application: &ApplicationName, charges: &[Charge]) -> Result<(), Failure> {
    for charge in charges {
        records.run(Charging::give_back(records.vault(), application, charge)).await.map_err(failure)??;
    }
    Ok(())
}

pub(super) async fn end(records: &impl Records, ask: EndVerification) -> Result<(), Failure> {
    let cancelling = Cancelling::new(records.vault(), &ask.application, &ask.id).ok_or(Refusal::NotFound)?;
    Ok(records.run(cancelling).await.map_err(failure)??)
}

pub(super) async fn find_mails(records: &impl Records, ask: FindMails) -> Result<MailPage, Failure> {
    let FindMails { application, status, limit, cursor } = ask;
    let found = page(records, &PageRequest { application, status, limit, cursor }).await.map_err(failure)?;
    let not_ours = || Refusal::FieldInvalid { field: "cursor", mend: "must be one that a page before it gave".to_owned() };
    Ok(found.ok_or_else(not_ours)?)
}

pub(super) async fn look_up_mail(records: &impl Records, ask: LookUpMail) -> Result<MailView, Failure> {
    let looking = Looking::new(records.vault(), ask.application, ask.id).ok_or(Refusal::NotFound)?;
    Ok(records.run(looking).await.map_err(failure)??)
}

pub(super) async fn requeue_mail(records: &impl Records, ask: RequeueMail) -> Result<MailView, Failure> {
    let RequeueMail { application, id, operation } = ask;
    let retrying = Retrying::new(records.vault(), &application, id, &operation).ok_or(Refusal::NotFound)?;
    Ok(records.run(retrying).await.map_err(failure)??)
}

pub(super) async fn keep_user(records: &impl Records, ask: KeepUser) -> Result<KeptUser, Failure> {
    let KeepUser { application, address, attributes, locale, password, verification, operation } = ask;
    let verification = verification.map(|verification| start(*verification));
    let request = UserRequest { application, address, attributes, locale, password, verification, operation };
    let kept = records.run(KeepingUser::new(records.vault(), request)).await.map_err(failure)??;
    Ok(KeptUser { user: kept.user, opened: kept.mailing.map(opened), is_repetition: kept.is_repetition })
}

pub(super) async fn look_up_user(records: &impl Records, ask: LookUpUser) -> Result<UserView, Failure> {
    let looking = LookingUpUser::new(records.vault(), ask.application, &ask.user).ok_or(Refusal::NotFound)?;
    Ok(records.run(looking).await.map_err(failure)??)
}

pub(super) async fn look_up_password(records: &impl Records, ask: LookUpPassword) -> Result<PasswordPlace, Failure> {
    let looking = LookingUpPassword::new(records.vault(), ask.application, &ask.id, &ask.operation).ok_or(Refusal::NotFound)?;
    let (address, set_before) = records.run(looking).await.map_err(failure)??;
    Ok(PasswordPlace { address, set_before })
}

pub(super) async fn revise_user(records: &impl Records, ask: ReviseUser) -> Result<UserView, Failure> {
    let ReviseUser { application, id, attributes, locale } = ask;
    let changing = ChangingUser::new(records.vault(), application, &id, attributes, locale).ok_or(Refusal::NotFound)?;
    Ok(records.run(changing).await.map_err(failure)??)
}

pub(super) async fn forget_user(records: &impl Records, ask: ForgetUser) -> Result<(), Failure> {
    let forgetting = ForgettingUser::new(records.vault(), ask.application, &ask.id).ok_or(Refusal::NotFound)?;
    Ok(records.run(forgetting).await.map_err(failure)??)
}

pub(super) async fn gather_user(records: &impl Records, ask: GatherUser) -> Result<UserExport, Failure> {
    let exporting = ExportingUser::new(records.vault(), ask.application, &ask.id).ok_or(Refusal::NotFound)?;
    Ok(records.run(exporting).await.map_err(failure)??)
}

pub(super) async fn begin_sign_in(records: &impl Records, ask: BeginSignIn) -> Result<Option<Credentials>, Failure> {
    let beginning = BeginningSignIn::new(records.vault(), ask.application, &ask.user).ok_or(Refusal::NotFound)?;
    let found = records.run(beginning).await.map_err(failure)?;
    Ok(found.map(|(id, hash)| Credentials { id, hash }))
}

pub(super) async fn finish_sign_in(records: &impl Records, ask: FinishSignIn) -> Result<FinishedSignIn, Failure> {
    let FinishSignIn { application, id, hash, rehashed, second_step } = ask;
    let second_step = second_step.map(|second_step| start(*second_step));
    let request = PasswordSignIn { application, id, hash, rehashed, second_step };
    let finishing = FinishingSignIn::new(records.vault(), request).ok_or(Refusal::NotFound)?;
    let (signed_in, mailing) = records.run(finishing).await.map_err(failure)??;
    Ok(FinishedSignIn { signed_in, opened: mailing.map(opened) })
}

pub(super) async fn replace_password(records: &impl Records, ask: ReplacePassword) -> Result<(), Failure> {
    let ReplacePassword { application, id, proof, hash, mail_domain, locale, is_test, operation } = ask;
    let request = PasswordRequest { application, id, proof, hash, mail_domain, locale, is_test, operation };
    let setting = SettingPassword::new(records.vault(), request).ok_or(Refusal::NotFound)?;
    Ok(records.run(setting).await.map_err(failure)??)
}

pub(super) async fn claim(records: &impl Records, ask: ClaimMessages) -> Result<Claimed, Failure> {
    records.claim_due(ask.limit).await.map_err(failure)
}

pub(super) async fn count_mails(records: &impl Records, _: CountMails) -> Result<MailCounts, Failure> {
    records.count_mails().await.map_err(failure)
}

pub(super) async fn settle(records: &impl Records, ask: SettleMessage) -> Result<(), Failure> {
    records.run(Settling::new(ask.key, ask.fence, ask.outcome, ask.written)).await.map_err(failure)
}

#[expect(clippy::needless_pass_by_value, reason = "made for `map_err`")]
fn failure(error: StoreError) -> Failure {
    match error {
        _ if is_planted(Bug::CalledUndone) => Failure::Overloaded,
        // told in the log by whoever lost the connection or the file, or found a key missing
        StoreError::Unavailable(_) | StoreError::KeyMissing => Failure::Unavailable,
        StoreError::Contended => Failure::Overloaded,
        StoreError::NoFreeNumber => {
            tracing::error!("no free number was drawn: the application has too many live numbers for its digits");
            Failure::Overloaded
        }
        StoreError::Damaged(_) => {
            tracing::error!(cause = %error, "store returned what was not stored");
            Failure::Unavailable
        }
    }
}

/// Answers each message by a function of the actor's `records`, in a future of its own: asks do not wait for one another. How long
/// it took is measured.
macro_rules! answer_from_records {
    ($actor:ty: $($message:ty => $answer:path,)+) => {$(
        impl ::actix::Handler<$message> for $actor {
            type Result = ::actix::ResponseFuture<<$message as ::actix::Message>::Result>;

            fn handle(&mut self, ask: $message, _: &mut Self::Context) -> Self::Result {
                ::std::thread_local! {
                    static SECONDS: ::metrics::Histogram =
                        ::metrics::histogram!("fiador_store_seconds", "message" => stringify!($message));
                }
                let records = ::std::clone::Clone::clone(&self.records);
                let asked_at = ::tokio::time::Instant::now();
                Box::pin(async move {
                    let answer = $answer(&*records, ask).await;
                    SECONDS.with(|seconds| seconds.record(asked_at.elapsed()));
                    answer
                })
            }
        }
    )+};
}

pub(super) use answer_from_records;
