//! Configuration files and variables, through what reads and judges them: see [`crate::fuzzing`].

use std::{
    collections::HashSet,
    ffi::OsString,
    fs::File,
    io::Write,
    os::{fd::AsRawFd, unix::ffi::OsStringExt},
    sync::LazyLock,
};

use super::{
    Config, ConfigError, Mail, Store, environment,
    settings::Settings,
    source::Source,
    validation::{Validation, is_loopback},
};

/// What stands in the only file that is read here.
const SECRET: &str = "a secret of nobody";
/// Nothing has this path.
const NOWHERE: &str = "/dev/null/nowhere";

/// A file that has no name, so that it goes with the process.
static SECRET_FILE: LazyLock<File> = LazyLock::new(|| {
    let mut file = tempfile::tempfile().expect("there is a place for temporary files");
    file.write_all(SECRET.as_bytes()).expect("there is room for one line");
    file
});

/// A file, and behind its first NUL, which TOML does not have, variables: `NAME=value`, one a line. What is taken is in range;
/// what is refused is refused in one line; no secret is in either. No path in it is followed.
///
/// # Panics
/// When that does not hold.
pub fn config(data: &[u8]) {
    let has_secret = data.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
    if has_secret {
        return; // a fuzzer sees what it is compared with, and then it is no secret
    }
    let mut parts = data.splitn(2, |&byte| byte == 0);
    let Ok(text) = str::from_utf8(parts.next().unwrap_or_default()) else { return };
    match load(text, variables(parts.next().unwrap_or_default())) {
        Ok(config) => is_in_range(&config),
        Err(error) => is_one_line(&error.to_string()),
    }
}

fn variables(lines: &[u8]) -> Vec<(OsString, OsString)> {
    let pairs = lines.split(|&byte| byte == b'\n').filter_map(|line| {
        let equals = line.iter().position(|&byte| byte == b'=')?;
        Some((OsString::from_vec(line[..equals].to_vec()), OsString::from_vec(line[equals + 1..].to_vec())))
    });
    pairs.collect()
}

/// As [`Config::load_with`], without a file.
fn load(text: &str, variables: Vec<(OsString, OsString)>) -> Result<Config, ConfigError> {
    let source = Source::parse("config.toml".to_owned(), text.to_owned().into())?;
    let mut settings = source.settings()?;
    let overridden = environment::apply(&mut settings, variables)?;
    follow_no_path(&mut settings);
    Validation::new(Some(source), overridden).config(&settings)
}

fn follow_no_path(settings: &mut Settings) {
    let secret_file = format!("/proc/self/fd/{}", SECRET_FILE.as_raw_fd());
    let passwords = settings.smtp.iter_mut().map(|smtp| &mut smtp.password_file);
    lead(passwords.chain([&mut settings.store.redis_password_file]), &secret_file);
    let tls = &mut settings.http.tls;
    let others = [&mut tls.certificate_file, &mut tls.key_file, &mut settings.keyring_file, &mut settings.mail.templates_dir];
    lead(others, NOWHERE);
}

/// Replaces those paths that are given.
fn lead<'a>(paths: impl IntoIterator<Item = &'a mut String>, target: &str) {
    for path in paths.into_iter().filter(|path| !path.is_empty()) {
        target.clone_into(path);
    }
}

fn is_in_range(config: &Config) {
    assert!((1..=300).contains(&config.shutdown_grace.as_secs()));
    for application in &config.applications {
        let limits = application.limits;
        assert!((6..=15).contains(&limits.digits) && (60..=600).contains(&limits.ttl_seconds));
        assert!((1..=10).contains(&limits.wrong_checks) && application.keys.len() <= 2);
        assert!(!application.display_name.contains(char::is_control));
        for (purpose, ttl) in &application.purposes {
            assert!((60..=ttl.longest_seconds).contains(&ttl.default_seconds));
            assert!(ttl.longest_seconds <= purpose.longest_ttl_seconds());
        }
    }
    let mut names = HashSet::new();
    let mut hashes = HashSet::new();
    assert!(config.applications.iter().all(|application| names.insert(&application.name)));
    assert!(config.applications.iter().flat_map(|application| &application.keys).all(|key| hashes.insert(key.hash)));
    assert_eq!(config.demo_sender.is_some(), config.applications.is_empty());
    assert!(config.demo_sender.is_none() || is_loopback(config.listen));
    shows_no_secret(config);
}

fn shows_no_secret(config: &Config) {
    assert!(!format!("{config:?}").contains(SECRET));
    if let Store::Redis(server) = &config.store {
        is_one_line(&server.to_string());
    }
    if let Mail::Smtp(servers) = &config.mail {
        for server in servers {
            is_one_line(&server.host);
        }
    }
}

fn is_one_line(text: &str) {
    assert!(!text.contains(char::is_control), "more than one line: {text:?}");
    assert!(!text.contains(SECRET));
}
