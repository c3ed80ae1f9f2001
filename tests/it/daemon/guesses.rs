//! A storm of guesses at one number, through two daemons at once.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};

use crate::kit::{
    caller::Caller,
    daemon::{Daemon, Home},
    http::Reply,
    redis::TestRedis,
};

/// At the first verification; at the later ones of the address fewer do.
const GUESSES: usize = 1_000;
const LATER_GUESSES: usize = 200;
/// Requests on their way to each daemon at the same time.
const AT_ONCE: usize = 100;
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

/// How often each answer came.
type Counts = BTreeMap<String, usize>;

/// The code of the answer to this guess, asked again while there is none. A guess that is no operation of its own may have been
/// charged when its answer was lost: that is told as `lost` besides.
async fn guess(caller: &Caller, id: &str, nth: usize, number: &str) -> Vec<String> {
    let is_operation = nth.is_multiple_of(2);
    let mut codes = Vec::new();
    loop {
        let request = caller.checking(id, number);
        let request = if is_operation { request.header("Idempotency-Key", format!("guess-{nth}")) } else { request };
        let reply = Reply::to(request).await;
        if reply.status != 503 {
            codes.push(reply.json()["code"].as_str().unwrap().to_owned());
            return codes;
        }
        codes.extend((!is_operation).then(|| "lost".to_owned()));
    }
}

/// So many different wrong numbers, every second as an operation of its own, half of them through each daemon.
async fn storm(callers: &[Caller; 2], id: &str, right: &str, count: usize) -> Counts {
    let wrong = (0..).map(|guess| format!("{guess:08}")).filter(|guess| guess != right);
    let guesses: Vec<String> = wrong.take(count).collect();
    let through = |which: usize| {
        let half = guesses.iter().enumerate().filter(move |(nth, _)| nth / 2 % 2 == which);
        let asked: Vec<_> = half.map(|(nth, number)| guess(&callers[which], id, nth, number)).collect();
        stream::iter(asked).buffer_unordered(AT_ONCE).concat()
    };
    let (one, other) = tokio::join!(through(0), through(1));
    let mut counts = Counts::new();
    for code in one.into_iter().chain(other) {
        *counts.entry(code).or_default() += 1;
    }
    counts
}

/// Each guess was answered, this many with the first code and all others with the second.
fn assert_answered(mut counts: Counts, (few, count): (&str, usize), others: &str) {
    let guesses: usize = counts.iter().filter(|(code, _)| *code != "lost").map(|(_, count)| count).sum();
    let lost = counts.remove("lost").unwrap_or_default();
    let found = counts.remove(few).unwrap_or_default();
    assert!(found <= count && found + lost >= count, "{found} times {few}, {lost} answers were lost");
    assert_eq!(counts, [(others.to_owned(), guesses - found)].into());
}

#[tokio::test]
async fn of_a_thousand_guesses_through_two_daemons_five_are_wrong_answers_and_ten_in_all_at_one_address() {
    let two = Two::new().await;

    // the second and the third start have to wait for their pauses
    for (ahead, guesses) in [(0, GUESSES), (40, LATER_GUESSES)] {
        let (_daemons, callers) = two.start_ahead(ahead).await;
        let id = callers[0].start_for(ADDRESS).await;
        let number = callers[0].mailed_number(ADDRESS).await;

        let answers = storm(&callers, &id, &number, guesses).await;

        assert_answered(answers, ("number-incorrect", 5), "exhausted");
        for caller in &callers {
            caller.check(&id, &number).await.problem(410, "exhausted");
        }
    }
    let (_daemons, callers) = two.start_ahead(120).await;
    let id = callers[0].start_for(ADDRESS).await;
    let number = callers[0].mailed_number(ADDRESS).await;
    assert_answered(storm(&callers, &id, &number, LATER_GUESSES).await, ("number-incorrect", 0), "budget-spent");
    for caller in &callers {
        assert_eq!(caller.check(&id, &number).await.problem(429, "budget-spent")["budget"], "address-checks");
    }
}
