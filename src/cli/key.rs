use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand};

use super::Refusal;
use crate::{
    api_key::{ApiKey, key_hash_to_text},
    config::Keyring,
    domain::ApplicationName,
    store::{self, KeyUse, RingPlace, Rotation, RotationStep},
};

#[derive(Subcommand)]
pub(super) enum KeyCommand {
    /// Prints a new key, once, and the lines that declare its application.
    New {
        /// The application's name: 1 to 64 of a-z, 0-9 and -.
        name: String,
    },
    /// Lets another key of the key ring seal what is stored, or sign assertions; running daemons take it on SIGHUP.
    Rotate(Rotate),
}

#[derive(Args)]
pub(super) struct Rotate {
    /// Only adds a key that opens (or is published), for `rotate` to let it seal (or sign) once every daemon on the same Redis
    /// has the ring.
    #[arg(long)]
    prepare: bool,
    /// Rotates the key that signs assertions instead of the one that seals.
    #[arg(long)]
    signing: bool,
    /// The configuration; without it config.toml in this directory, or the built-in defaults when there is none.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl KeyCommand {
    pub fn run(self) -> Result<ExitCode, Refusal> {
        match self {
            Self::New { name } => new(&name),
            Self::Rotate(rotate) => rotate.run(),
        }
    }
}

fn new(name: &str) -> Result<ExitCode, Refusal> {
    let name = ApplicationName::parse(name).map_err(|error| Refusal(format!("NAME {error}")))?;
    let key = ApiKey::draw();
    let hash = key_hash_to_text(&key.hash());
    let mut out = io::stdout().lock();
    writeln!(out, "# The key of {name}. It is kept nowhere: give it to the application now.\n{}\n", key.as_str())?;
    writeln!(out, "# For config.toml; a second key goes into the same list.")?;
    writeln!(out, "[[applications]]\nname = \"{name}\"\nkeys = [{{ hash = \"{hash}\" }}]")?;
    Ok(ExitCode::SUCCESS)
}

impl Rotate {
    fn run(self) -> Result<ExitCode, Refusal> {
        let Keyring { data_dir, file, is_shared } = Keyring::load(self.config.as_deref())?;
        let place = RingPlace::new(&data_dir, file);
        let step = if self.prepare { RotationStep::Prepare } else { RotationStep::Change };
        let of = if self.signing { KeyUse::Signing } else { KeyUse::Sealing };
        let rotation = store::rotate(&place, of, step)?;
        let what_next = match of {
            KeyUse::Sealing => what_next_of_sealing(&rotation, place.path(), is_shared),
            KeyUse::Signing => what_next_of_signing(&rotation, place.path(), is_shared),
        };
        io::stdout().lock().write_all(what_next.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What was done, and what is to be done now: by whom only one daemon has the ring, or several share the store.
fn what_next_of_sealing(rotation: &Rotation, ring: &Path, is_shared: bool) -> String {
    let ring = ring.display();
    let done = match rotation {
        Rotation::Prepared(key) => format!("{ring}: key {key} opens now, and does not seal yet."),
        Rotation::WasPrepared(key) => format!("{ring}: key {key} is prepared already; nothing was changed."),
        Rotation::Changed(key) | Rotation::ChangedAtOnce(key) => format!("{ring}: key {key} seals; those before it open."),
    };
    let next = match (rotation, is_shared) {
        (Rotation::Prepared(_) | Rotation::WasPrepared(_), true) => {
            "Next: copy the file to the other daemons, send all of them SIGHUP, then run `fiador key rotate`."
        }
        (Rotation::Prepared(_) | Rotation::WasPrepared(_), false) => {
            "Next: send the daemon SIGHUP, then run `fiador key rotate`. With one daemon, `fiador key rotate` alone is enough."
        }
        (Rotation::Changed(_), true) => "Next: copy the file to the other daemons, then send all of them SIGHUP.",
        (Rotation::ChangedAtOnce(_), true) => {
            "Next: send the daemon SIGHUP. If others share its Redis, copy the file to them and send them SIGHUP first: whoever \
             lacks the key answers 503 for what it sealed. `fiador key rotate --prepare` avoids that."
        }
        (_, false) => "Next: send the daemon SIGHUP.",
    };
    format!("{done}\n{next}\nThen back the file up anew: what the new key seals opens with no older copy.\n")
}

/// The same for keys that sign. Verifiers may keep the published keys for five minutes, and what is signed holds for ten at most.
fn what_next_of_signing(rotation: &Rotation, ring: &Path, is_shared: bool) -> String {
    let ring = ring.display();
    let done = match rotation {
        Rotation::Prepared(key) => format!("{ring}: key {key} is published from now on, and does not sign yet."),
        Rotation::WasPrepared(key) => format!("{ring}: key {key} is prepared already; nothing was changed."),
        Rotation::Changed(key) | Rotation::ChangedAtOnce(key) => {
            format!("{ring}: key {key} signs; the one before it stays published, older ones are gone.")
        }
    };
    let spread =
        if is_shared { "copy the file to the other daemons, then send all of them SIGHUP" } else { "send the daemon SIGHUP" };
    let then = match rotation {
        Rotation::Prepared(_) | Rotation::WasPrepared(_) => {
            "Five minutes later everybody who verifies has the key: run `fiador key rotate --signing` then."
        }
        Rotation::Changed(_) => "Leave ten minutes before the next rotation: what the key before signed last holds that long.",
        Rotation::ChangedAtOnce(_) => {
            "For five minutes who verifies with keys fetched before may refuse what it signs; `--prepare` first avoids that. \
             Leave ten minutes before the next rotation."
        }
    };
    format!("{done}\nNext: {spread}.\n{then}\n")
}
