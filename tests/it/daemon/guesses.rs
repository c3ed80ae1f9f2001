//! A storm of guesses at one number, through two daemons at once.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};

use crate::kit::{
    caller::Caller,
    daemon::{Daemon, Home},
    http::Reply,
    redis::TestRedis,
};

const GUESSES: usize = 1_000;
/// Requests on their way to each daemon at the same time.
const AT_ONCE: usize = 400;
const ADDRESS: &str = "ada@example.org";

/// Two daemons of one service, and its key.
struct Two {
    homes: [Home; 2],
    key: String,
    _server: TestRedis,
}

impl Two {
    async fn new() -> Self {
        let server = TestRedis::start();
        let (home, key) = Home::with_application(&format!("[store]\nredis_url = \"{}\"\n[dev]\ninbox = true", server.url()));
        home.start().await.kill().await;
        Self { homes: [home.beside(), home], key, _server: server }
    }

    /// Both, so many seconds from now.
    async fn start_ahead(&self, seconds: u32) -> ([Daemon; 2], [Caller; 2]) {
        let seconds = seconds.to_string();
        let later = [("FIADOR_TESTING_CLOCK_AHEAD_SECONDS", seconds.as_str())];
        let daemons = [self.homes[0].start_with(&later).await, self.homes[1].start_with(&later).await];
        let callers = daemons.each_ref().map(|daemon| Caller::of(daemon, &self.key));
        (daemons, callers)
    }
}

/// A thousand different wrong numbers, every second as an operation of its own; how often each answer came.
async fn storm(callers: &[Caller; 2], id: &str, right: &str) -> BTreeMap<String, usize> {
    let wrong = (0..).map(|guess| format!("{guess:08}")).filter(|guess| guess != right);
    let guesses: Vec<(usize, String)> = wrong.take(GUESSES).enumerate().collect();
    let through = |which: usize| {
        let guesses = guesses.iter().filter(move |(nth, _)| nth / 2 % 2 == which);
        let ask = move |(nth, guess): &(usize, String)| {
            let request = callers[which].checking(id, guess);
            let request = if nth % 2 == 0 { request.header("Idempotency-Key", format!("guess-{nth}")) } else { request };
            async move { Reply::to(request).await.json()["code"].as_str().unwrap().to_owned() }
        };
        stream::iter(guesses.map(ask).collect::<Vec<_>>()).buffer_unordered(AT_ONCE).collect::<Vec<String>>()
    };
    let (one, other) = tokio::join!(through(0), through(1));
    let mut counts = BTreeMap::new();
    for code in one.into_iter().chain(other) {
        *counts.entry(code).or_default() += 1;
    }
    counts
}

fn counts<const N: usize>(expected: [(&str, usize); N]) -> BTreeMap<String, usize> {
    expected.map(|(code, count)| (code.to_owned(), count)).into()
}

#[tokio::test]
async fn of_a_thousand_guesses_through_two_daemons_five_are_wrong_answers_and_ten_in_all_at_one_address() {
    let two = Two::new().await;

    // the second and the third start have to wait for their pauses
    for ahead in [0, 40] {
        let (_daemons, callers) = two.start_ahead(ahead).await;
        let id = callers[0].start_for(ADDRESS).await;
        let number = callers[0].mailed_number(ADDRESS).await;

        let answers = storm(&callers, &id, &number).await;

        assert_eq!(answers, counts([("exhausted", GUESSES - 5), ("number-incorrect", 5)]), "{ahead} seconds later");
        for caller in &callers {
            caller.check(&id, &number).await.problem(410, "exhausted");
        }
    }
    let (_daemons, callers) = two.start_ahead(120).await;
    let id = callers[0].start_for(ADDRESS).await;
    let number = callers[0].mailed_number(ADDRESS).await;
    assert_eq!(storm(&callers, &id, &number).await, counts([("budget-spent", GUESSES)]));
    for caller in &callers {
        assert_eq!(caller.check(&id, &number).await.problem(429, "budget-spent")["budget"], "address-checks");
    }
}
