//! What was said to callers, kept until all secrets are known.

use std::collections::BTreeSet;

use crate::kit::{canaries::Canaries, http::Reply};

#[derive(Default)]
pub struct Witness {
    pub canaries: Canaries,
    /// The codes of the problems among the replies.
    pub codes: BTreeSet<String>,
    said: Vec<Said>,
}

struct Said {
    place: String,
    bytes: Vec<u8>,
    /// The names of the secrets that belong there.
    allowed: Vec<String>,
}

impl Witness {
    /// Keeps the reply, head and body; it may repeat the secrets of these names, and no other.
    pub fn note(&mut self, place: &str, reply: Reply, allowed: &[&str]) -> Reply {
        let is_problem = reply.header("content-type") == Some("application/problem+json");
        if is_problem {
            self.codes.insert(reply.json()["code"].as_str().unwrap().to_owned());
        }
        let bytes = format!("{:?}\n{}", reply.headers, reply.text).into_bytes();
        self.keep(place, bytes, allowed);
        reply
    }

    pub fn keep(&mut self, place: &str, bytes: Vec<u8>, allowed: &[&str]) {
        let allowed = allowed.iter().map(ToString::to_string).collect();
        self.said.push(Said { place: place.to_owned(), bytes, allowed });
    }

    /// Fails when anything that was kept has a secret that does not belong there, or lacks one that does.
    pub fn scan(&self) {
        let scanner = self.canaries.scanner();
        for Said { place, bytes, allowed } in &self.said {
            scanner.assert_none_in(place, bytes, allowed);
            let found = scanner.found_in(bytes);
            let missing = allowed.iter().find(|name| !found.iter().any(|(found, _)| found == name));
            assert_eq!(missing, None, "{place}: what is there is not found: {}", String::from_utf8_lossy(bytes));
        }
    }
}
