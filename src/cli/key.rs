use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Subcommand;

use super::Refusal;
use crate::{
    api_key::{ApiKey, key_hash_to_text},
    domain::ApplicationName,
};

#[derive(Subcommand)]
pub(super) enum KeyCommand {
    /// Prints a new key, once, and the lines that declare its application.
    New {
        /// The application's name: 1 to 64 of a-z, 0-9 and -.
        name: String,
    },
}

impl KeyCommand {
    pub fn run(self) -> Result<ExitCode, Refusal> {
        let Self::New { name } = self;
        let name = ApplicationName::parse(&name).map_err(|error| Refusal(format!("NAME {error}")))?;
        let key = ApiKey::draw();
        let hash = key_hash_to_text(&key.hash());
        let mut out = io::stdout().lock();
        writeln!(out, "# The key of {name}. It is kept nowhere: give it to the application now.\n{}\n", key.as_str())?;
        writeln!(out, "# For config.toml; a second key goes into the same list.")?;
        writeln!(out, "[[applications]]\nname = \"{name}\"\nkeys = [{{ hash = \"{hash}\" }}]")?;
        Ok(ExitCode::SUCCESS)
    }
}
