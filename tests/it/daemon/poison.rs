//! Mails that spoil their dialogs, new ones and at every retry, and the others beside them.

use std::time::Duration;

use fiador::mail::smtp::SmtpTls;
use futures_util::{StreamExt, stream};
use tokio::time::timeout;

use crate::kit::{
    caller::Caller,
    daemon::{Daemon, Home},
    smtp_sink::{Answer, Excess, POISON, SmtpSink, Step},
};

/// Far less than a mail that hangs takes (20 s), far more than one that does not.
const AT_ONCE: Duration = Duration::from_secs(8);
/// What a mail may wait while others hang that fill the server: until they are given up, and it is reached. Less than a mail
/// hangs that nobody gives up.
const SOON: Duration = Duration::from_secs(16);
/// The most transmissions of one mail that may have been accepted.
const MOST_TRANSMISSIONS: usize = 3;

/// A daemon, its server, one application whose mails spoil their dialogs, and one whose mails do not.
struct Post {
    sink: SmtpSink,
    _home: Home,
    _daemon: Daemon,
    caller: Caller,
    poisoner: Caller,
    others: usize,
}

impl Post {
    async fn by(sink: SmtpSink) -> Self {
        let (home, key) = home_of(&sink);
        let poisoner = home.declare_another_application();
        home.write("config.toml", &format!("{}\nfrom = \"{POISON}@forum.example\"\n", home.read("config.toml")));
        let daemon = home.start().await;
        let (caller, poisoner) = (Caller::of(&daemon, &key), Caller::of(&daemon, &poisoner));
        Self { sink, _home: home, _daemon: daemon, caller, poisoner, others: 0 }
    }

    /// Sends one more mail that spoils nothing, and awaits it.
    async fn another_comes_within(&mut self, patience: Duration) {
        let address = format!("ada{}@example.org", self.others);
        self.others += 1;
        self.caller.start_for(&address).await;
        let mail = timeout(patience, self.sink.next_mail()).await;
        let mail = mail.unwrap_or_else(|_| panic!("{address} waited for {} tries of poison", self.tries_of_poison()));
        assert!(mail.recipient.contains(&address), "{} came before {address}", mail.recipient);
    }

    async fn is_ready(&self) {
        let ready = self.caller.get("/health/ready").await;
        assert_eq!(ready.status, 200, "{}", ready.text);
    }

    /// Whether each of ten more mails comes within `patience`, one after another.
    async fn others_come_within(&mut self, patience: Duration) {
        self.some_come_within(10, patience).await;
    }

    async fn some_come_within(&mut self, others: usize, patience: Duration) {
        for _ in 0..others {
            self.another_comes_within(patience).await;
        }
        self.is_ready().await;
    }

    /// How many dialogs were spoiled or are about to be.
    fn tries_of_poison(&self) -> usize {
        self.sink.heard().iter().filter(|command| command.starts_with("MAIL") && command.contains(POISON)).count()
    }

    /// The most often that one and the same mail was sent to the final dot.
    fn most_transmissions(&self, poisons: usize) -> usize {
        let numbers = self.sink.numbers();
        let of_one = |number: &String| numbers.iter().filter(|other| *other == number).count();
        assert!(numbers.len() >= poisons);
        numbers.iter().map(of_one).max().unwrap_or_default()
    }
}

fn home_of(sink: &SmtpSink) -> (Home, String) {
    Home::with_application(&format!(
        "[[smtp]]\nhost = \"localhost\"\nport = {}\ntls = \"none\"\nfrom = \"no-reply@shop.example\"",
        sink.settings().port,
    ))
}

/// The same with so many poisons of another application, and so many connections.
async fn post_with_few_connections(poisons: usize, connections: usize, excess: Excess) -> Post {
    let post = post_where_poison_hangs().await;
    post.sink.allows(connections, excess);
    start_some(&post.poisoner, POISON, poisons).await;
    post
}

async fn start_some(caller: &Caller, name: &str, count: usize) {
    start_each(caller, (0..count).map(|n| format!("{name}{n}@example.org"))).await;
}

async fn start_each(caller: &Caller, addresses: impl Iterator<Item = String>) {
    let starts = addresses.map(async |address| drop(caller.start_for(&address).await));
    stream::iter(starts).buffer_unordered(16).collect::<Vec<()>>().await;
}

/// A server where poison hangs after the final dot, and what sends it mails.
async fn post_where_poison_hangs() -> Post {
    let sink = SmtpSink::start(SmtpTls::None).await;
    sink.spoils(Step::Dot, Answer::Stall);
    Post::by(sink).await
}

/// Whether each of the mails started while `poisons` spoil their dialogs comes at once, until these were tried `tries` times
/// each.
async fn others_come_at_once(step: Step, answer: Answer, poisons: usize, tries: usize) -> Post {
    let sink = SmtpSink::start(SmtpTls::None).await;
    sink.spoils(step, answer);
    let mut post = Post::by(sink).await;
    start_some(&post.poisoner, POISON, poisons).await;

    while post.others == 0 || post.tries_of_poison() < poisons * tries {
        post.another_comes_within(AT_ONCE).await;
        post.is_ready().await;
    }
    post
}

/// Whether others come soon while ten hang, at each of their tries, at a server that allows ten connections.
async fn others_come_soon_where_ten_fill_the_server(step: Step, excess: Excess) {
    let sink = SmtpSink::start(SmtpTls::None).await;
    sink.spoils(step, Answer::Stall);
    sink.allows(10, excess);
    let mut post = Post::by(sink).await;
    start_some(&post.poisoner, POISON, 10).await;

    while post.others == 0 || post.tries_of_poison() < 10 * 2 {
        post.another_comes_within(AT_ONCE).await;
    }
    post.is_ready().await;
    assert!(post.most_transmissions(10) <= MOST_TRANSMISSIONS);
}

#[tokio::test]
async fn mails_that_break_off_after_the_final_dot_delay_no_others() {
    others_come_at_once(Step::Dot, Answer::HangUp, 40, 2).await;
}

#[tokio::test]
async fn mails_that_hang_delay_no_others_that_are_tried_again() {
    let mut sink = SmtpSink::start(SmtpTls::None).await;
    sink.spoils(Step::Dot, Answer::Stall);
    sink.greylists();
    let (home, key) = home_of(&sink);
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &key);
    start_some(&caller, POISON, 30).await;
    sink.until_heard("DATA", 30 * 2).await; // all of them hang again

    for n in 0..10 {
        let address = format!("ada{n}@example.org");
        caller.start_for(&address).await;
        let mail = timeout(AT_ONCE, sink.next_mail()).await.unwrap_or_else(|_| panic!("{address} waited"));
        assert!(mail.recipient.contains(&address));
    }
}

#[tokio::test]
async fn mails_whose_sender_ends_the_session_delay_no_others() {
    others_come_at_once(Step::Mail, Answer::HangUp, 40, 2).await;
}

#[tokio::test]
async fn mails_that_end_the_session_at_their_recipient_delay_no_others() {
    others_come_at_once(Step::Rcpt, Answer::Say("421 4.3.2 closing"), 40, 2).await;
}

#[tokio::test]
async fn mails_that_hang_after_the_final_dot_delay_no_others() {
    others_come_at_once(Step::Dot, Answer::Stall, 30, 1).await;
}

#[tokio::test]
async fn mails_that_hang_at_their_recipient_delay_no_others_when_they_are_tried_again() {
    others_come_at_once(Step::Rcpt, Answer::Stall, 10, 2).await;
}

#[tokio::test]
async fn a_hundred_mails_that_hang_at_once_delay_no_others_and_stay_bounded() {
    let post = others_come_at_once(Step::Dot, Answer::Stall, 100, 2).await;
    assert!(post.most_transmissions(100) <= MOST_TRANSMISSIONS);
}

#[tokio::test]
async fn mails_that_fill_a_server_which_refuses_more_connections_delay_others_by_seconds() {
    others_come_soon_where_ten_fill_the_server(Step::Dot, Excess::Refused).await;
}

#[tokio::test]
async fn mails_that_fill_a_server_which_leaves_more_connections_waiting_delay_others_by_seconds() {
    others_come_soon_where_ten_fill_the_server(Step::Dot, Excess::LeftWaiting).await;
}

#[tokio::test]
async fn a_server_that_allows_few_connections_is_not_shut_out_by_those_that_are_idle() {
    let sink = SmtpSink::start(SmtpTls::None).await;
    sink.allows(3, Excess::Refused);
    let mut post = Post::by(sink).await;
    start_some(&post.caller, "ada", 30).await;

    for count in 0..30 {
        timeout(SOON, post.sink.next_mail()).await.unwrap_or_else(|_| panic!("{count} of 30 came"));
    }
    post.is_ready().await;
}

#[tokio::test]
async fn hundreds_of_mails_that_hang_delay_no_others_of_another_application() {
    let mut post = post_where_poison_hangs().await;
    start_some(&post.poisoner, POISON, 400).await;
    post.others_come_within(AT_ONCE).await;
}

#[tokio::test]
async fn hundreds_of_mails_that_hang_at_one_domain_delay_no_others_of_their_application() {
    let mut post = post_where_poison_hangs().await;
    start_each(&post.caller, (0..400).map(|n| format!("{POISON}{n}@hanging.example"))).await;
    post.others_come_within(AT_ONCE).await;
}

#[tokio::test]
async fn hundreds_of_mails_that_hang_delay_no_others_of_their_application_and_domain() {
    let mut post = post_where_poison_hangs().await;
    start_some(&post.caller, POISON, 400).await;
    post.others_come_within(AT_ONCE).await;
}

#[tokio::test]
async fn mails_that_hang_at_hundreds_of_domains_delay_no_others_of_any_application() {
    let mut post = post_where_poison_hangs().await;
    start_each(&post.poisoner, (0..240).map(|n| format!("{POISON}@hanging{n}.example"))).await;
    post.others_come_within(AT_ONCE).await;
    start_each(&post.caller, (0..240).map(|n| format!("{POISON}@hanging{n}.example"))).await;
    post.others_come_within(AT_ONCE).await;
}

#[tokio::test]
async fn hundreds_of_mails_that_hang_delay_no_others_that_are_tried_again() {
    let mut post = post_where_poison_hangs().await;
    post.sink.greylists();
    start_some(&post.poisoner, POISON, 300).await;
    post.others_come_within(AT_ONCE).await;
}

#[tokio::test]
async fn hundreds_of_mails_that_hang_where_few_connections_are_allowed_delay_others_by_seconds() {
    for (connections, excess) in [(10, Excess::LeftWaiting), (3, Excess::Refused)] {
        let mut post = post_with_few_connections(150, connections, excess).await;
        post.others_come_within(SOON).await;
    }
}

#[tokio::test]
async fn mails_that_hang_where_one_connection_is_allowed_delay_others_by_seconds() {
    for excess in [Excess::Refused, Excess::LeftWaiting] {
        let mut post = post_with_few_connections(30, 1, excess).await;
        post.some_come_within(2, SOON * 2).await; // each that hangs has its turn too
    }
}

#[tokio::test]
async fn a_server_that_is_slow_at_each_sender_gets_all_mails_over_one_connection() {
    let sink = SmtpSink::start(SmtpTls::None).await;
    let mut post = Post::by(sink).await;
    for _ in 0..2 {
        post.sink.script(Step::Mail, Answer::Late(Duration::from_secs(4)));
        post.another_comes_within(AT_ONCE).await;
    }
    assert_eq!(post.sink.connections(), 2, "one was a probe");
}

#[tokio::test]
async fn a_connection_that_hangs_after_a_mail_delays_the_next_one_by_seconds() {
    let sink = SmtpSink::start(SmtpTls::None).await;
    let mut post = Post::by(sink).await;
    post.another_comes_within(AT_ONCE).await;
    post.sink.script(Step::Mail, Answer::Stall);
    post.another_comes_within(Duration::from_secs(6)).await;
}
