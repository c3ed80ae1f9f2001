//! Users that are made and sign in, and what else is asked meanwhile. Each knows the right reply.

use std::cell::{Cell, RefCell};

use anyhow::{Context, ensure};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

use crate::{
    api::Api,
    connection::Reply,
    drive::Work,
    work::{Contract, Started, Starts, new_address},
};

const PASSWORD: &str = "correct horse battery staple";

/// Somebody who can sign in.
#[derive(Clone, Default)]
pub struct User {
    id: String,
    address: String,
}

/// Makes users, each with an address of its own.
pub struct Creations<'a> {
    api: &'a Api,
    made: RefCell<Vec<User>>,
}

impl<'a> Creations<'a> {
    pub fn new(api: &'a Api, total: usize) -> Self {
        Self { api, made: RefCell::new(vec![User::default(); total]) }
    }

    pub fn into_users(self) -> Vec<User> {
        self.made.into_inner()
    }
}

#[derive(Deserialize)]
struct Created<'a> {
    id: &'a str,
    email: &'a str,
}

impl Work for Creations<'_> {
    fn total(&self) -> usize {
        self.made.borrow().len()
    }

    fn request(&self, nth: usize) -> Vec<u8> {
        let address = new_address();
        let request = self.api.post("/v1/users", &format!(r#"{{"email":"{address}","password":"{PASSWORD}","verify":false}}"#));
        self.made.borrow_mut()[nth].address = address;
        request
    }

    fn take(&self, nth: usize, reply: &Reply<'_>) -> anyhow::Result<()> {
        ensure!(reply.status == 201, "the user was refused");
        let created: Created = serde_json::from_slice(reply.body)?;
        let user = &mut self.made.borrow_mut()[nth];
        ensure!(created.email == user.address, "this is another user");
        created.id.clone_into(&mut user.id);
        Ok(())
    }
}

/// Sign-ins with the right password, of one user after the other.
pub struct SignIns<'a> {
    api: &'a Api,
    users: &'a [User],
    /// Whether there may be too many at once.
    may_be_refused: bool,
    refused: Cell<u64>,
}

impl<'a> SignIns<'a> {
    pub fn new(api: &'a Api, users: &'a [User]) -> Self {
        Self { api, users, may_be_refused: false, refused: Cell::new(0) }
    }

    /// Of which some may be too many: these are answered so.
    pub fn too_many(api: &'a Api, users: &'a [User]) -> Self {
        Self { may_be_refused: true, ..Self::new(api, users) }
    }

    pub fn refused(&self) -> u64 {
        self.refused.get()
    }

    fn take_refusal(&self, reply: &Reply<'_>) -> anyhow::Result<()> {
        let refusal: Refusal = serde_json::from_slice(reply.body)?;
        ensure!(refusal.code == "overloaded", "it was refused for another reason");
        ensure!(reply.retry_after.is_some(), "it does not say when to ask again");
        self.refused.set(self.refused.get() + 1);
        Ok(())
    }
}

#[derive(Deserialize)]
struct Refusal<'a> {
    code: &'a str,
}

#[derive(Deserialize)]
struct SignedIn<'a> {
    user: &'a str,
    email: &'a str,
    assertion: &'a str,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    email: String,
    amr: Vec<String>,
}

impl Work for SignIns<'_> {
    fn total(&self) -> usize {
        usize::MAX
    }

    fn request(&self, nth: usize) -> Vec<u8> {
        let address = &self.users[nth % self.users.len()].address;
        self.api.post("/v1/sign-ins", &format!(r#"{{"email":"{address}","password":"{PASSWORD}"}}"#))
    }

    fn take(&self, nth: usize, reply: &Reply<'_>) -> anyhow::Result<()> {
        if self.may_be_refused && reply.status == 503 {
            return self.take_refusal(reply);
        }
        ensure!(reply.status == 200, "the right password was refused");
        let (user, signed_in) = (&self.users[nth % self.users.len()], serde_json::from_slice::<SignedIn>(reply.body)?);
        ensure!(signed_in.user == user.id && signed_in.email == user.address, "this is another user");
        let claims = claims_of(signed_in.assertion)?;
        let is_of_user = claims.sub == user.id && claims.email == user.address;
        ensure!(is_of_user && claims.amr == ["pwd"], "the assertion says something else");
        Ok(())
    }
}

/// What an assertion says. Whether its signature is right is for the daemon's own tests.
fn claims_of(assertion: &str) -> anyhow::Result<Claims> {
    let mut parts = assertion.split('.');
    let (Some(_), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        anyhow::bail!("this is no JWT");
    };
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?).context("the assertion's claims")
}

/// Starts and reads in turn, as other clients ask them.
pub struct StartsAndReads<'a> {
    api: &'a Api,
    starts: Starts<'a>,
    /// Those that are read.
    there: &'a [Started],
}

impl<'a> StartsAndReads<'a> {
    pub fn new(api: &'a Api, there: &'a [Started]) -> Self {
        Self { api, starts: Starts::new(api, Contract::V1, usize::MAX, None), there }
    }

    fn read(&self, nth: usize) -> &Started {
        &self.there[nth / 2 % self.there.len()]
    }
}

fn is_start(nth: usize) -> bool {
    nth.is_multiple_of(2)
}

impl Work for StartsAndReads<'_> {
    fn total(&self) -> usize {
        usize::MAX
    }

    fn request(&self, nth: usize) -> Vec<u8> {
        if is_start(nth) {
            self.starts.request(nth / 2)
        } else {
            self.api.get(&format!("/v1/verifications/{}", self.read(nth).id))
        }
    }

    fn take(&self, nth: usize, reply: &Reply<'_>) -> anyhow::Result<()> {
        if is_start(nth) {
            return self.starts.take(nth / 2, reply);
        }
        ensure!(reply.status == 200, "the read was refused");
        let read: Created = serde_json::from_slice(reply.body)?;
        let there = self.read(nth);
        ensure!(read.id == there.id && read.email == there.address, "this is another verification");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str, retry_after: Option<u64>) -> Reply<'_> {
        Reply { status, body: body.as_bytes(), retry_after }
    }

    fn signed_in(claims: &str) -> String {
        let assertion = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        format!(r#"{{"user":"usr_a","email":"ada@example.org","assertion":"{assertion}"}}"#)
    }

    #[test]
    fn only_the_users_own_assertion_is_taken_and_a_refusal_only_where_it_may_be() {
        let api = Api::new(([127, 0, 0, 1], 1).into(), "key");
        let users = [User { id: "usr_a".to_owned(), address: "ada@example.org".to_owned() }];
        let own = signed_in(r#"{"sub":"usr_a","email":"ada@example.org","amr":["pwd"]}"#);
        let anothers = signed_in(r#"{"sub":"usr_b","email":"ada@example.org","amr":["pwd"]}"#);
        let busy = r#"{"code":"overloaded"}"#;
        let (all, too_many) = (SignIns::new(&api, &users), SignIns::too_many(&api, &users));

        assert!(all.take(0, &reply(200, &own, None)).is_ok());
        assert!(all.take(0, &reply(200, &anothers, None)).is_err());
        assert!(all.take(0, &reply(202, &own, None)).is_err());
        assert!(all.take(0, &reply(503, busy, Some(1))).is_err());
        assert!(too_many.take(0, &reply(503, busy, None)).is_err());
        assert!(too_many.take(0, &reply(503, busy, Some(1))).is_ok());
        assert_eq!(too_many.refused(), 1);
    }
}
