//! What is asked: starts, checks, wrong checks, and the old contract's calls. Each knows the right reply.

use std::{
    cell::RefCell,
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::ensure;
use serde::Deserialize;

use crate::{api::Api, connection::Reply, drive::Work, sink::Post};

/// Wrong checks that a verification takes here; one more would end it.
const WRONG_CHECKS: usize = 4;
const WRONG_NUMBER: &str = "00000000";

/// Addresses are never used twice.
static NEXT_ADDRESS: AtomicU64 = AtomicU64::new(1_000_000);

pub fn new_address() -> String {
    format!("u{}@example.org", NEXT_ADDRESS.fetch_add(1, Ordering::Relaxed))
}

/// The token that is deposited for an address.
fn token_of(address: &str) -> String {
    format!("session of {address}")
}

/// A verification that was started.
#[derive(Clone)]
pub struct Started {
    pub address: String,
    pub id: String,
}

/// How starts look on the wire.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Contract {
    /// `POST /v1/verifications`, `POST /v1/verifications/{id}/check`
    V1,
    /// `POST /registrar`, `POST /validar`
    Old,
}

/// Starts, each for an address of its own.
pub struct Starts<'a> {
    api: &'a Api,
    contract: Contract,
    total: usize,
    /// Where the mails arrive, if they are to be waited for.
    post: Option<&'a Post>,
    sent: RefCell<Vec<Started>>,
}

impl<'a> Starts<'a> {
    pub fn new(api: &'a Api, contract: Contract, total: usize, post: Option<&'a Post>) -> Self {
        Self { api, contract, total, post, sent: RefCell::default() }
    }

    /// Those that were answered.
    pub fn into_started(self) -> Vec<Started> {
        self.sent.into_inner().into_iter().filter(|started| !started.id.is_empty()).collect()
    }
}

#[derive(Deserialize)]
struct Opened<'a> {
    id: &'a str,
    status: &'a str,
    email: &'a str,
}

impl Work for Starts<'_> {
    fn total(&self) -> usize {
        self.total
    }

    async fn admit(&self) {
        if let Some(post) = self.post {
            post.wait_for_room().await;
        }
    }

    fn request(&self, nth: usize) -> Vec<u8> {
        let address = new_address();
        let token = token_of(&address);
        let request = match self.contract {
            Contract::V1 => self.api.post("/v1/verifications", &format!(r#"{{"email":"{address}","token":"{token}"}}"#)),
            Contract::Old => self.api.post("/registrar", &format!(r#"{{"correo":"{address}","token":"{token}"}}"#)),
        };
        let mut sent = self.sent.borrow_mut();
        if sent.len() <= nth {
            sent.resize(nth + 1, Started { address: String::new(), id: String::new() });
        }
        sent[nth].address = address;
        request
    }

    fn take(&self, nth: usize, reply: &Reply<'_>) -> anyhow::Result<()> {
        let started = &mut self.sent.borrow_mut()[nth];
        if self.contract == Contract::Old {
            ensure!(reply.status == 200 && reply.body == b"correo y token registrados", "the registration was refused");
            "registered".clone_into(&mut started.id);
            return Ok(());
        }
        ensure!(reply.status == 202, "the start was refused");
        let opened: Opened = serde_json::from_slice(reply.body)?;
        ensure!(opened.status == "pending" && opened.email == started.address, "this is not what was started");
        opened.id.clone_into(&mut started.id);
        Ok(())
    }
}

/// Checks with the number that was mailed, each verification once.
pub struct Checks<'a> {
    api: &'a Api,
    contract: Contract,
    /// With its number.
    verifications: Vec<(Started, String)>,
    /// Whether it is the bare reference, which releases the same token to all.
    is_bare: bool,
}

impl<'a> Checks<'a> {
    /// # Errors
    /// When a mail is missing or shows no number.
    pub fn new(
        api: &'a Api,
        contract: Contract,
        started: Vec<Started>,
        numbers: &HashMap<String, String>,
    ) -> anyhow::Result<Self> {
        let with_number = |started: Started| {
            let number = numbers.get(&started.address).cloned().unwrap_or_default();
            ensure!(!number.is_empty(), "no mail with a number for {}", started.address);
            Ok((started, number))
        };
        let verifications = started.into_iter().map(with_number).collect::<anyhow::Result<_>>()?;
        Ok(Self { api, contract, verifications, is_bare: false })
    }

    /// Of the bare reference, which mails nothing and takes any number.
    pub fn of_bare(api: &'a Api, started: Vec<Started>) -> Self {
        let verifications = started.into_iter().map(|started| (started, "12345678".to_owned())).collect();
        Self { api, contract: Contract::V1, verifications, is_bare: true }
    }
}

#[derive(Deserialize)]
struct Approved<'a> {
    status: Option<&'a str>,
    token: &'a str,
}

impl Work for Checks<'_> {
    fn total(&self) -> usize {
        self.verifications.len()
    }

    fn request(&self, nth: usize) -> Vec<u8> {
        let (started, number) = &self.verifications[nth];
        match self.contract {
            Contract::V1 => check(self.api, &started.id, number),
            Contract::Old => self.api.post("/validar", &format!(r#"{{"numero":"{number}"}}"#)),
        }
    }

    fn take(&self, nth: usize, reply: &Reply<'_>) -> anyhow::Result<()> {
        ensure!(reply.status == 200, "the right number was refused");
        let approved: Approved = serde_json::from_slice(reply.body)?;
        ensure!(self.contract == Contract::Old || approved.status == Some("approved"), "it is not approved");
        let is_its_own = approved.token == token_of(&self.verifications[nth].0.address);
        ensure!(is_its_own || self.is_bare, "the token is another one");
        Ok(())
    }
}

/// Wrong checks, several of each verification.
pub struct WrongChecks<'a> {
    api: &'a Api,
    started: &'a [Started],
}

impl<'a> WrongChecks<'a> {
    pub fn new(api: &'a Api, started: &'a [Started]) -> Self {
        Self { api, started }
    }
}

#[derive(Deserialize)]
struct Refused<'a> {
    code: &'a str,
}

impl Work for WrongChecks<'_> {
    fn total(&self) -> usize {
        self.started.len() * WRONG_CHECKS
    }

    fn request(&self, nth: usize) -> Vec<u8> {
        check(self.api, &self.started[nth % self.started.len()].id, WRONG_NUMBER)
    }

    fn take(&self, _: usize, reply: &Reply<'_>) -> anyhow::Result<()> {
        ensure!(reply.status == 422, "a wrong number was not refused as one");
        let refused: Refused = serde_json::from_slice(reply.body)?;
        ensure!(refused.code == "number-incorrect", "it was refused for another reason");
        Ok(())
    }
}

fn check(api: &Api, id: &str, number: &str) -> Vec<u8> {
    api.post(&format!("/v1/verifications/{id}/check"), &format!(r#"{{"number":"{number}"}}"#))
}
