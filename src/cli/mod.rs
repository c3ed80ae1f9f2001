//! The command line, one file a command.

mod check_config;
mod key;
mod mail;
mod serve;

use std::{error::Error, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

/// Confirms that a person holds an email address: mails a one-time number and gives your token back exactly once.
#[derive(Parser)]
#[command(name = "fiador", version, args_conflicts_with_subcommands = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    /// Without a command: `serve`.
    #[command(flatten)]
    serve: ConfigFile,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the daemon (the default).
    Serve(ConfigFile),
    /// Says what the daemon would do, or what is wrong with its configuration.
    CheckConfig(ConfigFile),
    /// API keys of applications.
    Key {
        #[command(subcommand)]
        command: key::KeyCommand,
    },
    /// What the mails say.
    Mail {
        #[command(subcommand)]
        command: mail::MailCommand,
    },
}

#[derive(Args)]
struct ConfigFile {
    /// The configuration; without it config.toml in this directory, or the built-in defaults when there is none.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs the command that the process was given. Its exit code: 0 done, 1 refused, with one line on standard error, 2 no such
/// command, 70 an actor failed more often than its restart budget allows.
pub fn run() -> ExitCode {
    let CommandLine { command, serve } = CommandLine::parse();
    let done = match command.unwrap_or(Command::Serve(serve)) {
        Command::Serve(file) => serve::run(file.config.as_deref()),
        Command::CheckConfig(file) => check_config::run(file.config.as_deref()),
        Command::Key { command } => command.run(),
        Command::Mail { command } => command.run(),
    };
    done.unwrap_or_else(|Refusal(why)| {
        eprintln!("fiador: {}", one_line(&why));
        ExitCode::FAILURE
    })
}

/// Why a command was not carried out, for the operator.
struct Refusal(String);

impl<E: Error> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// `text` with its control characters escaped, so that no path or key in it breaks the line or the terminal.
fn one_line(text: &str) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.trim_end().chars().map(escaped).collect()
}
