//! Users under the rules: how they are kept and forgotten, what proves that a password may be set, and who is told.

use std::time::Duration;

use fiador::domain::{
    Attributes, Budget, EmailAddress, FirstStep, KeyedHash, LeasedMessage, Locale, MessageKey, MessageOutcome, Moment,
    PasswordHash, Purpose, Refusal, Status, User,
    transitions::{
        Claim, Effect, KeepUser, KeptUser, Proof, Resend, SetPassword, Start, claim, forget_user, keep_user, look_up_user,
        resend, set_password,
    },
};

use super::one_address::{OneAddress, Opened, deferred, message_id, refused, request, sent, spent};

const SEED: KeyedHash = [3; 16];
/// How long a notice is tried.
const DAY: Duration = Duration::from_secs(24 * 3600);

fn hash(text: &str) -> PasswordHash {
    PasswordHash(text.to_owned())
}

fn keeping(verification: Option<Start>) -> KeepUser {
    KeepUser {
        seed: SEED,
        fingerprint: [4; 16],
        address: EmailAddress::parse("ada@example.org").unwrap(),
        attributes: Attributes::default(),
        locale: None,
        password: Some(hash("first")),
        set_by: [5; 16],
        verification,
    }
}

fn reset(n: u32) -> Start {
    Start { purpose: Purpose::parse("reset-password").unwrap(), ..request(n) }
}

fn sign_in(n: u32) -> Start {
    Start { signs_in: Some(FirstStep::Password), with_lease: false, ..request(n) }
}

impl OneAddress {
    fn with_user() -> Self {
        Self::new().and_user()
    }

    fn and_user(mut self) -> Self {
        self.keep(&keeping(None)).unwrap();
        self
    }

    fn keep(&mut self, request: &KeepUser) -> Result<KeptUser, Refusal> {
        let outcome = keep_user(self.record(), request, self.now);
        self.commit(outcome)
    }

    fn user(&self) -> Result<User, Refusal> {
        look_up_user(self.record(), Some(&SEED))
    }

    fn set_password(&mut self, proof: Proof, hash: PasswordHash) -> Result<KeyedHash, Refusal> {
        let operation = u128::from(self.new_operation() + 1_000).to_be_bytes();
        let request = SetPassword {
            seed: SEED,
            proof,
            hash,
            operation,
            message_id: message_id(1_000),
            application: request(1).application,
            locale: Locale::EN,
            is_test: self.is_test,
        };
        let outcome = set_password(self.record(), &request, self.now);
        self.commit(outcome).map(|()| operation)
    }

    /// Sets another password by the one that there is; the key of the notice.
    fn change_password(&mut self) -> KeyedHash {
        let old = self.user().unwrap().password_hash().unwrap().clone();
        let new = hash(&format!("{}+", old.0));
        self.set_password(Proof::OldPassword(old), new).unwrap()
    }

    fn claim_notice(&mut self, notice: KeyedHash) -> Option<LeasedMessage> {
        let key = MessageKey { handle: [7; 16], verification: notice };
        let outcome = claim(self.record(), Claim { key }, self.now);
        self.commit(outcome)
    }

    fn resend(&mut self, opened: &Opened) -> Result<bool, Refusal> {
        let operation = u128::from(self.new_operation()).to_be_bytes();
        let (id, key, message_id) = (opened.view.id.clone(), opened.key, message_id(1_001));
        let request = Resend { id, key, operation, handle: [7; 16], message_id, with_lease: true };
        let outcome = resend(self.record(), &request, self.now);
        self.commit(outcome).map(|mailing| mailing.message.is_some())
    }
}

#[test]
fn a_user_whose_mail_may_not_be_sent_is_not_kept() {
    let mut ada = OneAddress::new();
    let first = ada.start();
    let before = ada.stored.clone();

    assert_eq!(ada.keep(&keeping(Some(request(9)))), spent(Budget::AddressSends, 30));
    assert_eq!((ada.user(), &ada.stored, &ada.effects[..]), (Err(Refusal::NotFound), &before, &[][..]));
    assert_eq!(ada.keep(&keeping(Some(Start { refusal: Some(Refusal::NotFound), ..request(9) }))), Err(Refusal::NotFound));
    assert_eq!(ada.user(), Err(Refusal::NotFound));
    assert_eq!(ada.read(&first).unwrap().status, Status::Pending);
}

#[test]
fn a_verification_that_its_operation_started_for_nobody_keeps_no_user() {
    let mut ada = OneAddress::new();
    ada.start();

    assert_eq!(ada.keep(&keeping(Some(request(1)))), Err(Refusal::IdempotencyMismatch));
    assert_eq!(ada.user(), Err(Refusal::NotFound));
}

#[test]
fn a_repetition_has_its_verification_for_as_long_as_that_is_known_and_never_another() {
    let mut ada = OneAddress::new();
    let keep = keeping(Some(request(9)));
    let first = ada.keep(&keep).unwrap();
    assert!(first.mailing.unwrap().message.is_some());

    for (seconds, is_known) in [(0, true), (600, true), (4_199, true), (4_200, false), (86_400, false)] {
        let mut later = OneAddress::new();
        later.stored.clone_from(&ada.stored);
        later.wait(seconds);
        let again = later.keep(&keep).unwrap();
        let known = again.mailing.map(|mailing| (mailing.is_repetition, mailing.message));
        assert_eq!((again.is_repetition, known), (true, is_known.then_some((true, None))), "{seconds}");
    }
}

#[test]
fn who_is_kept_is_kept_for_good_and_forgotten_with_all_but_the_budgets() {
    let mut ada = OneAddress::with_user();
    assert_eq!(ada.record().keep_until(), Moment::NEVER);
    let failed = ada.start();
    ada.settle(failed.mail.as_ref().unwrap(), refused());
    ada.wait(700); // a tombstone is left of it
    let found = Start { lookup: Some([8; 16]), ..request(50) };
    let pending = ada.open(&found).unwrap();
    let notice = ada.change_password();

    let outcome = forget_user(ada.record(), &SEED, ada.now);
    ada.commit(outcome).unwrap();

    let forgotten = |key, number| [Effect::Forget { verification: key, number }, Effect::Unlist(key)];
    let of_pending = forgotten(pending.key, Some([8; 16]));
    let expected = of_pending.into_iter().chain([Effect::Unlist(failed.key)]).chain(forgotten(notice, None));
    assert_eq!(ada.effects, expected.collect::<Vec<_>>());
    assert_eq!(ada.user(), Err(Refusal::NotFound));
    assert!(ada.record().keep_until() < Moment::NEVER);
    for opened in [&failed, &pending] {
        assert_eq!(ada.read(opened), Err(Refusal::NotFound));
    }
    assert_eq!(ada.try_start(), spent(Budget::AddressSends, 30));
    let outcome = forget_user(ada.record(), &SEED, ada.now);
    assert_eq!(ada.commit(outcome), Err(Refusal::NotFound));
}

#[test]
fn the_first_approval_verifies_a_user_and_no_later_one() {
    for mut ada in [OneAddress::with_user(), OneAddress::of_a_test_application().and_user()] {
        let opened = ada.start_and_pause();
        ada.check(&opened, "00000001").unwrap_err();
        assert_eq!(ada.user().unwrap().verified_at, None);
        ada.check(&opened, &opened.right).unwrap();
        let verified_at = ada.user().unwrap().verified_at;
        assert_eq!(verified_at, Some(ada.now));

        let opened = ada.start_and_pause();
        ada.check(&opened, &opened.right).unwrap();
        assert_eq!(ada.user().unwrap().verified_at, verified_at);
    }
}

#[test]
fn an_old_password_sets_one_new_one() {
    let mut ada = OneAddress::with_user();
    assert_eq!(ada.set_password(Proof::OldPassword(hash("another")), hash("second")), Err(Refusal::CredentialsInvalid));
    assert_eq!(ada.effects, []);
    ada.wait(1);

    ada.set_password(Proof::OldPassword(hash("first")), hash("second")).unwrap();

    assert_eq!(ada.effects, [Effect::Enqueue(ada.now)]);
    let user = ada.user().unwrap();
    assert_eq!((user.password_hash(), user.password.as_ref().unwrap().changed_at), (Some(&hash("second")), ada.now));
    assert_eq!(ada.set_password(Proof::OldPassword(hash("first")), hash("third")), Err(Refusal::CredentialsInvalid));
}

#[test]
fn a_reset_sets_one_password_within_ten_minutes_of_its_approval() {
    for (seconds, is_in_time) in [(0, true), (59, true), (60, true), (599, true), (600, false), (3_599, false), (3_600, false)] {
        let mut ada = OneAddress::with_user();
        let opened = ada.open(&reset(1)).unwrap();
        let proof = || Proof::Verification(opened.key);
        assert_eq!(ada.set_password(proof(), hash("second")), Err(Refusal::NotProven), "it is pending");
        ada.check(&opened, &opened.right).unwrap();
        ada.wait(seconds);

        let set = ada.set_password(proof(), hash("second")).map(drop);

        assert_eq!(set, if is_in_time { Ok(()) } else { Err(Refusal::NotProven) }, "{seconds}");
        for later in [0, 60, 540] {
            ada.wait(later); // also once it is a tombstone
            assert_eq!(ada.set_password(proof(), hash("third")), Err(Refusal::NotProven), "{seconds} and {later}");
        }
    }
}

#[test]
fn nothing_else_that_ended_lets_a_password_be_set() {
    let mut ada = OneAddress::with_user();
    let (canceled, expired, other) = (ada.open(&reset(1)).unwrap(), reset(2), request(3));
    ada.cancel(&canceled).unwrap();
    ada.wait(30);
    let expired = ada.open(&expired).unwrap();
    ada.wait(60);
    let other = ada.open(&other).unwrap();
    ada.check(&other, &other.right).unwrap();

    for seconds in [0, 60, 540] {
        ada.wait(seconds);
        for opened in [&canceled, &expired, &other] {
            assert_eq!(ada.set_password(Proof::Verification(opened.key), hash("second")), Err(Refusal::NotProven));
        }
    }
    assert_eq!(ada.set_password(Proof::Verification([9; 16]), hash("second")), Err(Refusal::NotProven));
}

#[test]
fn a_change_calls_off_the_sign_ins_that_wait_and_nothing_else() {
    let mut ada = OneAddress::with_user();
    let waiting = ada.open(&sign_in(1)).unwrap();
    ada.wait(30);
    let other = ada.open(&request(2)).unwrap();
    ada.wait(60);
    let done = ada.open(&sign_in(3)).unwrap();
    ada.check(&done, &done.right).unwrap();

    ada.change_password();

    let forgotten = Effect::Forget { verification: waiting.key, number: None };
    assert_eq!(ada.effects, [forgotten, Effect::Enqueue(ada.now)]);
    let statuses = [&waiting, &other, &done].map(|opened| ada.read(opened).unwrap().status);
    assert_eq!(statuses, [Status::Canceled, Status::Pending, Status::Approved]);
    assert_eq!(ada.check(&waiting, &waiting.right), Err(Refusal::Canceled));
}

#[test]
fn a_notice_is_leased_without_a_number_and_forgotten_once_it_is_sent() {
    let mut ada = OneAddress::with_user();
    let notice = ada.change_password();
    let mail = ada.claim_notice(notice).unwrap();
    assert_eq!(ada.effects, [Effect::Enqueue(mail.leased_until)]);
    assert_eq!((&mail.number, mail.purpose.as_str(), mail.expires_at), (&None, "password-changed", ada.now + DAY));
    assert_eq!(ada.claim_notice(notice), None);

    ada.settle(&mail, sent());

    assert_eq!(ada.effects, [Effect::Unqueue]);
    assert_eq!((ada.claim_notice(notice), &ada.effects[..]), (None, &[Effect::Unqueue][..]));
    assert_eq!(ada.record().notice(&notice), None);
    ada.start(); // nobody was charged for it
}

#[test]
fn after_three_leases_without_a_word_a_notice_has_failed() {
    let mut ada = OneAddress::with_user();
    let notice = ada.change_password();
    for _ in 0..3 {
        let mail = ada.claim_notice(notice).unwrap();
        ada.now = mail.leased_until;
    }

    assert_eq!(ada.claim_notice(notice), None);
    assert_eq!(ada.effects, [Effect::Unqueue, Effect::ListAsFailed]);
    assert!(ada.record().notice(&notice).is_some(), "somebody may ask what became of it");
}

#[test]
fn a_deferred_notice_is_tried_for_a_day_and_known_for_an_hour_more() {
    let mut ada = OneAddress::with_user();
    let (notice, begun) = (ada.change_password(), ada.now);
    let mail = ada.claim_notice(notice).unwrap();
    ada.settle(&mail, deferred());
    assert_eq!(ada.effects, [Effect::Enqueue(ada.now + Duration::from_secs(1))]);
    ada.now = begun + DAY - Duration::from_secs(45);
    let mail = ada.claim_notice(notice).unwrap();
    ada.settle(&mail, MessageOutcome::Returned);
    ada.wait(1);

    assert_eq!((ada.claim_notice(notice), &ada.effects[..]), (None, &[Effect::Unqueue, Effect::ListAsFailed][..]));
    ada.now = begun + DAY + Duration::from_secs(3_599);
    ada.start();
    assert!(ada.record().notice(&notice).is_some());
    ada.wait(1);
    assert_eq!((ada.claim_notice(notice), &ada.effects[..]), (None, &[Effect::Unqueue][..]));
    assert_eq!(ada.record().notice(&notice), None);
}

#[test]
fn four_notices_are_on_their_way_and_the_oldest_gives_way_to_a_fifth() {
    let mut ada = OneAddress::with_user();
    let notices: Vec<_> = (0..5).map(|_| ada.change_password()).collect();

    assert_eq!((ada.claim_notice(notices[0]), &ada.effects[..]), (None, &[Effect::Unqueue][..]));
    for notice in &notices[1..] {
        assert!(ada.claim_notice(*notice).is_some());
    }
}

#[test]
fn a_test_applications_change_is_told_to_nobody() {
    let mut ada = OneAddress::of_a_test_application().and_user();
    let notice = ada.change_password();

    assert_eq!(ada.effects, []);
    assert_eq!(ada.record().notice(&notice), None);
}

#[test]
fn a_sign_in_of_nobody_is_charged_as_one_of_somebody_and_its_mail_leased_by_nobody() {
    let by_number = |n: u32| Start { signs_in: Some(FirstStep::None), ..request(n + 900) };
    let (mut ada, mut nobody) = (OneAddress::with_user(), OneAddress::new());
    let (real, decoy) = (ada.open(&by_number(1)).unwrap(), nobody.open(&by_number(1)).unwrap());
    ada.settle(real.mail.as_ref().unwrap(), sent());
    assert_eq!((decoy.mail, &nobody.effects[..]), (None, &[Effect::StoreToken(decoy.view.expires_at)][..]));
    let decoy = Opened { mail: None, ..decoy };

    for n in 1..5 {
        for address in [&mut ada, &mut nobody] {
            let too_soon = address.try_start();
            let pauses = [30, 60, 120, 120];
            assert_eq!(too_soon, spent(Budget::AddressSends, pauses[n - 1]));
            address.wait(120);
        }
        assert_eq!((ada.resend(&real), nobody.resend(&decoy)), (Ok(true), Ok(false)));
        assert_eq!(nobody.claim(&decoy), None);
        let mail = LeasedMessage { fence: u32::try_from(n).unwrap() + 1, ..real.mail.clone().unwrap() };
        ada.settle(&mail, sent());
    }
    for address in [&mut ada, &mut nobody] {
        address.wait(120);
    }
    assert_eq!(ada.resend(&real), nobody.resend(&decoy));
    assert!(matches!(ada.try_start(), Err(Refusal::BudgetSpent { budget: Budget::AddressSends, .. })));
    assert_eq!(ada.try_start(), nobody.try_start());
}

#[test]
fn the_first_proof_of_a_mailbox_drops_a_password_only_when_it_signs_in_by_number_alone() {
    let by_number = |n: u32| Start { signs_in: Some(FirstStep::None), ..request(n + 900) };
    for (start, is_dropped) in [(by_number(1), true), (sign_in(1), false), (request(1), false), (reset(1), false)] {
        let mut ada = OneAddress::with_user();
        let opened = ada.open(&start).unwrap();

        ada.check(&opened, &opened.right).unwrap();

        assert_eq!(ada.user().unwrap().password_hash().is_none(), is_dropped, "{:?}", start.signs_in);
        if !is_dropped {
            let later = ada.open(&by_number(2)).unwrap();
            ada.check(&later, &later.right).unwrap();
            assert!(ada.user().unwrap().password_hash().is_some(), "the mailbox was proven before");
        }
    }
}
