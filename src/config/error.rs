use std::fmt::{self, Write};

use thiserror::Error;

use crate::mail::templates::TemplateError;

/// Why a configuration is refused: where, which key, and what is allowed. Its text is one line and never shows a value,
/// which might be a secret in the wrong place.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{file}: cannot be read: {cause}")]
    Unreadable {
        /// Its path.
        file: String,
        /// What the operating system says.
        cause: String,
    },
    /// The file is not TOML.
    #[error("{place}: is not TOML: {}", OneLine(message))]
    Syntax {
        /// Where it stops to be.
        place: Place,
        /// What the parser says.
        message: String,
    },
    /// There is no such key.
    #[error("{place}: {} is unknown; allowed here: {allowed}", OneLine(key))]
    UnknownKey {
        /// Where it stands.
        place: Place,
        /// Its path, `http.lisen` for example.
        key: String,
        /// The keys there are.
        allowed: String,
    },
    /// There is no such key for this environment variable to set.
    #[error("{} is unknown; the variables are {allowed}", OneLine(variable))]
    UnknownVariable {
        /// Its name.
        variable: String,
        /// The variables there are.
        allowed: String,
    },
    /// An operator's template is not allowed.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A value is missing, of the wrong type, out of range, or at odds with another.
    #[error("{place}: {} {mend}", OneLine(key))]
    Value {
        /// Where it stands.
        place: Place,
        /// Its path, `applications[0].limits.digits` for example.
        key: String,
        /// What is allowed, `must be 6 to 12` for example.
        mend: String,
    },
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A configuration file.
    File {
        /// Its path.
        file: String,
        /// The line, from 1; none when the value stands nowhere in it.
        line: Option<usize>,
    },
    /// An environment variable, by name.
    Variable(String),
    /// Nowhere: the built-in default.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line: Some(line) } => write!(f, "{file}:{line}"),
            Self::File { file, line: None } => f.write_str(file),
            Self::Variable(variable) => f.write_str(variable),
            Self::Default => f.write_str("configuration"),
        }
    }
}

/// A name from a file or the environment: a line break or an escape sequence in it shall not write lines of its own into a log.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| if c.is_control() { write!(f, "{}", c.escape_default()) } else { f.write_char(c) })
    }
}
