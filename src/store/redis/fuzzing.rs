//! What a server may answer that is no Redis, or lies: see [`crate::fuzzing`].

use std::rc::Rc;

use redis::{IntoConnectionInfo, RedisConnectionInfo};
use tokio::io::DuplexStream;

use super::{Link, Redis, RedisSettings, connection::Connection, gate, socket::Socket};
use crate::{
    clock::Clock,
    domain::{
        ApplicationName, Charge, EmailAddress, IdentityNumber, Locale, MessageKey, MessageOutcome, OperationId, Purpose, Refusal,
        Token, VerificationId,
    },
    store::{
        Records, StoreError, Vault,
        operations::{Cancelling, Charging, Checking, Claiming, Operation, Reading, Resending, Settling, StartRequest, Starting},
    },
};

const OPERATION: OperationId = OperationId([7; 32]);
const PLACE: MessageKey = MessageKey { handle: [1; 16], verification: [3; 16] };

/// Does the `which`th of all that is done with a server, over `stream`, as far as its other end plays along.
///
/// # Panics
/// When something comes out of the store that was never put there.
pub(crate) async fn ask_over(stream: DuplexStream, vault: Vault, which: u8) {
    let settings = RedisSettings::new("redis://nobody".into_connection_info().expect("it has the form of a URL"));
    let login = RedisConnectionInfo::default().set_skip_set_lib_name();
    let Ok(connection) = Connection::over(Socket::over(Box::new(stream)), &login).await else { return };
    if which == 0 {
        let _ = gate::check(&mut connection.commands(), &vault.fingerprint()).await; // it may claim to be a server of ours
        return;
    }
    let link = Rc::new(Link::new(settings, vault.fingerprint(), Clock::system()).over(connection));
    let store = Redis::new(link.clone(), vault.clone());
    let (shop, number) = (application(), IdentityNumber::parse("123456789012").expect("it is 12 digits"));
    let id = VerificationId::parse(&format!("vrf_{}A", "a".repeat(42))).expect("it has the form of an id");
    match which {
        1 => drop(link.why_down().await),
        2 => drop(store.run(Starting::new(&vault, start())).await), // it may claim to have stored it
        3 => drop(store.run(Charging::take(&vault, &shop, &Charge::of_miss())).await),
        4 => drop(store.run(Settling::new(PLACE, 1, MessageOutcome::Captured, None)).await),
        5 => is_nothing(&store.run(Claiming { key: PLACE }).await),
        6 => is_nothing(&store.claim_due(8).await.map(|claimed| claimed.messages.into_iter().next())),
        7 => is_nothing(&store.find(&shop, &number).await),
        8 => is_refused(&run(&store, Reading::new(&vault, &shop, id)).await),
        9 => is_refused(&run(&store, Cancelling::new(&vault, &shop, &id)).await),
        10 => is_refused(&run(&store, Resending::new(&vault, &shop, id, "example.org".to_owned(), true, &OPERATION)).await),
        _ => is_refused(&run(&store, Checking::new(&vault, shop, id, number, false, &OPERATION)).await),
    }
}

async fn run<O>(store: &Redis, operation: Option<O>) -> Result<O::Answer, StoreError>
where
    O: Operation + Send + 'static,
    O::Answer: Send + 'static,
{
    store.run(operation.expect("the id decodes")).await
}

fn is_nothing<T>(found: &Result<Option<T>, StoreError>) {
    assert!(!matches!(found, Ok(Some(_))), "something was found where nothing was stored");
}

fn is_refused<T>(answer: &Result<Result<T, Refusal>, StoreError>) {
    assert!(!matches!(answer, Ok(Ok(_))), "something was done to what was never stored");
}

fn application() -> ApplicationName {
    ApplicationName::parse("shop").expect("it is a word")
}

fn start() -> StartRequest {
    StartRequest {
        is_test: false,
        application: application(),
        address: EmailAddress::parse("ada@example.org").expect("it is an address"),
        token: Some(Token::Text("session-1".to_owned())),
        purpose: Purpose::default(),
        locale: Locale::EN,
        ttl_seconds: 600,
        digits: 12,
        wrong_checks: 5,
        mail_domain: "example.org".to_owned(),
        context_ip: None,
        is_found_by_number: true,
        with_lease: true,
        signs_in: None,
        operation: OPERATION,
        refusal: None,
    }
}
