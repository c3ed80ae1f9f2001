//! The text of a configuration file: reads it into settings and knows on which line each key stands.

use std::{fmt::Write, ops::Range};

use serde::Deserialize;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use zeroize::Zeroizing;

use super::{
    error::{ConfigError, Place},
    settings::Settings,
};

/// A configuration file that is TOML.
pub(super) struct Source {
    file: String,
    /// Wiped when it is dropped: a URL in it may hold a password.
    text: Zeroizing<String>,
    entries: Vec<Entry>,
}

/// One key of the file, or one element of a list.
struct Entry {
    /// `applications[0].limits.digits` for example.
    path: String,
    key_span: Range<usize>,
    value_span: Range<usize>,
}

impl Source {
    /// # Errors
    /// [`ConfigError::Syntax`] when `text` is not TOML.
    pub fn parse(file: String, text: Zeroizing<String>) -> Result<Self, ConfigError> {
        let mut entries = Vec::new();
        match DeTable::parse(&text) {
            Ok(table) => list_table("", table.get_ref(), &mut entries),
            Err(error) => {
                let line = error.span().map(|span| line_at(&text, span.start));
                return Err(ConfigError::Syntax { place: Place::File { file, line }, message: error.message().to_owned() });
            }
        }
        Ok(Self { file, text, entries })
    }

    /// # Errors
    /// A key that is unknown, missing, or of the wrong type.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        let refused = |error: toml::de::Error| self.explain(error.message(), error.span());
        Settings::deserialize(toml::Deserializer::parse(&self.text).map_err(refused)?).map_err(refused)
    }

    /// Where `key` stands; where the table stands that it is missing from, if it does not.
    pub fn place_of(&self, key: &str) -> Place {
        let mut path = key;
        loop {
            if let Some(entry) = self.entries.iter().find(|entry| entry.path == path) {
                return self.place(Some(entry.key_span.start));
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return self.place(None),
            }
        }
    }

    fn place(&self, offset: Option<usize>) -> Place {
        Place::File { file: self.file.clone(), line: offset.map(|offset| line_at(&self.text, offset)) }
    }

    /// The key at `offset`: the innermost whose name or value stands there.
    fn key_at(&self, offset: usize) -> &str {
        let stands_there = |entry: &&Entry| entry.key_span.contains(&offset) || entry.value_span.contains(&offset);
        self.entries.iter().filter(stands_there).max_by_key(|entry| entry.path.len()).map_or("", |entry| &entry.path)
    }

    /// The deserializer's words as ours. Its own are not passed on, because they show values.
    fn explain(&self, message: &str, span: Option<Range<usize>>) -> ConfigError {
        let offset = span.map(|span| span.start);
        let place = self.place(offset);
        let key = offset.map_or("", |offset| self.key_at(offset));
        if message.starts_with("unknown field") {
            return ConfigError::UnknownKey { place, key: key.to_owned(), allowed: names_after_expected(message) };
        }
        if let Some(missing) = message.strip_prefix("missing field ") {
            let separator = if key.is_empty() { "" } else { "." };
            let key = format!("{key}{separator}{}", missing.trim_matches('`'));
            return ConfigError::Value { place, key, mend: "must be given".to_owned() };
        }
        ConfigError::Value { place, key: key.to_owned(), mend: wrong_type(key, message) }
    }
}

fn names_after_expected(message: &str) -> String {
    let expected = message.rsplit_once(", expected ").map_or("", |(_, expected)| expected);
    let names: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    names.join(", ")
}

fn wrong_type(key: &str, message: &str) -> String {
    match message.rsplit_once(", expected ").map(|(_, expected)| expected) {
        Some("a sequence") if matches!(key, "smtp" | "applications") => {
            format!("must be a list: each of its blocks begins with [[{key}]]")
        }
        Some("a sequence") => "must be a list".to_owned(),
        Some("i64") => "must be a whole number".to_owned(),
        Some("a boolean") => "must be true or false".to_owned(),
        Some(expected) => format!("must be {expected}"),
        None => "is of the wrong type".to_owned(),
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

fn list_table(parent: &str, table: &DeTable<'_>, entries: &mut Vec<Entry>) {
    for (key, value) in table {
        let mut path = parent.to_owned();
        if !parent.is_empty() {
            path.push('.');
        }
        path.push_str(key.get_ref());
        list_value(path, key.span(), value, entries);
    }
}

fn list_value(path: String, key_span: Range<usize>, value: &Spanned<DeValue<'_>>, entries: &mut Vec<Entry>) {
    match value.get_ref() {
        DeValue::Table(table) => list_table(&path, table, entries),
        DeValue::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                let mut element_path = path.clone();
                write!(element_path, "[{index}]").expect("a String takes all that is written");
                list_value(element_path, element.span(), element, entries);
            }
        }
        _ => {}
    }
    entries.push(Entry { path, key_span, value_span: value.span() });
}
