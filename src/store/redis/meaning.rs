//! What the errors of a server mean to who runs it: what is so, and what mends it.

use redis::{ErrorKind, RedisError};

/// Whether the server answered, though not with what was asked for.
pub(super) fn is_an_answer(error: &RedisError) -> bool {
    error.code().is_some() || error.kind() == ErrorKind::AuthenticationFailed
}

/// Without what the server said.
pub(super) fn meaning(error: &RedisError) -> &'static str {
    match error.code() {
        _ if error.kind() == ErrorKind::AuthenticationFailed => REFUSES_LOGIN,
        None => "Redis is not reached",
        Some("NOAUTH" | "WRONGPASS") => REFUSES_LOGIN,
        Some("READONLY") => "Redis refuses writes, as it is a read-only replica; point store.redis_url at the master",
        Some("OOM") => "Redis refuses writes, as its memory is full; raise maxmemory on the server",
        Some("MISCONF") => "Redis refuses writes, as it cannot save to its disk; its own log says why",
        Some("NOREPLICAS") => "Redis refuses writes, as it has fewer replicas than min-replicas-to-write asks for",
        Some("MASTERDOWN") => "Redis is a replica that has lost its master; point store.redis_url at the master",
        Some("NOPERM") => "Redis does not let its user do what is needed; README.md has the rights that it is to have",
        Some("LOADING") => "Redis is loading its data; it answers when it has them all",
        Some("BUSY") => "Redis is busy with a script of somebody's",
        Some(_) => "Redis refuses a request",
    }
}

const REFUSES_LOGIN: &str = "Redis refuses the login; mend the user in store.redis_url, or its password";

#[cfg(test)]
mod tests {
    use redis::{ServerErrorKind, make_extension_error};

    use super::*;

    #[test]
    fn whoever_runs_the_server_reads_what_is_so_and_what_mends_it() {
        let said = |code: &str| meaning(&make_extension_error(code.to_owned(), None));
        for (code, mend) in [
            ("NOAUTH", "store.redis_url"),
            ("WRONGPASS", "password"),
            ("OOM", "maxmemory"),
            ("MISCONF", "its own log"),
            ("NOREPLICAS", "min-replicas-to-write"),
        ] {
            assert!(said(code).contains(mend), "{code}: {}", said(code));
        }
        for (kind, mend) in [
            (ServerErrorKind::ReadOnly, "the master"),
            (ServerErrorKind::MasterDown, "the master"),
            (ServerErrorKind::NoPerm, "README.md"),
            (ServerErrorKind::BusyLoading, "when it has them all"),
        ] {
            let meaning = meaning(&(ErrorKind::Server(kind), "said").into());
            assert!(meaning.contains(mend), "{kind:?}: {meaning}");
        }
        assert_eq!(said("WHATEVER"), "Redis refuses a request");
        assert_eq!(meaning(&std::io::Error::other("cable").into()), "Redis is not reached");
    }
}
