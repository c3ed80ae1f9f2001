//! What the documents say holds: the README's commands, clients and configuration are run as they stand there, and the tables
//! name what the code has.

mod clients;
mod config;
mod daemon;
mod lossy_road;
mod requirements;
mod tables;

const README: &str = include_str!("../../README.md");

/// The first fenced block of `language` in the README with `part` in it.
fn shown(language: &str, part: &str) -> &'static str {
    let blocks = README.split("```").skip(1).step_by(2);
    let mut of_language = blocks.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'));
    of_language.find(|block| block.contains(part)).expect("the README shows it")
}
