//! Who imports whom, how long files are, and that tests do not sleep.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// What a part of `src` may import.
struct Part {
    /// The beginning of its files' paths; the longest that fits counts.
    path: &'static str,
    /// Our own modules, beside its own.
    ours: &'static [&'static str],
    /// Those of `GUARDED`.
    crates: &'static [&'static str],
}

/// Crates that few parts may name: a part that need not change with them is to stay so.
const GUARDED: &[&str] = &[
    "actix",
    "actix_rt",
    "chacha20poly1305",
    "clap",
    "fail",
    "hyper",
    "hyper_util",
    "lettre",
    "metrics",
    "metrics_exporter_prometheus",
    "minijinja",
    "redb",
    "redis",
    "rustix",
    "tokio",
    "tower",
    "tracing_subscriber",
    "warp",
];

const PARTS: &[Part] = &[
    // pure: the rules and the words
    Part { path: "domain", ours: &[], crates: &[] },
    Part { path: "api_key", ours: &[], crates: &[] },
    Part { path: "clock", ours: &["domain"], crates: &[] },
    Part { path: "live", ours: &[], crates: &[] },
    Part { path: "audit", ours: &["clock", "domain"], crates: &[] },
    Part { path: "foreseen", ours: &[], crates: &[] },
    Part { path: "wiped", ours: &[], crates: &[] },
    Part { path: "private_file", ours: &[], crates: &["rustix"] },
    // asked by what a test can spoil
    Part { path: "planted", ours: &[], crates: &["fail"] },
    // the blocking pool, and the bound before it
    Part { path: "passwords", ours: &["clock", "domain"], crates: &["rustix", "tokio"] },
    Part { path: "assertions", ours: &["domain", "live", "store"], crates: &[] },
    Part { path: "messages", ours: &["domain"], crates: &["actix"] },
    // what actors are made of, without an actor in it
    // it counts what asks come to, in the words of the crate `metrics`
    Part { path: "supervision", ours: &[], crates: &["actix", "actix_rt", "metrics", "tokio"] },
    Part { path: "meters", ours: &[], crates: &["metrics", "metrics_exporter_prometheus"] },
    Part {
        path: "store",
        ours: &["clock", "domain", "foreseen", "live", "planted", "private_file", "wiped"],
        crates: &["chacha20poly1305", "fail", "redb", "redis", "tokio"],
    },
    // a start waits, on a thread where that does not matter, for another that makes the ring
    Part { path: "store/ring", ours: &["clock", "private_file", "store"], crates: &["fail", "tokio"] },
    Part { path: "mail", ours: &["domain"], crates: &["fail", "lettre", "minijinja", "tokio"] },
    // the actors: none knows another but by messages
    Part { path: "actors/mod.rs", ours: &[], crates: &[] },
    Part { path: "actors/asks.rs", ours: &["domain", "messages", "supervision"], crates: &["actix", "metrics"] },
    Part {
        path: "actors/store_requests.rs",
        ours: &["domain", "messages", "planted", "store"],
        crates: &["actix", "metrics", "tokio"],
    },
    Part {
        path: "actors/gateway",
        ours: &["assertions", "clock", "domain", "live", "messages", "passwords", "supervision"],
        crates: &["actix", "fail", "tokio"],
    },
    Part { path: "actors/redis_store", ours: &["clock", "messages", "store"], crates: &["actix"] },
    Part { path: "actors/embedded_store", ours: &["messages", "store"], crates: &["actix"] },
    Part {
        path: "actors/mailer",
        ours: &["domain", "live", "mail", "messages", "supervision"],
        crates: &["actix", "actix_rt", "fail", "metrics", "tokio"],
    },
    // what stands around them
    Part {
        path: "http",
        ours: &["audit", "domain", "live", "messages", "supervision", "wiped"],
        crates: &["fail", "hyper", "hyper_util", "metrics", "minijinja", "tokio", "tower", "warp"],
    },
    // `mail` for the words of `tls` alone, `redis` to read its URLs
    Part { path: "config", ours: &["api_key", "assertions", "audit", "domain", "mail", "private_file"], crates: &["redis"] },
    Part { path: "demo", ours: &["api_key", "domain", "private_file"], crates: &[] },
    // `supervision` is told where a panic was, `foreseen` knows which ones are not to be told of
    Part { path: "telemetry", ours: &["config", "foreseen", "supervision"], crates: &["tracing_subscriber"] },
    Part { path: "cli", ours: &["api_key", "app", "config", "domain", "telemetry"], crates: &["clap"] },
    // what the process lets others see of its memory
    Part { path: "cli/serve", ours: &["app", "config", "telemetry"], crates: &["rustix"] },
    Part { path: "cli/check_config", ours: &["clock", "config", "domain", "mail"], crates: &[] },
    Part { path: "cli/key", ours: &["api_key", "config", "domain", "store"], crates: &["clap"] },
    Part { path: "cli/mail", ours: &["clock", "config", "demo", "domain", "mail"], crates: &["clap"] },
    Part {
        path: "app",
        ours: &[
            "actors",
            "assertions",
            "audit",
            "clock",
            "config",
            "demo",
            "domain",
            "http",
            "live",
            "mail",
            "messages",
            "meters",
            "passwords",
            "private_file",
            "store",
            "supervision",
        ],
        crates: &["actix", "actix_rt", "fail", "metrics", "rustix", "tokio"],
    },
    Part {
        path: "testing",
        ours: &["app", "clock", "config", "domain", "messages", "supervision"],
        crates: &["actix", "actix_rt", "tokio"],
    },
    // what takes bytes of others, from one place
    Part { path: "fuzzing", ours: &["config", "domain", "http", "mail", "store"], crates: &["tokio"] },
    Part { path: "lib.rs", ours: &[], crates: &[] },
    Part { path: "fail_points", ours: &[], crates: &["fail", "rustix"] },
    Part { path: "main.rs", ours: &[], crates: &[] },
];

/// The modules of `actors` that are an actor.
const ACTORS: &[&str] = &["embedded_store", "gateway", "mailer", "redis_store"];

const MOST_LINES: usize = 400;
/// Longer files, each with its reason.
const LONG_FILES: &[(&str, &str)] = &[
    ("src/messages.rs", "every arrow of the system on one page"),
    ("tests/it/configuration.rs", "one table of refusals after the other"),
    ("tests/it/conformance.rs", "one suite, which both stores pass"),
    ("tests/it/templates.rs", "each refusal stands with the template that earns it"),
];

#[test]
fn every_module_imports_only_what_its_part_allows() {
    let trespasses: Vec<String> =
        sources("src").iter().flat_map(|file| trespasses_in(&file.path["src/".len()..], &file.text)).collect();

    assert!(trespasses.is_empty(), "{trespasses:#?}");
}

#[test]
fn a_trespass_is_noticed_however_it_is_written() {
    for (path, text, expected) in [
        ("domain/budget.rs", "use crate::clock::Clock;", "clock"),
        ("domain/budget.rs", "use crate::{\n    domain::Moment,\n    store::{redis::{Link, Redis}, Vault},\n};", "store"),
        ("http/front.rs", "fn f() { crate::actors::Gateway::new(); }", "actors"),
        ("http/front.rs", "use actix::prelude::*;", "actix"),
        ("store/vault.rs", "fn f() -> impl actix::Actor {}", "actix"),
        ("mail/smtp.rs", "use tokio::time;\nuse warp::Filter;", "warp"),
        ("actors/gateway.rs", "use super::{asks::MailAsks, mailer::Mailer};", "mailer"),
        ("actors/mailer/crew.rs", "use crate::actors::Gateway;", "actors"),
        ("new_part.rs", "", "no part of the table"),
    ] {
        let [trespass] = &trespasses_in(path, text)[..] else { panic!("{text}: {:?}", trespasses_in(path, text)) };
        assert!(trespass.contains(path) && trespass.contains(expected), "{trespass}");
    }
}

#[test]
fn what_only_looks_like_a_trespass_is_none() {
    for (path, text) in [
        ("domain/budget.rs", "/// See [`crate::store::Vault`].\nuse crate::domain::Moment; // crate::store::Vault"),
        ("actors/redis_store.rs", "use crate::store::redis::{self, Link};\nfn f() { redis::claim_ring(); }"),
        ("actors/mailer/crew.rs", "use super::{MAX_SENDS, settling};"),
        ("domain/budget.rs", "#[cfg(test)]\nmod tests { use crate::clock::system_random; }"),
    ] {
        assert_eq!(trespasses_in(path, text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn the_domain_waits_for_nothing_and_reads_no_clock() {
    for file in sources("src/domain") {
        let words: BTreeSet<&str> = tokens(code_of(&file.text)).into_iter().collect();
        for word in ["async", "await", "Instant", "SystemTime"] {
            assert!(!words.contains(word), "{}: {word}", file.path);
        }
    }
}

/// Where secrets are compared, and what with.
const COMPARISONS: &[(&str, &str)] = &[
    ("src/config/secret.rs", "self.0.as_bytes().ct_eq(other.0.as_bytes())"),
    ("src/domain/access.rs", "key.hash.ct_eq(&presented)"),
    ("src/domain/identity_number.rs", "self.0.as_bytes().ct_eq(other.0.as_bytes())"),
    ("src/domain/transitions/check.rs", "note.number_hash.ct_eq(&request.number_hash)"),
    ("src/domain/transitions/check.rs", "verification.number.as_ref() == Some(&request.number)"),
];

#[test]
fn secrets_are_compared_in_constant_time() {
    let sources = sources("src");
    for (path, comparison) in COMPARISONS {
        let source = sources.iter().find(|source| source.path == *path).unwrap();
        assert!(source.text.contains(comparison), "{path}: {comparison}");
    }
    for source in &sources {
        for plain in ["number_hash ==", "== number_hash", ".hash == presented", "as_str() == presented"] {
            assert!(!source.text.contains(plain), "{}: {plain}", source.path);
        }
    }
}

#[test]
fn no_file_is_longer_than_can_be_proofread() {
    for file in ["src", "tests"].into_iter().flat_map(sources) {
        let is_long = file.text.lines().count() > MOST_LINES;
        let has_reason = LONG_FILES.iter().any(|(path, _)| *path == file.path);
        assert!(!is_long || has_reason, "{} has {} lines", file.path, file.text.lines().count());
    }
}

#[test]
fn tests_await_events_and_never_sleep() {
    for file in sources("tests") {
        let tokens = tokens(&file.text);
        let sleeps = tokens.windows(2).any(|pair| pair == ["sleep", "("]);
        assert!(!sleeps, "{} sleeps", file.path);
    }
}

struct Source {
    /// From the repository's root.
    path: String,
    text: String,
}

fn sources(directory: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join(directory), &mut files);
    let source = |file: PathBuf| Source {
        text: fs::read_to_string(&file).unwrap(),
        path: file.strip_prefix(root).unwrap().to_str().unwrap().to_owned(),
    };
    files.into_iter().map(source).collect()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// What the file at `path`, from `src`, imports against the table.
fn trespasses_in(path: &str, text: &str) -> Vec<String> {
    let fits = |part: &&Part| path.strip_prefix(part.path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '.']));
    let Some(part) = PARTS.iter().filter(fits).max_by_key(|part| part.path.len()) else {
        return vec![format!("{path} is in no part of the table")];
    };
    let tokens = tokens(code_of(text));
    let mut trespasses: BTreeSet<&str> = second_segments(&tokens, "crate").difference(&names(part.ours)).copied().collect();
    let own = path.split(['/', '.']).next().unwrap_or_default();
    if own != "actors" {
        trespasses.remove(own);
    }
    if is_actor_root(path) {
        trespasses.extend(second_segments(&tokens, "super").intersection(&names(ACTORS)));
    }
    trespasses.extend(crates_named(&tokens).difference(&names(part.crates)));
    trespasses.into_iter().map(|what| format!("{path} imports {what}")).collect()
}

/// Whether `super` is `actors` there.
fn is_actor_root(path: &str) -> bool {
    path.strip_prefix("actors/").is_some_and(|file| !file.contains('/') && file != "mod.rs")
}

fn names(list: &[&'static str]) -> BTreeSet<&'static str> {
    list.iter().copied().collect()
}

/// The file without its unit tests, which stand at its end.
fn code_of(text: &str) -> &str {
    text.split_once("#[cfg(test)]").map_or(text, |(code, _)| code)
}

/// Words, `::`, and every other character but spaces, without line comments.
fn tokens(text: &str) -> Vec<&str> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut tokens = Vec::new();
    for line in text.lines() {
        let mut rest = line.split_once("//").map_or(line, |(code, _)| code).trim_start();
        while let Some(first) = rest.chars().next() {
            let length = match first {
                first if is_word(first) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
                ':' if rest.starts_with("::") => 2,
                other => other.len_utf8(),
            };
            tokens.push(&rest[..length]);
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

/// What stands after `head::`, or at the beginning of each branch of `head::{…}`.
fn second_segments<'a>(tokens: &[&'a str], head: &str) -> BTreeSet<&'a str> {
    let starts = tokens.windows(2).enumerate().filter(|(_, pair)| *pair == [head, "::"]);
    starts.flat_map(|(at, _)| branches(&tokens[at + 2..])).collect()
}

fn branches<'a>(tokens: &[&'a str]) -> Vec<&'a str> {
    if tokens.first() != Some(&"{") {
        return tokens.first().copied().into_iter().collect();
    }
    let (mut depth, mut begins, mut found) = (0, false, Vec::new());
    for token in tokens {
        match *token {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," if depth == 1 => {}
            word if begins => found.push(word),
            _ => {}
        }
        begins = depth == 1 && matches!(*token, "{" | ",");
        if depth == 0 {
            break;
        }
    }
    found
}

/// Those of `GUARDED` that are named, as opposed to modules of ours that are called the same.
fn crates_named<'a>(tokens: &[&'a str]) -> BTreeSet<&'a str> {
    let ours = words_imported_from_us(tokens);
    let heads = tokens.windows(2).filter(|pair| pair[1] == "::").map(|pair| pair[0]);
    heads.filter(|head| GUARDED.contains(head) && !ours.contains(head)).collect()
}

fn words_imported_from_us<'a>(tokens: &[&'a str]) -> BTreeSet<&'a str> {
    let starts = tokens.windows(2).enumerate().filter(|(_, pair)| pair[0] == "use" && ["crate", "super"].contains(&pair[1]));
    starts.flat_map(|(at, _)| tokens[at..].iter().copied().take_while(|token| *token != ";")).collect()
}
