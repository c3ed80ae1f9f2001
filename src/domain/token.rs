use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

/// What the application deposits and gets back once, byte for byte as sent. At most 8 KiB.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Token {
    /// A JSON string, or text handed over in process.
    Text(String),
    /// Any other JSON value but `null`, as its text.
    Json(String),
}

impl Token {
    /// The longest token, in bytes.
    pub const LONGEST: usize = 8 * 1024;

    /// The text that was deposited.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Text(text) | Self::Json(text) => text,
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        match self {
            Self::Text(text) | Self::Json(text) => text.zeroize(),
        }
    }
}
