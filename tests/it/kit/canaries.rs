//! Looks for planted secrets in whatever a daemon leaves behind, however they are written.

use std::{
    collections::BTreeSet,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use aho_corasick::{AhoCorasick, AhoCorasickBuilder};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE},
};

/// Secrets by name. What is found is told by its name.
#[derive(Default)]
pub struct Canaries {
    planted: Vec<(String, Vec<u8>)>,
}

/// What looks for them; made once all are planted.
pub struct Scanner {
    patterns: AhoCorasick,
    /// The secret and its encoding, of each pattern.
    meant: Vec<(String, &'static str)>,
}

impl Canaries {
    /// Several may have one name.
    pub fn plant(&mut self, name: impl Into<String>, secret: impl AsRef<[u8]>) {
        let (name, secret) = (name.into(), secret.as_ref().to_vec());
        assert!(secret.len() >= 8, "{name} is so short that it is found by chance");
        self.planted.push((name, secret));
    }

    pub fn scanner(&self) -> Scanner {
        let (mut patterns, mut meant) = (Vec::new(), Vec::new());
        for (name, secret) in &self.planted {
            for (encoding, written) in encodings(secret) {
                patterns.push(written);
                meant.push((name.clone(), encoding));
            }
        }
        // hexadecimal is written in both cases, and addresses are folded
        let patterns = AhoCorasickBuilder::new().ascii_case_insensitive(true).build(patterns).unwrap();
        Scanner { patterns, meant }
    }
}

impl Scanner {
    /// The names of what is in there, with the encoding that it was found in.
    pub fn found_in(&self, bytes: &[u8]) -> BTreeSet<(&str, &str)> {
        let found = self.patterns.find_overlapping_iter(bytes);
        found.map(|at| &self.meant[at.pattern().as_usize()]).map(|(name, encoding)| (name.as_str(), *encoding)).collect()
    }

    /// Fails when there is any but those that are allowed there.
    pub fn assert_none_in(&self, place: &str, bytes: &[u8], allowed: &[impl AsRef<str>]) {
        let found = self.found_in(bytes);
        let leaked: Vec<_> = found.iter().filter(|(name, _)| !allowed.iter().any(|allowed| allowed.as_ref() == *name)).collect();
        assert!(leaked.is_empty(), "{place} has {leaked:?}: {}", String::from_utf8_lossy(&bytes[..bytes.len().min(4_000)]));
    }

    /// Looks through all files of a directory, but for what is allowed in some of them: the ends of their paths, and names.
    pub fn assert_none_under(&self, directory: &Path, allowed: &[(&str, &str)]) {
        for file in files_under(directory) {
            let path = file.display().to_string();
            let here: Vec<&str> = allowed.iter().filter(|(end, _)| path.ends_with(end)).map(|(_, name)| *name).collect();
            self.assert_none_in(&path, &fs::read(&file).unwrap(), &here);
        }
    }
}

fn files_under(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_under(&path));
        } else if path.is_file() {
            files.push(path);
        }
    }
    files
}

/// The ways in which a secret may be written; hexadecimal and letters in any case are the scanner's business.
pub fn encodings(secret: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let each = |write: fn(&mut String, u8)| {
        let mut text = String::new();
        for &byte in secret {
            write(&mut text, byte);
        }
        text.into_bytes()
    };
    let utf16 = |bytes: fn(u8) -> [u8; 2]| secret.iter().flat_map(|&byte| bytes(byte)).collect();
    let mut all = vec![
        ("raw", secret.to_vec()),
        ("hex", each(|text, byte| write!(text, "{byte:02x}").unwrap())),
        ("percent, all of it", each(|text, byte| write!(text, "%{byte:02x}").unwrap())),
        ("percent", each(percent)),
        ("a list of bytes", separated(secret, ", ")),
        ("a list of bytes, dense", separated(secret, ",")),
        ("utf-16 le", utf16(|byte| [byte, 0])),
        ("utf-16 be", utf16(|byte| [0, byte])),
    ];
    for shift in 0..3 {
        all.push(("base64", base64(&STANDARD, secret, shift)));
        all.push(("base64url", base64(&URL_SAFE, secret, shift)));
    }
    all
}

fn percent(text: &mut String, byte: u8) {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(byte.into()),
        _ => write!(text, "%{byte:02x}").unwrap(),
    }
}

fn separated(secret: &[u8], separator: &str) -> Vec<u8> {
    secret.iter().map(ToString::to_string).collect::<Vec<_>>().join(separator).into_bytes()
}

/// What of its base64 depends on the secret alone when `shift` bytes, or three more any number of times, stand before it.
fn base64(alphabet: &impl Engine, secret: &[u8], shift: usize) -> Vec<u8> {
    let text = alphabet.encode([vec![0; shift], secret.to_vec()].concat());
    let (first, end) = ((shift * 8).div_ceil(6), (shift + secret.len()) * 8 / 6);
    text.as_bytes()[first..end].to_vec()
}

#[test]
fn a_secret_is_found_in_every_encoding_and_nothing_where_there_is_none() {
    let secret = "ada+tag@example.org/\u{e4}";
    let mut canaries = Canaries::default();
    canaries.plant("address", secret);
    let scanner = canaries.scanner();
    let hex = secret.bytes().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    let utf16: Vec<u16> = "ada+tag@example.org/".encode_utf16().collect();
    canaries.plant("ascii", "ada+tag@example.org/");
    let in_utf16 = canaries.scanner();

    let mut written: Vec<(&str, Vec<u8>)> = vec![
        ("raw", format!("x{secret}y").into_bytes()),
        ("raw", secret.to_uppercase().replace('\u{c4}', "\u{e4}").into_bytes()),
        ("hex", hex.clone().into_bytes()),
        ("hex", hex.to_uppercase().into_bytes()),
        ("percent", b"email=ada%2Btag%40example.org%2F%C3%A4&x".to_vec()),
        ("percent, all of it", hex.as_bytes().chunks(2).flat_map(|pair| [b"%", pair].concat()).collect()),
        ("a list of bytes", format!("{:?}", secret.as_bytes()).into_bytes()),
        ("a list of bytes, dense", serde_json::to_vec(secret.as_bytes()).unwrap()),
    ];
    for before in ["", "a", "ab", "abc", "abcdefg"] {
        for after in ["", "a", "ab"] {
            let text = format!("{before}{secret}{after}");
            written.push(("base64", STANDARD.encode(&text).into_bytes()));
            written.push(("base64url", URL_SAFE.encode(&text).into_bytes()));
        }
    }
    for (encoding, bytes) in &written {
        let found = scanner.found_in(bytes);
        assert!(found.contains(&("address", *encoding)), "{encoding}: {}", String::from_utf8_lossy(bytes));
    }
    for (encoding, bytes) in [
        ("utf-16 le", utf16.iter().flat_map(|unit| unit.to_le_bytes()).collect::<Vec<u8>>()),
        ("utf-16 be", utf16.iter().flat_map(|unit| unit.to_be_bytes()).collect()),
    ] {
        assert!(in_utf16.found_in(&bytes).contains(&("ascii", encoding)), "{encoding}");
    }
    assert_eq!(scanner.found_in("bob@example.org YWRhQGV4YW1wbGU= 616461".as_bytes()), BTreeSet::new());
}
