//! Replies that are cut off, that stall half-way and that trickle: a clear answer in time, nothing done twice, and nobody gets
//! what was said to another.

use std::{pin::pin, time::Duration};

use fiador::{
    domain::{Claimed, DeliveryStatus, LeasedMessage, MessageOutcome, OperationId, Refusal, Token, VerificationView},
    messages::{ClaimMessages, Failure, OpenVerification, SettleMessage},
};
use futures_util::{StreamExt, future::join, stream::FuturesUnordered};
use tempfile::TempDir;
use tokio::{sync::oneshot, time::interval};

use crate::kit::{
    proxy::{Part, Proxy},
    redis::TestRedis,
    stores::{TestStore, in_time, new_operation, other_than, unavailable, until_ready},
};

const DEADLINE: Duration = Duration::from_secs(20);
/// One attempt, repeated until it has an answer.
const OPERATION: OperationId = OperationId([7; 32]);
/// Nothing of it, its first byte, half of it, all but its last byte.
const PARTS: [Part; 4] = [|_| 0, |_| 1, |length| length / 2, |length| length - 1];
/// Half of it.
const HALF: Part = PARTS[2];

/// A store behind a proxy, whose server knows the script.
struct Behind {
    store: TestStore,
    proxy: Proxy,
    _server: TestRedis,
    _directory: TempDir,
}

impl Behind {
    async fn start() -> Self {
        let (server, directory) = (TestRedis::start(), tempfile::tempdir().unwrap());
        let proxy = Proxy::before(&server).await;
        let store = TestStore::on(&proxy.url(), directory.path()).await;
        store.start("warm-up@example.org").await;
        Self { store, proxy, _server: server, _directory: directory }
    }

    /// What is asked while the reply to `word` is cut off after this part: no answer, in time. Then the store is back.
    async fn with_a_cut<T>(&self, word: &'static str, part: Part, asked: impl Future<Output = Result<T, Failure>>) {
        self.proxy.cut_reply(word, part);
        let lost = in_time(asked).await;
        assert_eq!(lost.err(), Some(Failure::Unavailable), "{word}");
        assert!(self.proxy.has_spoiled(), "{word}");
        until_ready(&self.store.asks).await;
    }

    async fn claim(&self) -> Result<Claimed, Failure> {
        self.store.asks.claim.ask(ClaimMessages { limit: 8 }, DEADLINE).await.map_err(|_| Failure::Unavailable)
    }

    async fn settle(&self, mail: &LeasedMessage) -> Result<(), Failure> {
        let settle =
            SettleMessage { key: mail.key, fence: mail.fence, outcome: MessageOutcome::Sent("250 ok".to_owned()), written: None };
        self.store.asks.settle.ask(settle, DEADLINE).await.map_err(|_| Failure::Unavailable)
    }
}

/// A verification that was just started, as it is read.
async fn started(store: &TestStore, address: &str) -> VerificationView {
    let id = store.start(address).await.0.id;
    store.look_up(&id).await.unwrap()
}

fn address(part: usize) -> String {
    format!("ada{part}@example.org")
}

#[actix::test]
async fn a_start_whose_reply_is_cut_off_has_happened_once_with_its_repetition() {
    let behind = Behind::start().await;
    for (n, part) in PARTS.into_iter().enumerate() {
        let opening = TestStore::opening(&address(n));
        behind.with_a_cut("EVALSHA", part, behind.store.open(opening.clone())).await;

        let repeated = behind.store.open(opening.clone()).await.unwrap();
        assert!(repeated.is_repetition, "{n}");
        let again = behind.store.open(opening).await.unwrap();
        assert_eq!(again.verification, repeated.verification, "{n}");
        let mails = behind.store.mails(None).await;
        assert_eq!(mails.len(), 2 + n, "one for the warm-up and one for each start: {mails:?}");
    }
}

#[actix::test]
async fn a_wrong_check_whose_reply_is_cut_off_is_charged_once_with_its_repetition() {
    let behind = Behind::start().await;
    for (n, part) in PARTS.into_iter().enumerate() {
        for (tries, word) in ["MGET", "EVALSHA"].into_iter().enumerate() {
            let (verification, mail) = behind.store.start(&format!("{word}-{}", address(n))).await;
            let (operation, wrong) = (new_operation(), other_than(mail.digits().unwrap()));
            let check = || behind.store.check_as(operation, &verification.id, &wrong);
            behind.with_a_cut(word, part, check()).await;

            let charged_once = Err(Failure::Refused(Refusal::NumberIncorrect { attempts_remaining: 4 }));
            for _ in 0..2 {
                assert_eq!(check().await, charged_once, "{n} {tries}");
            }
        }
    }
}

#[actix::test]
async fn a_right_check_whose_reply_is_cut_off_gives_its_token_to_its_repetition_alone() {
    let behind = Behind::start().await;
    for (n, part) in PARTS.into_iter().enumerate() {
        let (verification, mail) = behind.store.start(&address(n)).await;
        let operation = new_operation();
        let check = |operation| behind.store.check_as(operation, &verification.id, mail.digits().unwrap());
        behind.with_a_cut("EVALSHA", part, check(operation)).await;

        assert_eq!(check(new_operation()).await, Err(Failure::Refused(Refusal::AlreadyApproved)), "{n}");
        assert_eq!(check(operation).await.unwrap().token, Some(Token::Text("tok-1".to_owned())), "{n}");
    }
}

#[actix::test]
async fn a_read_whose_reply_is_cut_off_is_answered_when_it_is_repeated() {
    let behind = Behind::start().await;
    for (n, part) in PARTS.into_iter().enumerate() {
        let verification = started(&behind.store, &address(n)).await;
        behind.with_a_cut("GET", part, behind.store.look_up(&verification.id)).await;
        assert_eq!(behind.store.look_up(&verification.id).await, Ok(verification));
    }
}

#[actix::test]
async fn a_claim_whose_reply_is_cut_off_leaves_its_mail_to_a_later_one_under_another_fence() {
    for part in PARTS {
        let behind = Behind::start().await;
        let opening = OpenVerification { with_lease: false, ..TestStore::opening("ada@example.org") };
        let verification = behind.store.open(opening).await.unwrap().verification;

        // the list of what is due: nothing was leased
        behind.with_a_cut("ZRANGE", part, behind.claim()).await;
        // the lease itself: whether it was given nobody knows
        behind.proxy.cut_reply("EVALSHA", part);
        assert!(in_time(behind.store.claim(8)).await.is_empty());
        assert!(behind.proxy.has_spoiled());
        until_ready(&behind.store.asks).await;
        assert!(behind.store.claim(8).await.is_empty(), "it was given: nobody else has it while it lasts");

        behind.store.hand.advance(Duration::from_secs(61));
        let claimed = behind.store.claim(8).await;
        let fences: Vec<u32> =
            claimed.iter().filter(|mail| mail.address.as_str() == "ada@example.org").map(|mail| mail.fence).collect();
        assert_eq!(fences, [2]);
        assert!(behind.store.claim(8).await.is_empty());
        let delivery = behind.store.look_up(&verification.id).await.unwrap().delivery.unwrap();
        assert_eq!(delivery.status, DeliveryStatus::Sending);
    }
}

#[actix::test]
async fn a_settlement_whose_reply_is_cut_off_is_noted_once_with_its_repetition() {
    let behind = Behind::start().await;
    for (n, part) in PARTS.into_iter().enumerate() {
        for word in ["GET", "EVALSHA"] {
            let (verification, mail) = behind.store.start(&format!("{word}-{}", address(n))).await;
            behind.with_a_cut(word, part, behind.settle(&mail)).await;

            behind.settle(&mail).await.unwrap();
            behind.store.settle(&mail, MessageOutcome::Refused("550 no".to_owned())).await; // an old fence: changes nothing
            let delivery = behind.store.look_up(&verification.id).await.unwrap().delivery.unwrap();
            assert_eq!((delivery.status, delivery.attempts), (DeliveryStatus::Sent, 1), "{n} {word}");
        }
    }
}

/// The right answer, or that there was none: never another's.
fn assert_own_or_lost(answer: &Result<VerificationView, Failure>, own: &VerificationView) {
    assert!(matches!(answer, Ok(view) if view == own) || *answer == Err(Failure::Unavailable), "{answer:?}");
}

/// Reads it every 50 ms, each without waiting for the one before, until `done` is there.
async fn reads_until(store: &TestStore, of: &VerificationView, done: impl Future<Output = ()>) -> Vec<Answered> {
    let (mut done, mut next_read) = (pin!(done), interval(Duration::from_millis(50)));
    let (mut reads, mut answered) = (FuturesUnordered::new(), Vec::new());
    loop {
        tokio::select! {
            () = &mut done => break,
            _ = next_read.tick() => reads.push(in_time(store.look_up(&of.id))),
            Some(answer) = reads.next() => answered.push(answer),
        }
    }
    answered.extend(reads.collect::<Vec<_>>().await);
    answered
}

type Answered = Result<VerificationView, Failure>;

#[actix::test]
async fn a_reply_that_stalls_half_way_and_then_goes_on_in_time_is_its_own_askers() {
    let behind = Behind::start().await;
    let ada = started(&behind.store, "ada@example.org").await;
    let bob = started(&behind.store, "bob@example.org").await;
    for part in PARTS {
        let mut held = behind.proxy.stall_reply("GET", part);

        let let_go = async {
            held.reached().await;
            let bobs = behind.store.look_up(&bob.id);
            join(bobs, async { held.release() }).await.0
        };
        let (adas, bobs) = join(behind.store.look_up(&ada.id), let_go).await;

        assert_eq!((adas.as_ref(), bobs.as_ref()), (Ok(&ada), Ok(&bob)));
    }
}

#[actix::test]
async fn the_late_rest_of_a_reply_that_stalled_too_long_is_nobodys_answer() {
    for part in PARTS {
        let behind = Behind::start().await;
        let ada = started(&behind.store, "ada@example.org").await;
        let bob = started(&behind.store, "bob@example.org").await;
        let mut held = behind.proxy.stall_reply("GET", part);

        let (tell, is_lost) = oneshot::channel();
        let adas = async {
            let answer = in_time(behind.store.look_up(&ada.id)).await;
            let _ = tell.send(()); // or the reads below have failed
            answer
        };
        let bobs = async {
            held.reached().await; // by Ada's reply, and by nobody's before
            let lost_and_late = async {
                is_lost.await.unwrap();
                held.release(); // while reads of Bob's, asked on the same connection, still wait for their replies
            };
            reads_until(&behind.store, &bob, lost_and_late).await
        };
        let (adas, bobs) = join(adas, bobs).await;

        assert_eq!(adas, Err(Failure::Unavailable));
        assert!(bobs.len() > 5, "{}", bobs.len());
        for answer in &bobs {
            assert_own_or_lost(answer, &bob);
        }
        until_ready(&behind.store.asks).await;
        assert_eq!(join(behind.store.look_up(&ada.id), behind.store.look_up(&bob.id)).await, (Ok(ada), Ok(bob)));
    }
}

#[actix::test]
async fn a_commit_or_claim_whose_reply_stalls_is_unavailable_in_time_and_done_once() {
    let behind = Behind::start().await;
    let (verification, mail) = behind.store.start("ada@example.org").await;
    let (operation, wrong) = (new_operation(), other_than(mail.digits().unwrap()));
    let check = || behind.store.check_as(operation, &verification.id, &wrong);

    let held = behind.proxy.stall_reply("EVALSHA", HALF);
    assert_eq!(in_time(check()).await, Err(Failure::Unavailable));
    held.release();
    until_ready(&behind.store.asks).await;
    for _ in 0..2 {
        assert_eq!(check().await, Err(Failure::Refused(Refusal::NumberIncorrect { attempts_remaining: 4 })));
    }

    behind.store.hand.advance(Duration::from_secs(61)); // both mails' leases are over
    let held = behind.proxy.stall_reply("ZRANGE", HALF);
    assert!(in_time(behind.claim()).await.is_err());
    held.release();
    until_ready(&behind.store.asks).await;
    assert_eq!(behind.store.claim(8).await.len(), 2);
    assert!(behind.store.claim(8).await.is_empty());
}

#[actix::test]
async fn replies_that_come_byte_by_byte_are_understood() {
    let behind = Behind::start().await;
    behind.proxy.trickle(Duration::ZERO);

    let (verification, mail) = behind.store.start("ada@example.org").await;
    behind.settle(&mail).await.unwrap();
    assert!(behind.store.claim(8).await.is_empty());
    assert_eq!(behind.store.look_up(&verification.id).await.unwrap().delivery.unwrap().status, DeliveryStatus::Sent);
    assert!(behind.store.check(&verification.id, mail.digits().unwrap()).await.is_ok());
}

#[actix::test]
async fn replies_that_trickle_too_slowly_are_unavailable_in_time_until_they_flow_again() {
    let behind = Behind::start().await;
    let (verification, mail) = behind.store.start("ada@example.org").await;
    behind.proxy.trickle(Duration::from_millis(20));

    for _ in 0..2 {
        let number = mail.digits().unwrap();
        assert_eq!(in_time(behind.store.check_as(OPERATION, &verification.id, number)).await, Err(Failure::Unavailable));
    }
    assert!(unavailable(&behind.store).await);
    behind.proxy.flow();
    until_ready(&behind.store.asks).await;
    assert!(behind.store.check_as(OPERATION, &verification.id, mail.digits().unwrap()).await.is_ok());
    let other = behind.store.check(&verification.id, mail.digits().unwrap()).await;
    assert_eq!(other, Err(Failure::Refused(Refusal::AlreadyApproved)));
}
