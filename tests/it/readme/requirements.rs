//! SECURITY.md's table of requirements: complete, and each test that it names is there.

use std::{collections::BTreeSet, fs, path::Path};

const SECURITY: &str = include_str!("../../../SECURITY.md");

/// OWASP ASVS 5.0, of the chapters that concern a server without pages.
const ASVS: &str = "2.3.3 2.3.4 2.4.1 4.1.1 4.1.2 4.1.3 4.1.4 4.2.1 4.2.2 4.2.3 4.2.4 6.1.1 6.2.1 6.2.4 6.2.5 6.2.8 6.2.9 6.2.12 6.3.8 \
                    6.5.1 6.5.2 6.5.3 6.5.4 6.5.5 6.6.2 6.6.3 7.2.3 9.1.1 9.1.2 9.1.3 9.2.1 9.2.2 9.2.3 9.2.4 11.2.3 11.2.4 11.3.3 \
                    11.3.4 11.5.1 12.1.1 12.3.1 12.3.2 12.3.3 12.3.4 13.1.2 13.1.3 13.3.1 13.4.4 13.4.5 13.4.6 15.4.2 16.2.5 16.3.1 \
                    16.3.2 16.3.3 16.3.4 16.4.1 16.5.1 16.5.2 16.5.3 16.5.4";
/// NIST SP 800-63B-4, OWASP API Security 2023, and the standards of the wire.
const OTHERS: &str = "NIST-3.1.3.2 NIST-3.2.2 NIST-4.2.1.2 API1 API2 API3 API4 API5 API8 API10 RFC9457 Idempotency-Key RateLimit RFC3834 \
                      RFC5321 RFC5322";

/// Requirement and what is said to hold it, of each row.
fn rows() -> Vec<(&'static str, &'static str)> {
    let (_, section) = SECURITY.split_once("\n## Requirements\n").expect("there is the table");
    let rows = section.split("\n## ").next().unwrap().lines().filter_map(|line| line.strip_prefix("| "));
    let cells = rows.map(|row| row.trim_end_matches(" |").split(" | ").collect::<Vec<_>>());
    cells.filter(|cells| cells.len() == 3 && cells[0] != "requirement").map(|cells| (cells[0], cells[2])).collect()
}

/// Every function that is written down in the tests or the source.
fn functions(directory: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(functions(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let names = text.split("fn ").skip(1).filter_map(|rest| rest.split_once('(')).map(|(name, _)| name.to_owned());
            found.extend(names);
        }
    }
    found
}

#[test]
fn every_requirement_has_its_row_once() {
    let listed: Vec<&str> = rows().into_iter().map(|(requirement, _)| requirement).collect();
    let wanted: BTreeSet<&str> = ASVS.split_whitespace().chain(OTHERS.split_whitespace()).collect();

    assert_eq!(listed.iter().copied().collect::<BTreeSet<_>>(), wanted);
    assert_eq!(listed.len(), wanted.len());
}

#[test]
fn every_requirement_names_tests_that_there_are_or_says_why_it_is_not_met() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let there_are: BTreeSet<String> = ["src", "tests"].iter().flat_map(|part| functions(&root.join(part))).collect();
    for (requirement, held_by) in rows() {
        if held_by.starts_with("not met: ") || held_by.starts_with("does not apply: ") {
            continue;
        }
        let named: Vec<&str> = held_by.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "{requirement} names no test");
        for test in named {
            assert!(there_are.contains(test), "{requirement} names {test}, which there is not");
        }
    }
}
