//! One connection to [`SmtpSink`](super::smtp_sink::SmtpSink).

use std::{sync::atomic::Ordering, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use fiador::mail::smtp::SmtpTls;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::{
    smtp_script::{Answer, Step},
    smtp_sink::{PASSWORD, Shared, Taken, USER},
};

pub(super) struct Session<'a, S> {
    stream: S,
    /// What was said and not yet listened to.
    unread: Vec<u8>,
    shared: &'a Shared,
    is_secure: bool,
    sender: String,
    recipient: String,
    /// The line of digits in the newest mail.
    number: String,
    /// The command of a transaction that may come.
    awaited: &'static str,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Session<'a, S> {
    pub(super) fn new(stream: S, shared: &'a Shared, is_secure: bool) -> Self {
        Self {
            stream,
            unread: Vec::with_capacity(16 * 1024), // so that what is said at once is read at once
            shared,
            is_secure,
            sender: String::new(),
            recipient: String::new(),
            number: String::new(),
            awaited: "MAIL",
        }
    }

    /// Until the end; `true` when the client is to start TLS.
    pub(super) async fn talk(&mut self, greets: bool) -> Option<bool> {
        if greets {
            self.answer(Step::Greeting, "220 sink").await?;
        }
        loop {
            let line = self.listen().await?;
            self.shared.heard.send_modify(|heard| heard.push(line.clone()));
            let (verb, rest) = line.split_at(line.find([' ', ':']).unwrap_or(line.len()));
            match verb.to_uppercase().as_str() {
                "EHLO" => self.answer(Step::Ehlo, self.offer()).await?,
                "STARTTLS" => {
                    self.answer(Step::StartTls, "220 go ahead").await?;
                    return Some(true);
                }
                "AUTH" => self.log_in(rest.trim()).await?,
                "MAIL" => {
                    rest.clone_into(&mut self.sender);
                    self.recipient.clear();
                    self.number.clear();
                    self.awaited = "RCPT";
                    if !self.answer_positive(Step::Mail, "250 2.1.0 sender ok").await? {
                        self.awaited = "MAIL";
                    }
                }
                verb @ ("RCPT" | "DATA") if verb != self.awaited => {
                    self.say(&format!("503 5.5.1 need {} command", self.awaited)).await?;
                }
                "RCPT" => {
                    rest.clone_into(&mut self.recipient);
                    if self.answer_positive(Step::Rcpt, "250 2.1.5 recipient ok").await? {
                        self.awaited = "DATA";
                    }
                }
                "DATA" => self.take_mail().await?,
                "RSET" => {
                    self.awaited = "MAIL";
                    self.answer(Step::Rset, "250 reset").await?;
                }
                "NOOP" => self.answer(Step::Noop, "250 noop").await?,
                "QUIT" => {
                    self.answer(Step::Quit, "221 bye").await?;
                    return Some(false);
                }
                _ => self.say("500 what").await?,
            }
        }
    }

    fn offer(&self) -> &'static str {
        if self.shared.tls == SmtpTls::StartTls && !self.is_secure {
            "250-sink\r\n250-STARTTLS\r\n250 8BITMIME"
        } else if self.shared.takes_groups.load(Ordering::Relaxed) {
            "250-sink\r\n250-AUTH PLAIN LOGIN\r\n250-PIPELINING\r\n250 8BITMIME"
        } else {
            "250-sink\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME"
        }
    }

    /// Only AUTH PLAIN with an initial response.
    async fn log_in(&mut self, argument: &str) -> Option<()> {
        let right = format!("PLAIN {}", BASE64.encode(format!("\0{USER}\0{PASSWORD}")));
        let reply = if argument == right { "235 2.7.0 welcome" } else { "535 5.7.8 wrong credentials" };
        self.answer(Step::Auth, reply).await
    }

    async fn take_mail(&mut self) -> Option<()> {
        if !self.answer_positive(Step::Data, "354 go on").await? {
            return Some(());
        }
        let mut content = String::new();
        loop {
            let line = self.listen().await?;
            if line == "." {
                break;
            }
            content.push_str(line.strip_prefix('.').unwrap_or(&line));
            content.push_str("\r\n");
        }
        let is_number = |line: &&str| line.len() >= 6 && line.bytes().all(|byte| byte.is_ascii_digit());
        content.lines().find(is_number).unwrap_or_default().clone_into(&mut self.number);
        self.shared.numbers.lock().unwrap().push(self.number.clone());
        let mail = Taken { sender: self.sender.clone(), recipient: self.recipient.clone(), content };
        if !self.shared.script.has(Step::Dot, &self.recipient) {
            self.shared.mails.send(mail).ok()?;
        }
        self.answer(Step::Dot, "250 2.0.0 queued as 4711").await
    }

    async fn listen(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.unread.windows(2).position(|end| end == b"\r\n") {
                let line: Vec<u8> = self.unread.drain(..at + 2).collect();
                return String::from_utf8(line[..at].to_vec()).ok();
            }
            self.hear().await?;
        }
    }

    async fn hear(&mut self) -> Option<()> {
        let heard = self.stream.read_buf(&mut self.unread).await.ok()?;
        (heard > 0).then_some(())
    }

    async fn answer(&mut self, step: Step, usual: &'static str) -> Option<()> {
        self.answer_positive(step, usual).await.map(drop)
    }

    async fn answer_positive(&mut self, step: Step, usual: &'static str) -> Option<bool> {
        let address = if step == Step::Mail { &self.sender } else { &self.recipient };
        match self.shared.script.take(step, address).unwrap_or(Answer::Say(usual)) {
            Answer::Say(reply) => {
                self.say(reply).await?;
                Some(reply.starts_with(['2', '3']))
            }
            Answer::Bytes(bytes) => self.write(bytes).await.map(|()| bytes.starts_with(b"2") || bytes.starts_with(b"3")),
            Answer::Echo(reply) => {
                let reply = format!("{reply} to {}: {}", self.recipient, self.number);
                self.say(&reply).await.map(|()| reply.starts_with(['2', '3']))
            }
            Answer::Forever(text) => self.repeat(text).await,
            Answer::Drip(text) => self.drip(text).await,
            Answer::Late(span) => {
                let until_it_leaves = async { while self.hear().await.is_some() {} };
                if timeout(span, until_it_leaves).await.is_ok() {
                    return None; // the client was less patient
                }
                self.say(usual).await.map(|()| usual.starts_with(['2', '3']))
            }
            Answer::IfToldTogetherWith(command) => {
                if !String::from_utf8_lossy(&self.unread).contains(&format!("{command}\r\n")) {
                    return self.stall().await;
                }
                self.say(usual).await.map(|()| true)
            }
            Answer::AndForget => {
                self.unread.clear();
                self.say(usual).await.map(|()| true)
            }
            Answer::HangUp => None,
            Answer::Stall => self.stall().await,
        }
    }

    async fn say(&mut self, reply: &str) -> Option<()> {
        self.write(format!("{reply}\r\n").as_bytes()).await
    }

    /// Until nobody listens any more.
    async fn repeat(&mut self, text: &str) -> Option<bool> {
        let much = text.repeat(64 * 1024 / text.len());
        loop {
            self.write(much.as_bytes()).await?;
        }
    }

    /// Until the client hangs up.
    async fn stall(&mut self) -> Option<bool> {
        tokio::io::copy(&mut self.stream, &mut tokio::io::sink()).await.ok()?;
        None
    }

    async fn drip(&mut self, text: &str) -> Option<bool> {
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        for byte in text.bytes().cycle() {
            ticks.tick().await;
            self.write(&[byte]).await?;
        }
        None
    }

    async fn write(&mut self, bytes: &[u8]) -> Option<()> {
        self.stream.write_all(bytes).await.ok()?;
        self.stream.flush().await.ok()
    }
}
