use std::fmt;

use thiserror::Error;

use super::facts::VARIABLES;

/// Why an operator's templates are refused: the file, the line where there is one, and what is allowed. One line of text.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TemplateError {
    /// The operating system does not let us.
    #[error("{file}: cannot be read: {cause}")]
    Unreadable {
        /// The file or directory.
        file: String,
        /// What the operating system says.
        cause: String,
    },
    /// It is of no use where it is, so that it is probably misspelt.
    #[error("{file}: {mend}")]
    Misplaced {
        /// The file or directory.
        file: String,
        /// What may be there.
        mend: &'static str,
    },
    /// The other parts are there, or its language needs it.
    #[error(
        "{file}: is missing; .subject, .txt and .html go together, and a language that is not built in has all three for default"
    )]
    MissingPart {
        /// The file.
        file: String,
    },
    /// Not a template, or one that cannot be filled in.
    #[error("{line}: {cause}")]
    Broken {
        /// Where.
        line: SourceLine,
        /// What the template engine says.
        cause: String,
    },
    /// There is no such variable.
    #[error("{line}: {name} is unknown; the variables are {}", VARIABLES.join(", "))]
    UnknownVariable {
        /// Where it is used first.
        line: SourceLine,
        /// Its name.
        name: String,
    },
    /// Somebody would get a mail without number, or could not copy it.
    #[error("{line}: {mend}")]
    NumberMissing {
        /// Where the number is used, or the first.
        line: SourceLine,
        /// How it is to be shown.
        mend: &'static str,
    },
    /// A mail asks for nothing but to be read: whoever gets used to follow its links follows a forged one too.
    #[error("{line}: has {found}; a mail may have no link, no form, no script and nothing from elsewhere")]
    Link {
        /// Where.
        line: SourceLine,
        /// What it is known by.
        found: &'static str,
    },
    /// The subject is not one line, too long, or shows the number where that is not wanted.
    #[error("{line}: {mend}")]
    Subject {
        /// Where.
        line: SourceLine,
        /// What is allowed.
        mend: String,
    },
    /// The name of an application could change what the mail says.
    #[error("{line}: must show what it is given escaped, without the filter safe or an autoescape block")]
    Unescaped {
        /// Where.
        line: SourceLine,
    },
}

/// A line of a template's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLine {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for SourceLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
