//! Configuration and command line: what is written in `config.toml` holds, and what is wrong is refused in one line.

mod https;

use std::{collections::BTreeSet, ffi::OsString, fs, os::unix::fs::PermissionsExt, path::Path, thread, time::Duration};

use fiador::{
    api_key::{ApiKey, key_hash_to_text},
    config::{Config, ConfigError, Log, LogFormat, Mail, SmtpTls, Store},
    demo,
    domain::{Allowance, ApiKeyGrant, EmailAddress, Limits, Purpose},
};

use crate::kit::place::Place;

/// Stands where a secret could be mistaken for something else; no refusal may show it.
const CANARY: &str = "fdr_CANARYCANARYCANARYCANARYCANARYCANARYCANARY0";
const HASH: &str = "sha256:f3f7e0c822e2169f14e342f1085ef62b5d9acea0cf18a8e5361f627f90d4f7e6";

fn repository_config() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config.toml")).unwrap()
}

/// `config.toml` with its examples in use: a line that begins with # and no space is one.
fn uncommented_config() -> String {
    let uncomment = |line: &str| match line.strip_prefix('#') {
        Some(example) if !example.is_empty() && !example.starts_with(' ') => format!("{example}\n"),
        _ => format!("{line}\n"),
    };
    repository_config().lines().map(uncomment).collect()
}

fn application(more: &str) -> String {
    format!("[[applications]]\nname = \"shop\"\nkeys = [{{ hash = \"{HASH}\" }}]\n{more}\n")
}

fn with_inbox(more: &str) -> String {
    format!("[dev]\ninbox = true\n{}", application(more))
}

/// As [`with_inbox`], with `more` said of the key.
fn with_key(more: &str) -> String {
    with_inbox("").replace("\" }]", &format!("\", {more} }}]"))
}

fn with_smtp(more: &str) -> String {
    format!("[[smtp]]\nhost = \"smtp.example.org\"\nfrom = \"a@example.org\"\n{more}\n{}", application(""))
}

// ---------------------------------------------------------------- the file in the repository

#[test]
fn the_repositorys_file_says_the_built_in_defaults() {
    assert_eq!(Place::with_config(&repository_config()).load().unwrap(), Config::default());
}

#[test]
fn the_repositorys_examples_load_when_they_are_uncommented() {
    let place = Place::new();
    let password = place.write("smtp-password", "hunter2\n", 0o600);
    let text = uncommented_config().replace("/etc/fiador/smtp-password", password.to_str().unwrap());
    place.write("config.toml", &text, 0o644);

    let config = place.load().unwrap();

    let Mail::Smtp(servers) = &config.mail else { panic!("mails go to the SMTP server") };
    let [smtp] = servers.as_slice() else { panic!("there is one block") };
    assert_eq!((smtp.host.as_str(), smtp.port, smtp.tls), ("smtp.example.org", 587, SmtpTls::StartTls));
    let login = smtp.login.as_ref().unwrap();
    assert_eq!((login.user.as_str(), login.password.expose()), ("fiador", "hunter2"));
    assert_eq!(config.demo_sender, None);
    let [shop] = config.applications.as_slice() else { panic!("one application is declared") };
    assert_eq!((shop.name.as_str(), shop.display_name.as_str()), ("shop", "The Shop"));
    assert_eq!((shop.from.as_str(), shop.limits), ("no-reply@shop.example.org", shown_limits()));
    let shown = [("confirm-address", 86_400, 86_400), ("invite", 300, 600)];
    let declared = shop.purposes.iter().map(|(word, ttl)| (word.as_str(), ttl.default_seconds, ttl.longest_seconds));
    assert_eq!(declared.collect::<Vec<_>>(), shown);
}

fn shown_limits() -> Limits {
    Limits { starts: Some(Allowance::hourly(100, 1_000)), ..Limits::default() }
}

/// The keys there are in the section that ends `text`, as a refusal lists them.
fn keys_allowed_after(text: &str) -> BTreeSet<String> {
    let refusal = Place::with_config(&format!("{text}\nno_such_key = 1\n")).load().unwrap_err();
    let ConfigError::UnknownKey { allowed, .. } = refusal else { panic!("{refusal}") };
    allowed.split(", ").map(str::to_owned).collect()
}

fn keys_of(value: &toml::Value) -> BTreeSet<String> {
    value.as_table().unwrap().keys().cloned().collect()
}

#[test]
fn the_repositorys_file_shows_every_key_there_is() {
    let shown: toml::Value = toml::from_str(&uncommented_config()).unwrap();

    assert_eq!(keys_allowed_after(""), keys_of(&shown));
    for section in ["http", "store", "mail", "dev", "audit", "log", "metrics", "shutdown"] {
        assert_eq!(keys_allowed_after(&format!("[{section}]")), keys_of(&shown[section]), "{section}");
    }
    assert_eq!(keys_allowed_after("[http.tls]"), keys_of(&shown["http"]["tls"]));
    let (smtp, application) = (&shown["smtp"][0], &shown["applications"][0]);
    assert_eq!(keys_allowed_after("[[smtp]]"), keys_of(smtp));
    assert_eq!(keys_allowed_after("[[applications]]"), keys_of(application));
    assert_eq!(keys_allowed_after("[[applications]]\n[applications.limits]"), keys_of(&application["limits"]));
    assert_eq!(keys_allowed_after("[[applications]]\n[[applications.keys]]"), keys_of(&application["keys"][0]));
    let purpose = keys_of(&application["purposes"]["confirm-address"]);
    assert_eq!(keys_allowed_after("[[applications]]\n[applications.purposes.invite]"), purpose);
}

/// The variables of the keys in `table`, each with the text of its value.
fn variables(path: &str, table: &toml::Table) -> Vec<(String, String)> {
    let of_key = |(key, value): (&String, &toml::Value)| {
        let variable = format!("{path}__{}", key.to_uppercase());
        match value {
            toml::Value::Table(section) => variables(&variable, section),
            toml::Value::Array(elements) => {
                assert!(elements.is_empty(), "{variable}");
                vec![(variable, String::new())]
            }
            value => vec![(variable, value.as_str().map_or_else(|| value.to_string(), str::to_owned))],
        }
    };
    table.iter().flat_map(of_key).collect()
}

#[test]
fn every_key_outside_the_blocks_has_a_variable() {
    let place = Place::with_config("");
    let variables = variables("FIADOR", &toml::from_str(&repository_config()).unwrap());

    assert!(variables.len() > 15);
    for (variable, text) in variables {
        let environment = [(OsString::from(&variable), OsString::from(text))];
        assert_eq!(Config::load_with(Some(&place.path("config.toml")), environment).unwrap(), Config::default(), "{variable}");
    }
}

// ---------------------------------------------------------------- where values come from

#[test]
fn the_environment_goes_before_the_file() {
    let file = "data_dir = \"from-the-file\"\n[http]\nlisten = \"127.0.0.1:1\"\n[shutdown]\ngrace_seconds = 7\n";
    let place = Place::with_config(&format!("{file}{}", application("")));
    let secret = place.write("secret", "hunter2", 0o600);
    let environment = [
        ("FIADOR__DATA_DIR", "from-the-environment"),
        ("FIADOR__HTTP__LISTEN", "[::]:0"),
        ("FIADOR__HTTP__ALLOW_PLAINTEXT", "true"),
        ("FIADOR__STORE__REDIS_URL", "redis://127.0.0.1"),
        ("FIADOR__STORE__REDIS_PASSWORD_FILE", secret.to_str().unwrap()),
        ("FIADOR__DEV__INBOX", "true"),
        ("FIADOR__LOG__LEVEL", "warn"),
        ("FIADOR__LOG__FORMAT", "json"),
        ("HOME", "/"),
    ];

    let environment = environment.map(|(name, text)| (name.into(), text.into()));
    let config = Config::load_with(Some(&place.path("config.toml")), environment).unwrap();

    assert_eq!(config.data_dir, Path::new("from-the-environment"));
    assert_eq!(config.listen, "[::]:0".parse().unwrap());
    let Store::Redis(server) = &config.store else { panic!("the variable names a server") };
    assert_eq!(server.connection_info().redis_settings().password(), Some("hunter2"));
    assert_eq!(config.mail, Mail::DevInbox);
    assert_eq!(config.log, Log { level: tracing::Level::WARN, format: LogFormat::Json });
    assert_eq!(config.shutdown_grace, Duration::from_secs(7));
}

#[test]
fn without_a_file_the_defaults_hold_and_a_named_file_must_be_there() {
    let place = Place::new();

    assert!(place.fiador(&["check-config"], &[]).status.success());
    assert!(place.refusal(&["check-config", "--config", "gone.toml"], &[]).contains("gone.toml: cannot be read: No such file"));
}

#[test]
fn variables_that_do_not_fit_are_refused_by_name() {
    for (variable, text, expected) in [
        ("FIADOR__HTTP__LISTENS", CANARY, "FIADOR__HTTP__LISTENS is unknown; the variables are FIADOR__DATA_DIR,"),
        ("FIADOR__SMTP__HOST", CANARY, "FIADOR__SMTP__HOST is unknown"),
        ("FIADOR__HTTP__LISTEN", CANARY, "FIADOR__HTTP__LISTEN: http.listen must be an IP address and a port"),
        ("FIADOR__DEV__INBOX", CANARY, "FIADOR__DEV__INBOX: dev.inbox must be true or false"),
        ("FIADOR__SHUTDOWN__GRACE_SECONDS", CANARY, "FIADOR__SHUTDOWN__GRACE_SECONDS: shutdown.grace_seconds must be a whole"),
        ("FIADOR__SHUTDOWN__GRACE_SECONDS", "301", "FIADOR__SHUTDOWN__GRACE_SECONDS: shutdown.grace_seconds must be 1 to 300"),
        ("FIADOR__STORE__REDIS_URL", CANARY, "FIADOR__STORE__REDIS_URL: store.redis_url must be empty"),
        ("FIADOR__DATA_DIR", "", "FIADOR__DATA_DIR: data_dir must name a directory"),
    ] {
        let line = Place::new().refusal(&["check-config"], &[(variable, text)]);
        assert!(line.contains(expected), "{line}");
    }
}

// ---------------------------------------------------------------- what is refused

#[test]
fn what_is_not_toml_or_not_a_key_or_of_another_type_is_refused_with_its_line() {
    for (text, expected) in [
        ("a = = 1".to_owned(), "config.toml:1: is not TOML"),
        (format!("data_dir = \"{CANARY}"), "config.toml:1: is not TOML"),
        ("data_dir = \"a\"\ndata_dir = \"b\"".to_owned(), "config.toml:2: is not TOML: duplicate key"),
        ("datadir = 1".to_owned(), "config.toml:1: datadir is unknown; allowed here: data_dir, keyring_file, http, compat,"),
        ("\n[http]\nlisen = 1".to_owned(), "config.toml:3: http.lisen is unknown; allowed here: listen, allow_plaintext"),
        (format!("[[smtp]]\npassword = \"{CANARY}\""), "config.toml:2: smtp[0].password is unknown; allowed here: host, port,"),
        (with_inbox("scopes = []"), "applications[0].scopes is unknown"),
        (
            with_inbox("purposes = { a = { ttl = 60 } }"),
            "purposes.a.ttl is unknown; allowed here: ttl_seconds, longest_ttl_seconds",
        ),
        (with_inbox("limits = { digit = 8 }"), "applications[0].limits.digit is unknown; allowed here: digits, ttl_seconds,"),
        ("\"a\\nb\\u001b\" = 1".to_owned(), "config.toml:1: a\\nb\\u{1b} is unknown"),
        ("http = 1".to_owned(), "http must be a table"),
        ("[http]\nlisten = 8420".to_owned(), "config.toml:2: http.listen must be a string"),
        (format!("[dev]\ninbox = \"{CANARY}\""), "config.toml:2: dev.inbox must be true or false"),
        ("[dev]\ninbox = 1".to_owned(), "dev.inbox must be true or false"),
        (format!("[shutdown]\ngrace_seconds = \"{CANARY}\""), "config.toml:2: shutdown.grace_seconds must be a whole number"),
        ("[shutdown]\ngrace_seconds = 5.5".to_owned(), "shutdown.grace_seconds must be a whole number"),
        ("[smtp]\nhost = \"a\"".to_owned(), "smtp must be a list: each of its blocks begins with [[smtp]]"),
        ("[[smtp]]\nport = 25".to_owned(), "config.toml:1: smtp[0].host must be given"),
        ("[dev]\ninbox = true\n[[applications]]\nname = \"a\"".to_owned(), "applications[0].keys must be one or two keys"),
        (
            format!("[[applications]]\nname = \"a\"\nkeys = [\"{CANARY}\"]"),
            "applications[0].keys[0] must be a table such as { hash",
        ),
    ] {
        let line = Place::with_config(&text).refusal(&["check-config"], &[]);
        assert!(line.starts_with("fiador: config.toml:") && line.contains(expected), "{line}");
    }
}

#[test]
fn values_that_are_not_allowed_are_refused_with_what_is() {
    for (text, expected) in [
        ("data_dir = \"\"".to_owned(), "config.toml:1: data_dir must name a directory"),
        ("[http]\nlisten = \"localhost:8420\"".to_owned(), "config.toml:2: http.listen must be an IP address and a port"),
        (format!("[store]\nredis_url = \"http://{CANARY}\""), "store.redis_url must be empty (the embedded store) or redis://"),
        (format!("[store]\nredis_url = \"redis://:{CANARY}@host/x\""), "config.toml:2: store.redis_url must be empty"),
        (format!("[store]\nredis_url = \"rediss://:{CANARY}@host#insecure\""), "store.redis_url must be empty"),
        ("[log]\nlevel = \"loud\"".to_owned(), "log.level must be error, warn, info, debug or trace"),
        ("[log]\nformat = \"xml\"".to_owned(), "log.format must be text or json"),
        (
            "[metrics]\nlisten = \"here\"".to_owned(),
            "config.toml:2: metrics.listen must be empty (off) or an IP address and a port",
        ),
        ("[shutdown]\ngrace_seconds = 0".to_owned(), "config.toml:2: shutdown.grace_seconds must be 1 to 300"),
        ("[assertions]\nissuer = \"\"".to_owned(), "config.toml:2: assertions.issuer must be 1 to 255 bytes without control"),
        ("[assertions]\nissuer = \"a\\n\"".to_owned(), "config.toml:2: assertions.issuer must be 1 to 255 bytes without control"),
        (format!("[assertions]\nissuer = \"{}\"", "a".repeat(256)), "assertions.issuer must be 1 to 255 bytes without control"),
        ("[assertions]\nttl_seconds = 59".to_owned(), "config.toml:2: assertions.ttl_seconds must be 60 to 600"),
        ("[assertions]\nttl_seconds = 601".to_owned(), "config.toml:2: assertions.ttl_seconds must be 60 to 600"),
        (with_smtp("port = 0"), "config.toml:4: smtp[0].port must be 1 to 65535"),
        (with_smtp("port = 65536"), "smtp[0].port must be 1 to 65535"),
        (with_smtp("tls = \"opportunistic\""), "smtp[0].tls must be implicit, starttls or none"),
        (with_smtp("[[smtp]]\nhost = \"a\"\nport = 0"), "config.toml:6: smtp[1].port must be 1 to 65535"),
        (
            with_smtp("[[smtp]]\nhost = \"a\"\nfrom = \"b@example.org\""),
            "config.toml:6: smtp[1].from must be that of the block above, or be left out",
        ),
        ("[[smtp]]\nhost = \"a:25\"".to_owned(), "smtp[0].host must be a host name or an IP address"),
        ("[[smtp]]\nhost = \"a\"\nfrom = \"Shop <a@b.org>\"".to_owned(), "smtp[0].from must be local@domain alone"),
        (
            with_inbox("locale = \"fr\""),
            "config.toml:6: applications[0].locale must be a language that there are templates for: en, es",
        ),
        (with_inbox("locale = \"es_MX\""), "config.toml:6: applications[0].locale must be a language tag such as en or es-MX"),
        ("[mail]\ntemplates_dir = \"gone\"".to_owned(), "config.toml:2: mail.templates_dir must name a directory, or be empty"),
        (
            with_inbox("purposes = { invite = { longest_ttl_seconds = 601 } }"),
            "config.toml:6: applications[0].purposes.invite.longest_ttl_seconds must be 60 to 600",
        ),
        (
            with_inbox("purposes = { confirm-address = { longest_ttl_seconds = 86401 } }"),
            "applications[0].purposes.confirm-address.longest_ttl_seconds must be 60 to 86400",
        ),
        (
            with_inbox("purposes = { sign-in = { ttl_seconds = 301, longest_ttl_seconds = 300 } }"),
            "applications[0].purposes.sign-in.ttl_seconds must be 60 to 300",
        ),
        (with_inbox("purposes = { sign-in = { ttl_seconds = 59 } }"), "purposes.sign-in.ttl_seconds must be 60 to 600"),
        (with_inbox("purposes = { sign-in = 300 }"), "applications[0].purposes.sign-in must be a table such as { ttl_seconds"),
        (
            with_inbox("[applications.purposes]\n\"Sign In\" = {}"),
            "config.toml:7: applications[0].purposes.Sign In must be sign-in, confirm-address, reset-password, or a word of 1 to 32",
        ),
        (with_inbox("from = \"a\""), "applications[0].from must have one @"),
        (with_inbox("reply_to = \"a@b\\r\\nBcc: c@d\""), "applications[0].reply_to must be local@domain alone"),
        (with_inbox("display_name = \"a\\r\\nBcc: b\""), "applications[0].display_name must be 1 to 64 characters"),
        (with_inbox("display_name = \"\""), "applications[0].display_name must be 1 to 64 characters"),
        (with_inbox("limits = { digits = 5 }"), "config.toml:6: applications[0].limits.digits must be 6 to 12"),
        (with_inbox("limits = { digits = 13 }"), "applications[0].limits.digits must be 6 to 12"),
        (with_inbox("limits = { ttl_seconds = 601 }"), "applications[0].limits.ttl_seconds must be 60 to 600"),
        (with_inbox("limits = { wrong_checks = 0 }"), "applications[0].limits.wrong_checks must be 1 to 10"),
        (
            with_inbox("limits = { starts_at_once = 0, starts_per_hour = 1 }"),
            "applications[0].limits.starts_at_once must be 1 to 100000",
        ),
        (
            with_inbox("limits = { starts_at_once = 1, starts_per_hour = 100001 }"),
            "applications[0].limits.starts_per_hour must be 1 to 100000",
        ),
        (
            with_inbox("limits = { starts_at_once = 1 }"),
            "config.toml:6: applications[0].limits.starts_per_hour must be given where starts_at_once is",
        ),
        (
            with_inbox("limits = { starts_per_hour = 1 }"),
            "applications[0].limits.starts_at_once must be given where starts_per_hour is",
        ),
        (
            with_inbox("test = true\nlookup = \"number\""),
            "config.toml:7: applications[0].lookup must be id where test = true: all its numbers are the same zeros",
        ),
        (with_inbox("").replace("shop", "The Shop"), "applications[0].name must be 1 to 64 of a-z, 0-9 and -"),
        (with_key("scopes = [\"users\", \"user\"]"), "applications[0].keys[0].scopes[1] must be one of verifications:start,"),
        (with_key("scopes = []"), "applications[0].keys[0].scopes must name a scope"),
        (with_key("networks = [\"10.0.0.0/33\"]"), "applications[0].keys[0].networks[0] must be a network, such as"),
        (with_key("networks = [\"::ffff:10.0.0.0/104\"]"), "applications[0].keys[0].networks[0] must be a network, such as"),
        (with_key("networks = []"), "applications[0].keys[0].networks must name a network"),
        (with_key("expires_at = 2027-01-31"), "applications[0].keys[0].expires_at must be a date and time with its offset"),
        (with_inbox("").replace(HASH, CANARY), "applications[0].keys[0].hash must be sha256: and 64 hexadecimal digits"),
        ("[dev]\ninbox = true\n[[applications]]\nname = \"a\"\nkeys = []".to_owned(), "applications[0].keys must be one or two"),
        (with_inbox(&application("")), "config.toml:7: applications[1].name is the name of an application above"),
        (with_inbox(&application("").replace("shop", "b")), "config.toml:8: applications[1].keys[0].hash stands above already"),
    ] {
        let line = Place::with_config(&text).refusal(&["check-config"], &[]);
        assert!(line.starts_with("fiador: config.toml:") && line.contains(expected), "{line}");
    }
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    for (text, expected) in [
        ("[http]\nlisten = \"0.0.0.0:8420\"".to_owned(), "http.listen must be a loopback address, because HTTP is not encrypted"),
        (
            "[http]\nlisten = \"0.0.0.0:8420\"\nallow_plaintext = true\n[dev]\ninbox = true".to_owned(),
            "applications must declare an application when http.listen is no loopback address; `fiador key new NAME` prints one",
        ),
        (
            "[http]\nlisten = \"[::]:8420\"\nallow_plaintext = true".to_owned(),
            "smtp must be given when an application is declared or http.listen is no loopback address; or set dev.inbox = true",
        ),
        (
            "[metrics]\nlisten = \"0.0.0.0:8421\"".to_owned(),
            "config.toml:2: metrics.listen must be a loopback address, because metrics have no keys; or set metrics.public = true",
        ),
        (application(""), "smtp must be given when an application is declared"),
        (
            format!("[dev]\ninbox = true\n{}", with_smtp("")),
            "config.toml:2: dev.inbox must be false when an [[smtp]] block is given",
        ),
        (
            format!(
                "[compat]\nlisten = \"127.0.0.1:0\"\napplication = \"shop\"\n{}",
                with_inbox("lookup = \"number\"\npurposes = { sign-in = { longest_ttl_seconds = 299 } }")
            ),
            "config.toml:3: compat.application must name an application whose numbers for sign-in may hold 300 seconds",
        ),
        (with_smtp("tls = \"none\""), "smtp[0].tls must be implicit or starttls, because the host is not loopback"),
        (with_smtp("user = \"a\""), "smtp[0].password_file must be given along with user"),
        (with_smtp("").replace("from = \"a@example.org\"\n", ""), "config.toml:4: applications[0].from must be given"),
        ("[[smtp]]\nhost = \"a\"".to_owned(), "config.toml:1: smtp[0].from must be given when no application is declared"),
    ] {
        let line = Place::with_config(&text).refusal(&["serve"], &[]);
        assert!(line.contains(expected), "{line}");
    }
}

#[test]
fn a_secret_file_must_be_there_hold_one_line_and_be_its_owners_alone() {
    let password_file = "user = \"fiador\"\npassword_file = \"secret\"";
    for (content, mode, expected) in [
        (CANARY.to_owned(), 0o640, "can be read or written by others than its owner; chmod 600 secret"),
        (CANARY.to_owned(), 0o602, "chmod 600 secret"),
        (String::new(), 0o600, "which is empty"),
        ("\n".to_owned(), 0o600, "which is empty"),
        (format!("{CANARY}\n{CANARY}\n"), 0o600, "which must hold one line of at most 4096 bytes"),
        (CANARY.repeat(100), 0o600, "which must hold one line of at most 4096 bytes"),
    ] {
        let place = Place::with_config(&with_smtp(password_file));
        place.write("secret", &content, mode);
        let line = place.refusal(&["check-config"], &[]);
        assert!(line.contains("config.toml:5: smtp[0].password_file names secret,") && line.contains(expected), "{line}");
    }

    let line = Place::new().refusal(&["check-config"], &[("FIADOR__STORE__REDIS_PASSWORD_FILE", "gone")]);
    assert!(line.contains("store.redis_password_file names gone, which cannot be read: No such file"), "{line}");
}

#[test]
fn a_secret_that_is_a_credential_is_read_from_systemds_directory_and_may_be_a_groups_to_read() {
    let place = Place::new();
    let directory = place.write("credentials/redis", "hunter2\n", 0o440).parent().unwrap().to_owned();
    let said = |password_file: &str, directory: Option<&Path>| {
        let server = [("FIADOR__STORE__REDIS_URL", "redis://localhost"), ("FIADOR__STORE__REDIS_PASSWORD_FILE", password_file)];
        let directory = directory.map(|path| ("CREDENTIALS_DIRECTORY", path.to_str().unwrap()));
        let environment = server.into_iter().chain(directory).map(|(name, text)| (name.into(), text.into()));
        Config::load_with(Some(&place.write("config.toml", "", 0o644)), environment).map(|config| config.store)
    };

    let Store::Redis(server) = said("credential:redis", Some(&directory)).unwrap() else { panic!("a server is named") };
    assert_eq!(server.connection_info().redis_settings().password(), Some("hunter2"));
    for (name, mode, expected) in [
        ("credential:gone", 0o440, "which cannot be read: No such file"),
        ("credential:redis", 0o444, "which can be read or written by others than its owner; chmod 440"),
        ("credential:redis", 0o460, "chmod 440"),
        ("credential:", 0o440, "must name a credential as the unit's LoadCredential= does"),
        ("credential:../credentials/redis", 0o440, "must name a credential"),
    ] {
        place.write("credentials/redis", "hunter2\n", mode);
        let refusal = said(name, Some(&directory)).unwrap_err().to_string();
        assert!(refusal.contains("redis_password_file") && refusal.contains(expected), "{refusal}");
    }
    let refusal = said("credential:redis", None).unwrap_err().to_string();
    assert!(refusal.contains("names a credential, and CREDENTIALS_DIRECTORY is not set"), "{refusal}");
    let path = directory.join("redis");
    place.write("credentials/redis", "hunter2\n", 0o440);
    assert!(said(path.to_str().unwrap(), Some(&directory)).is_err(), "it is a credential only where it is named as one");
}

#[test]
fn a_redis_password_stands_in_one_place_and_needs_a_server() {
    let password_file = "redis_password_file = \"secret\"";
    for (url, expected) in [
        ("", "config.toml:3: store.redis_password_file must be empty when store.redis_url is"),
        ("redis://:CANARY@host", "store.redis_password_file must be empty when store.redis_url holds a password"),
    ] {
        let place = Place::with_config(&format!("[store]\nredis_url = \"{url}\"\n{password_file}"));
        place.write("secret", CANARY, 0o600);
        let line = place.refusal(&["check-config"], &[]);
        assert!(line.contains(expected), "{line}");
    }
}

// ---------------------------------------------------------------- what is accepted

#[test]
fn a_redis_server_is_reached_by_every_form_of_url_with_the_password_of_its_file() {
    for (url, shown) in [
        ("redis://ada@db.example.org/3", "db.example.org:6379, database 3, without TLS"),
        ("rediss://ada@db.example.org:6380", "db.example.org:6380, database 0, over TLS"),
        ("unix:///run/redis.sock?user=ada", "/run/redis.sock, database 0, over a unix socket"),
        ("redis+unix:///run/redis.sock?user=ada&db=2", "/run/redis.sock, database 2, over a unix socket"),
    ] {
        let place = Place::new();
        let secret = place.write("secret", "hunter2\r\n", 0o400);
        place.write("config.toml", &format!("[store]\nredis_url = \"{url}\"\nredis_password_file = {secret:?}"), 0o644);

        let Store::Redis(server) = place.load().unwrap().store else { panic!("{url} is a server") };

        assert_eq!(server.to_string(), shown);
        let info = server.connection_info();
        assert_eq!(info.redis_settings().username(), Some("ada"));
        assert_eq!(info.redis_settings().password(), Some("hunter2"));
    }
}

#[test]
fn the_port_follows_from_the_encryption_and_plaintext_needs_loopback_or_a_word() {
    for (block, port) in [
        ("host = \"mx.example.org\"", 587),
        ("host = \"mx.example.org\"\ntls = \"implicit\"", 465),
        ("host = \"localhost\"\ntls = \"none\"", 25),
        ("host = \"::1\"\ntls = \"none\"\nport = 1025", 1025),
        ("host = \"mx.example.org\"\ntls = \"none\"\nallow_plaintext = true", 25),
    ] {
        let config = Place::with_config(&format!("[[smtp]]\n{block}\nfrom = \"a@example.org\"")).load().unwrap();

        let Mail::Smtp(servers) = config.mail else { panic!("mails go to the SMTP server") };
        assert_eq!(servers[0].port, port, "{block}");
        assert_eq!(config.demo_sender.unwrap().as_str(), "a@example.org");
    }
}

#[test]
fn applications_share_the_senders_address_unless_they_have_their_own() {
    let own = application("from = \"shop@example.org\"").replace("shop\"", "own\"").replace("f3f7", "0000");
    let config = Place::with_config(&format!("{}{own}", with_smtp(""))).load().unwrap();

    let senders: Vec<&str> = config.applications.iter().map(|application| application.from.as_str()).collect();
    assert_eq!(senders, ["a@example.org", "shop@example.org"]);
    assert_eq!(config.applications[0].display_name, "shop");
}

#[test]
fn a_purposes_limits_fill_each_other_in() {
    let ttl_of = |declared: &str, purpose: &str| {
        let limits = "limits = { ttl_seconds = 400 }\n";
        let config = Place::with_config(&with_inbox(&format!("{limits}purposes = {{ {declared} }}"))).load().unwrap();
        let ttl = config.applications[0].ttl_of(&Purpose::parse(purpose).unwrap());
        (ttl.default_seconds, ttl.longest_seconds)
    };

    assert_eq!(ttl_of("", "invite"), (400, 600));
    assert_eq!(ttl_of("", "confirm-address"), (400, 86_400));
    assert_eq!(ttl_of("invite = {}", "invite"), (400, 600));
    assert_eq!(ttl_of("invite = { longest_ttl_seconds = 120 }", "invite"), (120, 120));
    assert_eq!(ttl_of("invite = { ttl_seconds = 600 }", "invite"), (600, 600));
    assert_eq!(ttl_of("confirm-address = { ttl_seconds = 86400 }", "confirm-address"), (86_400, 86_400));
    assert_eq!(ttl_of("invite = { ttl_seconds = 60 }", "sign-in"), (400, 600));
}

#[test]
fn an_application_may_speak_the_language_of_a_region() {
    let config = Place::with_config(&with_inbox("locale = \"es-mx\"")).load().unwrap();

    assert_eq!(config.applications[0].locale.as_str(), "es-MX");
}

// ---------------------------------------------------------------- commands

#[test]
fn check_config_says_what_the_daemon_would_do_and_no_secret() {
    let place = Place::new();
    let secret = place.write("secret", CANARY, 0o600);
    let login = format!("user = \"fiador\"\npassword_file = {secret:?}\n[store]\nredis_url = \"redis://:{CANARY}@127.0.0.1\"");
    place.write("config.toml", &with_smtp(&login), 0o644);

    let output = place.fiador(&["check-config"], &[]);

    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    for expected in [
        "127.0.0.1:8420, plain HTTP",
        "metrics:      127.0.0.1:8421, without keys",
        "Redis at 127.0.0.1:6379, database 0, without TLS",
        "the server's persistence is told in the log at start",
        "SMTP to smtp.example.org:587, STARTTLS required, with a login",
        "templates:    en, es, built in",
        "applications: shop",
    ] {
        assert!(said.contains(expected), "{said}");
    }
    assert!(!said.contains("CANARY"), "{said}");
    assert!(!format!("{:?}", place.load().unwrap()).contains("CANARY"));
}

#[test]
fn check_config_of_nothing_tells_of_the_demo_and_makes_none() {
    let place = Place::new();

    let said = String::from_utf8(place.fiador(&["check-config"], &[]).stdout).unwrap();

    for expected in ["embedded, in data", "dev inbox", "data/demo.key"] {
        assert!(said.contains(expected), "{said}");
    }
    assert!(!place.path("data").exists());
}

#[test]
fn a_new_keys_lines_declare_its_application() {
    let place = Place::new();
    let output = place.fiador(&["key", "new", "shop"], &[]);
    let printed = String::from_utf8(output.stdout).unwrap();
    let (key_lines, config_lines) = printed.split_once("\n\n").unwrap();
    let key = ApiKey::parse(key_lines.lines().last().unwrap()).unwrap();
    place.write("config.toml", &format!("[dev]\ninbox = true\n{config_lines}"), 0o644);

    let config = place.load().unwrap();

    assert_eq!(config.applications[0].name.as_str(), "shop");
    assert_eq!(config.applications[0].keys, [ApiKeyGrant::new(key.hash())]);
    assert!(config_lines.contains(&key_hash_to_text(&key.hash())));
    assert!(!config_lines.contains(key.as_str()));
    assert_ne!(place.fiador(&["key", "new", "shop"], &[]).stdout, printed.as_bytes());
}

#[test]
fn a_key_for_no_name_is_refused() {
    assert!(Place::new().refusal(&["key", "new", "The Shop"], &[]).contains("NAME must be 1 to 64 of a-z, 0-9 and -"));
}

#[test]
fn version_and_help_are_told() {
    let place = Place::new();
    let version = place.fiador(&["--version"], &[]);
    let help = place.fiador(&["--help"], &[]);

    assert_eq!(String::from_utf8(version.stdout).unwrap(), format!("fiador {}\n", env!("CARGO_PKG_VERSION")));
    let help_text = String::from_utf8(help.stdout).unwrap();
    assert!(["serve", "check-config", "key", "mail"].iter().all(|command| help_text.contains(command)), "{help_text}");
    assert!(version.status.success() && help.status.success());
}

#[test]
fn without_a_command_the_daemon_is_served() {
    let place = Place::with_config("[log]\nlevel = \"loud\"");

    assert_eq!(place.refusal(&[], &[]), place.refusal(&["serve"], &[]));
    assert_eq!(place.refusal(&["--config", "gone"], &[]), place.refusal(&["serve", "--config", "gone"], &[]));
}

// ---------------------------------------------------------------- the demo application

fn sender() -> EmailAddress {
    EmailAddress::parse("fiador@example.org").unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_demo_key_is_made_once_for_its_owner_alone() {
    let place = Place::new();
    let data_dir = place.path("deep/data");
    let (made, path) = demo::application(&data_dir, &sender()).unwrap();
    let (found, _) = demo::application(&data_dir, &sender()).unwrap();

    let line = fs::read_to_string(&path).unwrap();
    let key = ApiKey::parse(line.strip_suffix('\n').unwrap()).unwrap();
    assert_eq!((mode(&path), mode(&data_dir)), (0o600, 0o700));
    assert_eq!(made.keys, [ApiKeyGrant::new(key.hash())]);
    assert_eq!(found, made);
    assert_eq!(fs::read_dir(&data_dir).unwrap().count(), 1);
}

#[test]
fn starts_at_once_agree_on_one_demo_key() {
    let place = Place::new();
    let data_dir = place.path("data");
    let starts: Vec<_> = (0..8)
        .map(|_| {
            let data_dir = data_dir.clone();
            thread::spawn(move || demo::application(&data_dir, &sender()).unwrap().0.keys[0].hash)
        })
        .collect();

    let keys: BTreeSet<_> = starts.into_iter().map(|start| start.join().unwrap()).collect();

    assert_eq!(keys.len(), 1);
}

#[test]
fn a_demo_key_that_is_none_or_open_to_others_is_refused_by_name() {
    let place = Place::new();
    for (content, mode, expected) in [
        ("CANARY\n", 0o600, "demo.key: must hold one key, fdr_ and 43 characters; delete it"),
        ("", 0o600, "demo.key: must hold one key"),
        ("CANARY\n", 0o644, "can be read or written by others than its owner; chmod 600"),
    ] {
        place.write("demo.key", content, mode);
        let refusal = demo::application(place.directory(), &sender()).unwrap_err().to_string();
        assert!(refusal.contains(expected) && !refusal.contains("CANARY"), "{refusal}");
    }
}
