//! A Redis, or somebody on the way to it, that answers what was not asked: no token of another verification leaves, every
//! answer comes in time, nothing falls, and when the truth is told again all is as before.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use fiador::{
    domain::{LeasedMessage, Refusal, Token, VerificationView},
    messages::{ClaimMessages, Failure, OpenVerification},
};
use futures_util::{StreamExt, stream};
use tempfile::TempDir;

use crate::kit::{
    liar::{Liar, Said},
    redis::TestRedis,
    stores::{TestStore, in_time, other_than, redis_ring, settings, until_ready, why_not_ready},
};

const DEADLINE: Duration = Duration::from_secs(5);

/// What is no answer to anything that is asked, by name.
fn nonsense() -> Vec<(&'static str, Vec<u8>)> {
    let plain: [(&str, &str); 25] = [
        ("an integer", ":1\r\n"),
        ("an integer that is none", ":one\r\n"),
        ("an integer out of range", ":99999999999999999999\r\n"),
        ("a word", "+done\r\n"),
        ("an error that is empty", "-\r\n"),
        ("an error with control characters", "-ERR \u{1b}[2J\u{7}\n2026-01-01T00:00:00Z ERROR forged\r\n"),
        ("an error of nobody's code", "-\u{e4}\u{fc} {}%s\r\n"),
        ("a null of RESP3", "_\r\n"),
        ("a map", "%1\r\n$4\r\ndone\r\n:1\r\n"),
        ("a map of less than nothing", "%-1\r\n"),
        ("a set", "~1\r\n$4\r\ndone\r\n"),
        ("an attribute without end", "|9223372036854775807\r\n"),
        ("a push", ">2\r\n$7\r\nmessage\r\n:1\r\n"),
        ("a real number", ",1.5\r\n"),
        ("a truth", "#t\r\n"),
        ("a verbatim text of less than nothing", "=-1\r\n"),
        ("an error of less than nothing", "!-2\r\n"),
        ("an array of nothing", "*0\r\n"),
        ("an array of too much", "*3\r\n$4\r\ndone\r\n:1\r\n:2\r\n"),
        ("an array longer than memory", "*9223372036854775807\r\n:1\r\n"),
        ("a text longer than memory", "$9223372036854775807\r\nabc\r\n"),
        ("a text shorter than it says", "$2147483647\r\nabc\r\n"),
        ("a text longer than it says", "$1\r\nabcdef\r\n"),
        ("a text without its end", "$3\r\nabc"),
        ("a line without its end", "+do"),
    ];
    let mut all: Vec<_> = plain.map(|(name, bytes)| (name, bytes.as_bytes().to_vec())).to_vec();
    all.push(("bytes of no meaning", (0..=255).collect()));
    all.push(("a deep nest", b"*1\r\n".repeat(100_000)));
    all.push(("a deep nest of RESP3", b"|1\r\n".repeat(100_000)));
    all
}

/// A server, and the key ring of all stores on it.
struct Place {
    server: TestRedis,
    directory: TempDir,
}

impl Place {
    async fn new() -> Self {
        let place = Self { server: TestRedis::start(), directory: tempfile::tempdir().unwrap() };
        redis_ring(&settings(&place.server.url()), place.directory.path()).await;
        place
    }

    /// A store whose Redis may lie.
    async fn misled(&self) -> (Liar, TestStore) {
        let liar = Liar::before(&self.server).await;
        let store = TestStore::on(&liar.url(), self.directory.path()).await;
        (liar, store)
    }
}

/// Opens a verification of this address with a token of this text.
async fn start(store: &TestStore, address: &str, token: &str) -> (VerificationView, LeasedMessage) {
    let token = Some(Token::Text(token.to_owned()));
    let opened = store.open(OpenVerification { token, ..TestStore::opening(address) }).await.unwrap();
    (opened.verification, *opened.message.unwrap())
}

async fn token_of(store: &TestStore, verification: &VerificationView, number: &str) -> Result<String, Failure> {
    let approval = in_time(store.check(&verification.id, number)).await?;
    match &approval.token {
        Some(Token::Text(token)) => Ok(token.clone()),
        other => panic!("another token: {other:?}"),
    }
}

/// Asks for everything while `said` is the answer to all, then tells the truth.
async fn survives(place: &Place, name: &str, said: Vec<u8>) {
    let (liar, store) = place.misled().await;
    let address = format!("{}@example.org", uuid::Uuid::new_v4().simple());
    let (verification, mail) = start(&store, &address, "tok-1").await;
    let number = mail.digits().unwrap();

    liar.lies(move |_, _| Said::Bytes(said.clone()));
    let failed = Err(Failure::Unavailable);
    assert_eq!(token_of(&store, &verification, number).await, failed, "{name}");
    assert_eq!(token_of(&store, &verification, &other_than(number)).await, failed, "{name}");
    assert_eq!(in_time(store.look_up(&verification.id)).await.err(), Some(Failure::Unavailable), "{name}");
    assert_eq!(in_time(store.end(&verification.id)).await.err(), Some(Failure::Unavailable), "{name}");
    assert_eq!(in_time(store.check_by_number("123456789012")).await.err(), Some(Failure::Unavailable), "{name}");
    let another = TestStore::opening(&format!("second-{address}"));
    assert_eq!(in_time(store.open(another)).await.err(), Some(Failure::Unavailable), "{name}");
    let claimed = in_time(store.asks.claim.ask(ClaimMessages { limit: 8 }, DEADLINE)).await;
    assert!(claimed.map(|claimed| claimed.messages).unwrap_or_default().is_empty(), "{name}: nothing is claimed");

    liar.behaves();
    until_ready(&store.asks).await;
    assert_eq!(token_of(&store, &verification, number).await.as_deref(), Ok("tok-1"), "{name}");
}

#[actix::test]
async fn an_answer_that_is_none_is_a_503_in_time_releases_nothing_and_is_got_over() {
    let place = Place::new().await;
    let all = stream::iter(nonsense());
    all.for_each_concurrent(4, |(name, said)| survives(&place, name, said)).await;
}

#[actix::test]
async fn no_answer_and_a_connection_that_ends_in_the_middle_are_got_over_too() {
    let place = Place::new().await;
    let (liar, store) = place.misled().await;
    let (verification, mail) = store.start("ada@example.org").await;

    liar.lies(|_, _| Said::Nothing);
    assert_eq!(token_of(&store, &verification, mail.digits().unwrap()).await, Err(Failure::Unavailable));
    liar.lies(|_, reply| Said::Bytes(reply[..reply.len() - 1].to_vec()));
    assert_eq!(token_of(&store, &verification, mail.digits().unwrap()).await, Err(Failure::Unavailable));

    liar.behaves();
    until_ready(&store.asks).await;
    assert_eq!(token_of(&store, &verification, mail.digits().unwrap()).await.as_deref(), Ok("tok-1"));
}

/// An answer too many moves all that follow by one: each would be taken for the answer to the next question.
#[actix::test]
async fn an_answer_that_nobody_asked_for_ends_the_connection() {
    let place = Place::new().await;
    let (liar, store) = place.misled().await;
    let (verification, mail) = store.start("ada@example.org").await;

    for extra in [":1\r\n", ">2\r\n$7\r\nmessage\r\n:1\r\n", "*0\r\n"] {
        liar.lies(move |_, reply| Said::Bytes([reply.as_slice(), extra.as_bytes()].concat()));
        let _ = in_time(store.look_up(&verification.id)).await; // the first answer may still be the right one
        assert!(in_time(store.look_up(&verification.id)).await.is_err(), "{extra:?}");
        liar.behaves();
        until_ready(&store.asks).await;
        assert_eq!(in_time(store.look_up(&verification.id)).await.unwrap().id, verification.id);
    }
    assert_eq!(token_of(&store, &verification, mail.digits().unwrap()).await.as_deref(), Ok("tok-1"));
}

/// The newest reply to a command that is asked about `kind`, as the liar passes it on.
fn overhear(liar: &Liar, name: &'static str, kind: u8) -> Arc<Mutex<Vec<u8>>> {
    let heard = Arc::<Mutex<Vec<u8>>>::default();
    let keep = heard.clone();
    liar.lies(move |command, reply| {
        if command.is(name) && command.is_about(kind) {
            keep.lock().unwrap().clone_from(&reply);
        }
        Said::Bytes(reply)
    });
    heard
}

/// From here on that is said to such a command.
fn repeat(liar: &Liar, name: &'static str, kind: u8, said: Vec<u8>) {
    liar.lies(move |command, reply| {
        let is_meant = command.is(name) && command.is_about(kind);
        Said::Bytes(if is_meant { said.clone() } else { reply })
    });
}

/// What MGET says of a verification: its record and its token.
async fn record_and_token(liar: &Liar, store: &TestStore, of: &VerificationView, wrong: &str) -> [Vec<u8>; 2] {
    let heard = overhear(liar, "MGET", b'a');
    let _ = store.check(&of.id, wrong).await;
    let reply = heard.lock().unwrap().clone();
    let rest = reply.strip_prefix(b"*2\r\n").unwrap();
    let line_end = rest.iter().position(|&byte| byte == b'\n').unwrap();
    let length: usize = str::from_utf8(&rest[1..line_end]).unwrap().trim_end().parse().unwrap();
    let (record, token) = rest.split_at(line_end + 1 + length + 2);
    [record.to_vec(), token.to_vec()]
}

fn both(record: &[u8], token: &[u8]) -> Vec<u8> {
    [b"*2\r\n", record, token].concat()
}

#[actix::test]
async fn anothers_record_and_anothers_token_open_nothing() {
    let place = Place::new().await;
    let (liar, store) = place.misled().await;
    let (ada, adas) = start(&store, "ada@example.org", "adas-token").await;
    let (bob, bobs) = start(&store, "bob@example.org", "bobs-token").await;
    let (adas, bobs) = (adas.digits().unwrap(), bobs.digits().unwrap());
    let [bobs_record, bobs_token] = record_and_token(&liar, &store, &bob, &other_than(bobs)).await;
    let [record, token] = record_and_token(&liar, &store, &ada, &other_than(adas)).await;

    for said in [
        both(&bobs_record, &bobs_token),
        both(&bobs_record, &token),
        both(&record, &bobs_token),
        both(&token, &record),
        both(&record, b"$-1\r\n"),
        both(&record, b"$0\r\n\r\n"),
    ] {
        repeat(&liar, "MGET", b'a', said);
        assert_eq!(token_of(&store, &ada, adas).await, Err(Failure::Unavailable));
        assert!(token_of(&store, &ada, bobs).await.is_err());
    }

    liar.behaves();
    assert_eq!(token_of(&store, &ada, adas).await.as_deref(), Ok("adas-token"), "nothing was ended by it");
    assert_eq!(token_of(&store, &bob, bobs).await.as_deref(), Ok("bobs-token"));
}

#[actix::test]
async fn anothers_record_as_the_answer_to_a_commit_opens_nothing() {
    let place = Place::new().await;
    let (liar, store) = place.misled().await;
    let (ada, adas) = start(&store, "ada@example.org", "adas-token").await;
    let (bob, bobs) = start(&store, "bob@example.org", "bobs-token").await;
    let bobs = bobs.digits().unwrap();
    let [bobs_record, _] = record_and_token(&liar, &store, &bob, &other_than(bobs)).await;

    let stale = [b"*2\r\n$5\r\nstale\r\n".as_slice(), &bobs_record].concat();
    liar.lies(move |command, reply| Said::Bytes(if command.is("EVALSHA") { stale.clone() } else { reply }));
    assert_eq!(token_of(&store, &ada, bobs).await, Err(Failure::Unavailable));
    assert_eq!(token_of(&store, &ada, adas.digits().unwrap()).await, Err(Failure::Unavailable));
}

#[actix::test]
async fn a_record_from_before_brings_neither_a_token_nor_an_attempt_back() {
    let place = Place::new().await;
    let (liar, store) = place.misled().await;
    let (ada, adas) = start(&store, "ada@example.org", "adas-token").await;
    let (bob, bobs) = start(&store, "bob@example.org", "bobs-token").await;
    let (adas, bobs) = (adas.digits().unwrap(), bobs.digits().unwrap());
    let [record, token] = record_and_token(&liar, &store, &ada, &other_than(adas)).await;
    liar.behaves();
    assert_eq!(token_of(&store, &ada, adas).await.as_deref(), Ok("adas-token"));

    repeat(&liar, "MGET", b'a', both(&record, &token));
    assert_eq!(token_of(&store, &ada, adas).await, Err(Failure::Refused(Refusal::AlreadyApproved)));

    let [record, token] = record_and_token(&liar, &store, &bob, &other_than(bobs)).await;
    repeat(&liar, "MGET", b'a', both(&record, &token));
    for attempts_remaining in [3, 2, 1, 0] {
        let refused = token_of(&store, &bob, &other_than(bobs)).await;
        assert_eq!(refused, Err(Failure::Refused(Refusal::NumberIncorrect { attempts_remaining })));
    }
    assert_eq!(token_of(&store, &bob, bobs).await, Err(Failure::Refused(Refusal::Exhausted)));
}

#[actix::test]
async fn a_number_that_is_led_astray_releases_nothing() {
    let place = Place::new().await;
    let (liar, store) = place.misled().await;
    let found_by_number =
        |address: &str| OpenVerification { is_found_by_number: true, digits: 12, ..TestStore::opening(address) };
    let number = async |address: &str| {
        let opened = store.open(found_by_number(address)).await.unwrap();
        opened.message.unwrap().digits().unwrap().to_owned()
    };
    let (adas, bobs) = (number("ada@example.org").await, number("bob@example.org").await);
    let heard = overhear(&liar, "GET", b'n');
    in_time(store.check_by_number(&bobs)).await.unwrap();
    let bobs_way = heard.lock().unwrap().clone();
    assert!(bobs_way.starts_with(b"$"), "a sealed id was overheard");

    repeat(&liar, "GET", b'n', bobs_way);
    assert_eq!(in_time(store.check_by_number(&adas)).await.err(), Some(Failure::Unavailable));

    liar.behaves();
    assert!(store.check_by_number(&adas).await.unwrap().token.is_some());
}

#[actix::test]
async fn a_time_that_cannot_be_is_got_over() {
    let place = Place::new().await;
    let (liar, store) = place.misled().await;
    let (verification, mail) = store.start("ada@example.org").await;

    for (seconds, micros) in [
        ("18446744073709551615", "999999"),
        ("18446744073709551", "999999999999999999"),
        ("9223372036854775807", "0"),
        ("99999999999999999999", "0"),
        ("-1", "0"),
        ("0", "0"),
    ] {
        let time = format!("*2\r\n${}\r\n{seconds}\r\n${}\r\n{micros}\r\n", seconds.len(), micros.len());
        liar.lies(move |command, reply| Said::Bytes(if command.is("TIME") { time.clone().into_bytes() } else { reply }));
        in_time(why_not_ready(&store.asks)).await; // it answers, whatever
        let _ = in_time(store.look_up(&verification.id)).await;
    }
    for clock in ["-1", "0", "9223372036854775807"] {
        let said = format!("*2\r\n$5\r\nclock\r\n:{clock}\r\n").into_bytes();
        liar.lies(move |command, reply| Said::Bytes(if command.is("EVALSHA") { said.clone() } else { reply }));
        assert!(token_of(&store, &verification, mail.digits().unwrap()).await.is_err());
    }

    liar.behaves();
    until_ready(&store.asks).await;
    assert_eq!(token_of(&store, &verification, mail.digits().unwrap()).await.as_deref(), Ok("tok-1"));
}
