//! Both stores behind the same asks, with a clock that is moved by hand.

use std::{any::Any, path::Path, time::Duration};

use ::redis::IntoConnectionInfo;
use actix_rt::Arbiter;
use fiador::{
    actors::{EmbeddedStore, RedisStore, StoreAsks},
    clock::{Clock, Hand},
    domain::{
        ApplicationName, Approval, Charge, Claimed, DeliveryStatus, EmailAddress, EndUserIp, IdentityNumber, LeasedMessage,
        Locale, MailId, MailPage, MailView, MessageKey, MessageOutcome, OperationId, Purpose, Token, VerificationId,
        VerificationView,
    },
    messages::{
        AskStoreReadiness, ChargeStart, ClaimMessages, DecideByNumber, DecideCheck, EndVerification, Failure, FindMails,
        LookUpMail, LookUpVerification, OpenVerification, Opened, RefundStart, RequeueMail, ResendMail, SettleMessage,
    },
    store::{
        self, KeyRing, RingError, RingPlace, Vault,
        embedded::{self, Writer},
        redis::{self, RedisSettings},
    },
    supervision::{self, AskError, Policy},
};

use super::redis::TestRedis;

pub(super) const DEADLINE: Duration = Duration::from_secs(20);

pub struct TestStore {
    pub asks: StoreAsks,
    pub hand: Hand,
    /// What has to live as long as the store.
    _keep: Option<Box<dyn Any>>,
}

/// The application of all stores' verifications.
pub fn shop() -> ApplicationName {
    ApplicationName::parse("shop").unwrap()
}

/// A number that differs from this one in its last digit.
pub fn other_than(number: &str) -> String {
    let last = if number.ends_with('1') { '2' } else { '1' };
    format!("{}{last}", &number[..number.len() - 1])
}

/// Any 32 bytes that no other call returns.
pub fn new_operation() -> OperationId {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    OperationId(bytes)
}

impl TestStore {
    pub async fn embedded() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (clock, hand) = Clock::manual();
        let asks = embedded_store(directory.path(), clock).await;
        Self { asks, hand, _keep: Some(Box::new(directory)) }
    }

    pub async fn redis() -> Self {
        let server = TestRedis::start();
        let directory = tempfile::tempdir().unwrap();
        let hand = Hand::default();
        let asks = redis_store(&server.url(), directory.path(), &hand).await;
        Self { asks, hand, _keep: Some(Box::new((server, directory))) }
    }

    /// On a server that others use too, with the key ring of `directory`.
    pub async fn on(url: &str, directory: &Path) -> Self {
        let hand = Hand::default();
        let asks = redis_store(url, directory, &hand).await;
        Self::of(asks, hand)
    }

    /// Two on this server, each on a thread of its own, as those of two daemons are.
    pub async fn two_on(url: &str, directory: &Path) -> [Self; 2] {
        let (settings, hand) = (settings(url), Hand::default());
        let ring = redis_ring(&settings, directory).await;
        let make = || {
            let (settings, ring, hand) = (settings.clone(), ring.clone(), hand.clone());
            Self::elsewhere(hand.clone(), move || unconnected_redis_store(settings, ring, &hand))
        };
        let both = [make().await, make().await];
        for store in &both {
            until_ready(&store.asks).await;
        }
        both
    }

    /// Two on one file, as those of two cells are.
    pub async fn two_embedded(directory: &Path) -> [Self; 2] {
        let (clock, hand) = Clock::manual();
        let writer = embedded_writer(directory, clock).await;
        let make = || {
            let writer = writer.clone();
            Self::elsewhere(hand.clone(), move || guarded_embedded_store(writer))
        };
        [make().await, make().await]
    }

    async fn elsewhere(hand: Hand, make: impl FnOnce() -> StoreAsks + Send + 'static) -> Self {
        let (tell, told) = tokio::sync::oneshot::channel();
        let thread = OwnThread(Arbiter::new());
        thread.0.spawn_fn(move || drop(tell.send(make())));
        let asks = told.await.unwrap_or_else(|_| panic!("the store did not start"));
        Self { asks, hand, _keep: Some(Box::new(thread)) }
    }

    /// One that somebody else looks after.
    pub fn of(asks: StoreAsks, hand: Hand) -> Self {
        Self { asks, hand, _keep: None }
    }

    pub fn opening(address: &str) -> OpenVerification {
        OpenVerification {
            application: shop(),
            address: EmailAddress::parse(address).unwrap(),
            token: Some(Token::Text("tok-1".to_owned())),
            purpose: Purpose::default(),
            locale: Locale::EN,
            ttl_seconds: 600,
            digits: 8,
            wrong_checks: 5,
            mail_domain: "example.org".to_owned(),
            context_ip: None,
            is_found_by_number: false,
            is_test: false,
            with_lease: true,
            signs_in: None,
            refusal: None,
            operation: new_operation(),
        }
    }

    pub async fn open(&self, opening: OpenVerification) -> Result<Opened, Failure> {
        self.asks.open.ask(opening, DEADLINE).await.map_err(failure)
    }

    /// Opens a verification of this address; it and its leased mail.
    pub async fn start(&self, address: &str) -> (VerificationView, LeasedMessage) {
        let opened = self.open(Self::opening(address)).await.unwrap();
        (opened.verification, *opened.message.unwrap())
    }

    pub async fn look_up(&self, id: &VerificationId) -> Result<VerificationView, Failure> {
        let looking = LookUpVerification { application: shop(), id: id.clone() };
        self.asks.look_up.ask(looking, DEADLINE).await.map_err(failure)
    }

    pub async fn check(&self, id: &VerificationId, number: &str) -> Result<Approval, Failure> {
        self.check_as(new_operation(), id, number).await
    }

    /// As that of a test application.
    pub async fn check_as_test(&self, id: &VerificationId, number: &str) -> Result<Approval, Failure> {
        self.check_with(new_operation(), id, number, true).await
    }

    pub async fn check_as(&self, operation: OperationId, id: &VerificationId, number: &str) -> Result<Approval, Failure> {
        self.check_with(operation, id, number, false).await
    }

    pub async fn check_with(
        &self,
        operation: OperationId,
        id: &VerificationId,
        number: &str,
        is_test: bool,
    ) -> Result<Approval, Failure> {
        let (application, id) = (shop(), id.clone());
        let number = IdentityNumber::parse(number).unwrap();
        let check = DecideCheck { application, id, number, is_test, operation };
        self.asks.check.ask(check, DEADLINE).await.map_err(failure)
    }

    pub async fn check_by_number(&self, number: &str) -> Result<Approval, Failure> {
        self.check_by_number_as(new_operation(), number).await
    }

    pub async fn check_by_number_as(&self, operation: OperationId, number: &str) -> Result<Approval, Failure> {
        let application = shop();
        let check = DecideByNumber { application, number: IdentityNumber::parse(number).unwrap(), operation };
        self.asks.check_by_number.ask(check, DEADLINE).await.map_err(failure)
    }

    pub async fn resend_as(&self, operation: OperationId, id: &VerificationId) -> Result<Opened, Failure> {
        self.resend_with(operation, id, true).await
    }

    pub async fn resend_with(&self, operation: OperationId, id: &VerificationId, with_lease: bool) -> Result<Opened, Failure> {
        let (application, id) = (shop(), id.clone());
        let resend = ResendMail { application, id, mail_domain: "example.org".to_owned(), with_lease, operation };
        self.asks.resend.ask(resend, DEADLINE).await.map_err(failure)
    }

    /// Resends, as a new operation; the leased mail.
    pub async fn resend(&self, id: &VerificationId) -> Result<LeasedMessage, Failure> {
        Ok(*self.resend_as(new_operation(), id).await?.message.unwrap())
    }

    pub async fn charge_ip(&self, ip: &str) -> Result<(), Failure> {
        self.charge(vec![of_ip(ip)]).await
    }

    pub async fn refund_ip(&self, ip: &str) {
        self.refund(vec![of_ip(ip)]).await.unwrap();
    }

    pub async fn charge(&self, charges: Vec<Charge>) -> Result<(), Failure> {
        self.asks.charge_start.ask(ChargeStart { application: shop(), charges }, DEADLINE).await.map_err(failure)
    }

    pub async fn refund(&self, charges: Vec<Charge>) -> Result<(), Failure> {
        self.asks.refund_start.ask(RefundStart { application: shop(), charges }, DEADLINE).await.map_err(failure)
    }

    pub async fn end(&self, id: &VerificationId) -> Result<(), Failure> {
        let end = EndVerification { application: shop(), id: id.clone() };
        self.asks.end.ask(end, DEADLINE).await.map_err(failure)
    }

    /// The first page of mails that are so far; all that are listed when none is said.
    pub async fn mails(&self, status: Option<DeliveryStatus>) -> Vec<MailView> {
        self.page(status, 100, None).await.unwrap().mails
    }

    pub async fn page(&self, status: Option<DeliveryStatus>, limit: usize, cursor: Option<String>) -> Result<MailPage, Failure> {
        self.page_of(shop(), status, limit, cursor).await
    }

    pub async fn page_of(
        &self,
        application: ApplicationName,
        status: Option<DeliveryStatus>,
        limit: usize,
        cursor: Option<String>,
    ) -> Result<MailPage, Failure> {
        self.asks.find_mails.ask(FindMails { application, status, limit, cursor }, DEADLINE).await.map_err(failure)
    }

    pub async fn look_up_mail(&self, application: ApplicationName, id: &MailId) -> Result<MailView, Failure> {
        self.asks.look_up_mail.ask(LookUpMail { application, id: id.clone() }, DEADLINE).await.map_err(failure)
    }

    pub async fn requeue_as(&self, operation: OperationId, id: &MailId) -> Result<MailView, Failure> {
        let requeue = RequeueMail { application: shop(), id: id.clone(), operation };
        self.asks.requeue_mail.ask(requeue, DEADLINE).await.map_err(failure)
    }

    pub async fn requeue(&self, id: &MailId) -> Result<MailView, Failure> {
        self.requeue_as(new_operation(), id).await
    }

    pub async fn claim(&self, limit: usize) -> Vec<LeasedMessage> {
        self.claim_some(limit).await.messages
    }

    pub async fn claim_some(&self, limit: usize) -> Claimed {
        self.asks.claim.ask(ClaimMessages { limit }, DEADLINE).await.unwrap()
    }

    pub async fn settle(&self, message: &LeasedMessage, outcome: MessageOutcome) {
        let settle = SettleMessage { key: message.key, fence: message.fence, outcome, written: message.written.clone() };
        self.asks.settle.ask(settle, DEADLINE).await.unwrap();
    }
}

/// What a start for the end user at this address takes.
pub fn of_ip(ip: &str) -> Charge {
    Charge::of_ip(EndUserIp::parse(ip).unwrap())
}

/// An actor's thread, ended with it.
struct OwnThread(Arbiter);

impl Drop for OwnThread {
    fn drop(&mut self) {
        self.0.stop();
    }
}

pub async fn embedded_store(directory: &Path, clock: Clock) -> StoreAsks {
    guarded_embedded_store(embedded_writer(directory, clock).await)
}

/// Writes in this directory, with its key ring.
pub async fn embedded_writer(directory: &Path, clock: Clock) -> Writer {
    let path = directory.join("fiador.redb");
    let place = RingPlace::new(directory, None);
    let ring = store::open_or_make(&place, |fingerprint, origin| {
        let claimed = embedded::claim_ring(&path, &fingerprint, &origin);
        async { claimed }
    });
    Writer::start(&path, Vault::new(ring.await.unwrap()), clock).unwrap()
}

pub fn guarded_embedded_store(writer: Writer) -> StoreAsks {
    StoreAsks::of(&supervision::start("store", Policy::default(), 4096, |_| (), |_| EmbeddedStore::new(writer)))
}

/// A store on this server, connected, with the key ring of `directory`.
pub async fn redis_store(url: &str, directory: &Path, hand: &Hand) -> StoreAsks {
    let settings = settings(url);
    let asks = unconnected_redis_store(settings.clone(), redis_ring(&settings, directory).await, hand);
    until_ready(&asks).await;
    asks
}

pub async fn redis_ring(settings: &RedisSettings, directory: &Path) -> KeyRing {
    try_redis_ring(settings, directory).await.unwrap()
}

pub async fn try_redis_ring(settings: &RedisSettings, directory: &Path) -> Result<KeyRing, RingError> {
    let place = RingPlace::new(directory, None);
    store::open_or_make(&place, |fingerprint, origin| redis::claim_ring(settings, fingerprint, origin)).await
}

pub fn unconnected_redis_store(settings: RedisSettings, ring: KeyRing, hand: &Hand) -> StoreAsks {
    let clock = Clock::moved_by(hand);
    let make = |_: &mut actix::Context<RedisStore>| RedisStore::new(settings, Vault::new(ring), clock);
    StoreAsks::of(&supervision::start("store", Policy::default(), 4096, |_| (), make))
}

/// Waits for the store's own word that it is up.
pub async fn until_ready(asks: &StoreAsks) {
    until(async || why_not_ready(asks).await.is_none()).await;
}

/// What the store says is in its way.
pub async fn why_not_ready(asks: &StoreAsks) -> Option<String> {
    asks.readiness.ask(AskStoreReadiness, DEADLINE).await.unwrap().map(|not_ready| not_ready.reason)
}

/// Looks again and again until it is so.
pub async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let looking = async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, looking).await.expect("it never came to be so");
}

pub(super) fn failure(error: AskError<Failure>) -> Failure {
    match error {
        AskError::Refused(failure) => failure,
        other => panic!("the store did not answer: {other}"),
    }
}

pub fn settings(url: &str) -> RedisSettings {
    RedisSettings::new(url.into_connection_info().unwrap())
}

/// Whether every ask of the store is answered that it is unavailable, each within two seconds.
pub async fn unavailable(store: &TestStore) -> bool {
    let id = VerificationId::parse(&format!("vrf_{}A", "a".repeat(42))).unwrap();
    let key = MessageKey { handle: [1; 16], verification: [1; 16] };
    let settle = SettleMessage { key, fence: 1, outcome: MessageOutcome::Captured, written: None };
    let answers = [
        in_time(store.open(TestStore::opening("nobody@example.org"))).await.err(),
        in_time(store.look_up(&id)).await.err(),
        in_time(store.check(&id, "12345678")).await.err(),
        in_time(store.end(&id)).await.err(),
        in_time(store.asks.claim.ask(ClaimMessages { limit: 8 }, DEADLINE)).await.map_err(failure).err(),
        in_time(store.asks.settle.ask(settle, DEADLINE)).await.map_err(failure).err(),
    ];
    answers.iter().all(|answer| *answer == Some(Failure::Unavailable))
}

/// The answer, which comes within two seconds.
pub async fn in_time<T>(answer: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(2), answer).await.expect("an answer within two seconds")
}

/// Runs each of these against either store.
macro_rules! on_both_stores {
    ($($name:ident,)+) => {
        mod embedded {$(
            #[actix::test]
            async fn $name() { super::$name(crate::kit::stores::TestStore::embedded().await).await }
        )+}
        mod redis {$(
            #[actix::test]
            async fn $name() { super::$name(crate::kit::stores::TestStore::redis().await).await }
        )+}
    };
}

pub(crate) use on_both_stores;
