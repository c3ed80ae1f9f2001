//! One mail over one connection: MAIL, RCPT, DATA and the mail. A server that takes commands in groups is told the first three at
//! once, which is two round trips a mail instead of four. Source: RFC 2920 (PIPELINING).

use std::{
    iter,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lettre::{
    Address,
    address::Envelope,
    transport::smtp::{
        self,
        client::AsyncSmtpConnection,
        commands::{Data, Mail as MailFrom, Rcpt, Rset},
        extension::{Extension, MailBodyParameter, MailParameter},
        response::{Response, Severity},
    },
};
use tokio::time::{Instant, timeout};

use super::{
    answers::{Step, Stop},
    dialog::Aside,
    leash::Stage,
    rendering::Mail,
    reply::{Deadline, Trouble},
    smtp::SmtpLimits,
};

/// How long the first answer may take, at least, on a connection that carried a mail before. It may hang, and another one is soon
/// made.
const FIRST_ANSWER: Duration = Duration::from_secs(3);
/// The same, when it comes with those to a whole group.
const FIRST_ANSWER_OF_A_GROUP: Duration = Duration::from_secs(6);
/// So many times as long as it took for the mail before.
const TIMES_THE_LAST: u32 = 2;
/// How much of that is left by each mail that was answered sooner.
const LEFT_BY_A_MAIL: f64 = 0.9;
/// How long a server may take after a refusal, before the connection is left.
const TIDYING_UP: Duration = Duration::from_secs(2);
/// How long a server may take to say goodbye.
const FAREWELL: Duration = Duration::from_secs(1);
/// A server that lost so many groups in a row may lose all.
const MOST_LOST: u32 = 3;
/// How long it is told none then.
const ONE_BY_ONE: Duration = Duration::from_secs(3600);

/// Whether a server that offers to take commands in groups does; shared by all connections to it.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// How many it lost since it last answered one, and when the newest of these.
    lost: Mutex<(u32, Option<Instant>)>,
}

impl Groups {
    fn are_trusted(&self) -> bool {
        let (lost, newest) = *self.lost();
        lost < MOST_LOST || newest.is_none_or(|at| at.elapsed() >= ONE_BY_ONE)
    }

    fn note(&self, is_lost: bool) {
        let mut lost = self.lost();
        *lost = if is_lost { (lost.0.saturating_add(1), Some(Instant::now())) } else { (0, None) };
    }

    fn lost(&self) -> MutexGuard<'_, (u32, Option<Instant>)> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that may carry mail: encrypted as configured, and logged in.
pub(super) struct Connection {
    smtp: AsyncSmtpConnection,
    limits: SmtpLimits,
    aside: Arc<Aside>,
    groups: Arc<Groups>,
    /// How many answers are still to come to a group of commands.
    unheard: u32,
    /// How long the first answers to the last mails took, the longest, of which each later mail leaves less; none before a mail.
    first_took: Option<Duration>,
}

impl Connection {
    /// With what its stream tells beside lettre, and what is known of its server.
    pub(super) fn new(smtp: AsyncSmtpConnection, aside: Arc<Aside>, groups: Arc<Groups>, limits: SmtpLimits) -> Self {
        Self { smtp, limits, aside, groups, unheard: 0, first_took: None }
    }

    /// One try. `Ok` has the reply to the final dot.
    pub(super) async fn hand_over(&mut self, mail: &Mail, deadline: Deadline<'_>) -> Result<String, Stop> {
        let in_groups = self.aside.takes_groups() && self.groups.are_trusted();
        let result = self.converse(mail, in_groups, deadline).await;
        let first_was_answered = result.as_ref().err().is_none_or(|stop| stop.step != Step::Sender);
        if in_groups && first_was_answered {
            self.groups.note(result.as_ref().is_err_and(Stop::is_without_answer_to_the_envelope));
        }
        result
    }

    async fn converse(&mut self, mail: &Mail, in_groups: bool, deadline: Deadline<'_>) -> Result<String, Stop> {
        deadline.leash.reach(Stage::Speaking);
        let at = |step| move |trouble: Trouble| Stop { step, trouble: trouble.while_sending() };
        let limits = self.limits;

        let mut words = self.words(mail, in_groups).map_err(at(Step::Envelope))?.into_iter();
        let first_limit = self.first_limit();
        fail::fail_point!("smtp.mail.before");
        let begun = Instant::now();
        let reply = deadline.within(first_limit, "MAIL", self.ask(&mut words)).await;
        self.first_took = Some(begun.elapsed().max(self.first_took.unwrap_or_default().mul_f64(LEFT_BY_A_MAIL)));
        fail::fail_point!("smtp.mail.after");
        expect(reply, Severity::PositiveCompletion).map_err(at(Step::Sender))?;

        for _recipient in mail.envelope.to() {
            let reply = deadline.within(limits.command, "RCPT", self.ask(&mut words)).await;
            fail::fail_point!("smtp.rcpt.after");
            expect(reply, Severity::PositiveCompletion).map_err(at(Step::Envelope))?;
        }
        let reply = deadline.within(limits.command, "DATA", self.ask(&mut words)).await;
        fail::fail_point!("smtp.data.after");
        expect(reply, Severity::PositiveIntermediate).map_err(at(Step::Envelope))?;

        // lettre sends the mail, and then the final dot, after the iterator has said that there is no more: one piece is enough
        self.aside.hold_back();
        let end = iter::from_fn(|| {
            fail::fail_point!("smtp.dot.before");
            self.aside.let_go();
            None
        });
        let content = self.smtp.message_iter(iter::once(mail.bytes.as_slice()).chain(end));
        let reply = deadline.within(limits.after_final_dot, "the final dot", content).await;
        fail::fail_point!("smtp.dot.after");
        let reached = if self.aside.holds_back() { Step::Envelope } else { Step::FinalDot };
        expect(reply, Severity::PositiveCompletion).map(|reply| one_line(&reply)).map_err(at(reached))
    }

    /// What is said before the mail: command by command, or all in one, to which as many answers are still to come.
    fn words(&mut self, mail: &Mail, in_groups: bool) -> Result<Vec<String>, Trouble> {
        let sender = MailFrom::new(mail.envelope.from().cloned(), mail_parameters(&self.smtp, mail)?);
        let recipients = mail.envelope.to().iter().map(|recipient| Rcpt::new(recipient.clone(), vec![]).to_string());
        let commands: Vec<_> = iter::once(sender.to_string()).chain(recipients).chain([Data.to_string()]).collect();
        if !in_groups {
            return Ok(commands);
        }
        self.unheard = u32::try_from(commands.len()).unwrap_or(u32::MAX);
        Ok(vec![commands.concat()])
    }

    /// Says the next of `words` and hears the answer. When all are said, as part of a group, it is only heard.
    async fn ask(&mut self, words: &mut impl Iterator<Item = String>) -> Result<Response, smtp::Error> {
        let reply = match words.next() {
            Some(words) => self.smtp.command(words).await,
            None => self.smtp.read_response().await,
        };
        self.unheard = self.unheard.saturating_sub(1);
        reply
    }

    /// How long the first answer to the next mail may take. Servers answer a group when they are through with all of it.
    fn first_limit(&self) -> Duration {
        let (limit, least) = match self.unheard {
            0 => (self.limits.command, FIRST_ANSWER),
            commands => (self.limits.command * commands, FIRST_ANSWER_OF_A_GROUP),
        };
        let again = self.first_took.map(|took| least.max(took * TIMES_THE_LAST));
        again.map_or(limit, |again| again.min(limit))
    }

    /// Makes it ready for the next mail after one that was not taken; whether it is, soon.
    pub(super) async fn reset(&mut self, deadline: Deadline<'_>) -> bool {
        deadline.within(TIDYING_UP, "RSET", self.hear_out_and_reset()).await.is_ok()
    }

    async fn hear_out_and_reset(&mut self) -> Result<(), Trouble> {
        while self.unheard > 0 {
            match self.ask(&mut iter::empty()).await.map_err(Trouble::from) {
                Ok(reply) if reply.code().severity == Severity::PositiveIntermediate => {
                    return Err(Trouble::Broken("it awaits the mail all the same".to_owned()));
                }
                Err(trouble) if trouble.ends_connection() => return Err(trouble),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(self.smtp.command(Rset).await.map(drop)?)
    }

    /// Hangs up. A server that does not answer is hung up on all the same.
    pub(super) async fn say_goodbye(mut self) {
        let _ = timeout(FAREWELL, self.smtp.quit()).await;
    }
}

/// What MAIL must announce. Source: RFC 6531 (SMTPUTF8), RFC 6152 (8BITMIME).
fn mail_parameters(connection: &AsyncSmtpConnection, mail: &Mail) -> Result<Vec<MailParameter>, Trouble> {
    let mut parameters = vec![];
    if has_address_beyond_ascii(&mail.envelope) {
        require(connection, Extension::SmtpUtfEight, "addresses beyond ASCII (SMTPUTF8)")?;
        parameters.push(MailParameter::SmtpUtfEight);
    }
    if !mail.bytes.is_ascii() {
        require(connection, Extension::EightBitMime, "mails beyond ASCII (8BITMIME)")?;
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    Ok(parameters)
}

fn has_address_beyond_ascii(envelope: &Envelope) -> bool {
    let is_beyond = |address: &Address| !AsRef::<str>::as_ref(address).is_ascii();
    envelope.from().is_some_and(is_beyond) || envelope.to().iter().any(is_beyond)
}

fn require(connection: &AsyncSmtpConnection, extension: Extension, what: &'static str) -> Result<(), Trouble> {
    if connection.server_info().supports_feature(extension) { Ok(()) } else { Err(Trouble::Unsupported(what)) }
}

fn expect(reply: Result<Response, Trouble>, severity: Severity) -> Result<Response, Trouble> {
    let reply = reply?;
    if reply.code().severity == severity {
        return Ok(reply);
    }
    Err(Trouble::Broken(format!("an answer out of turn: {}", one_line(&reply))))
}

fn one_line(reply: &Response) -> String {
    let lines: Vec<&str> = reply.message().collect();
    format!("{} {}", reply.code(), lines.join(" "))
}
