//! What is listed is what there is.

use std::collections::BTreeSet;

use super::README;

const ACTORS: &str = include_str!("../../../actors.md");
const MESSAGES: &str = include_str!("../../../src/messages.rs");
const PROBLEMS: &str = include_str!("../../../src/http/problem.rs");

/// Names in backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn the_table_of_messages_has_every_message_once_and_nothing_else() {
    let declarations = MESSAGES.split("#[rtype").skip(1).map(|rest| rest.split_once("pub struct ").unwrap().1);
    let declared: BTreeSet<&str> = declarations.map(|rest| rest.split([' ', ';', '{']).next().unwrap()).collect();

    let (_, section) = ACTORS.split_once("\n## Messages\n").unwrap();
    let rows = section.split("\n## ").next().unwrap().lines().filter(|line| line.starts_with("| `"));
    let listed: Vec<&str> = rows.map(|row| quoted(row).next().unwrap()).collect();

    assert!(declared.len() > 10);
    assert_eq!(listed.iter().copied().collect::<BTreeSet<_>>(), declared);
    assert_eq!(listed.len(), declared.len());
}

#[test]
fn the_table_of_errors_has_every_code_with_its_status() {
    let of_line = |line: &str| {
        let facts = line.split_once("=> (StatusCode::")?.1;
        let (status, rest) = facts.split_once(", \"")?;
        let status: http::StatusCode = status_named(status);
        Some((status.as_u16().to_string(), rest.split('"').next()?.to_owned()))
    };
    let declared: BTreeSet<(String, String)> = PROBLEMS.lines().filter_map(of_line).collect();

    let (_, section) = README.split_once("\n## Errors\n").unwrap();
    let rows = section.split("\n## ").next().unwrap().lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let listed: BTreeSet<(String, String)> = rows
        .flat_map(|row| {
            let cells: Vec<&str> = row.split(" | ").collect();
            let status = cells[0].trim_start_matches("| ").to_owned();
            quoted(cells[1]).map(move |code| (status.clone(), code.to_owned())).collect::<Vec<_>>()
        })
        .collect();

    assert!(declared.len() > 20);
    assert_eq!(listed, declared);
}

/// The status whose constant has this name.
fn status_named(name: &str) -> http::StatusCode {
    let reason = |status: &http::StatusCode| status.canonical_reason().unwrap_or_default().to_uppercase().replace(' ', "_");
    let all = (100..600).filter_map(|code| http::StatusCode::from_u16(code).ok());
    all.into_iter().find(|status| reason(status) == name).expect("a status of that name")
}
