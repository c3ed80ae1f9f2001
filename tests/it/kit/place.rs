//! A directory for the command to run in.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use fiador::config::{Config, ConfigError};
use tempfile::TempDir;

/// A directory to run in, with a configuration in it.
pub struct Place {
    directory: TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { directory: TempDir::new().unwrap() }
    }

    pub fn with_config(text: &str) -> Self {
        let place = Self::new();
        place.write("config.toml", text, 0o644);
        place
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    pub fn load(&self) -> Result<Config, ConfigError> {
        Config::load_with(Some(&self.path("config.toml")), [])
    }

    pub fn fiador(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_fiador"))
            .args(arguments)
            .env_clear()
            .envs(environment.iter().copied())
            .current_dir(&self.directory)
            .output()
            .unwrap()
    }

    /// The one line that the command refuses with.
    pub fn refusal(&self, arguments: &[&str], environment: &[(&str, &str)]) -> String {
        let output = self.fiador(arguments, environment);
        let line = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert!(output.stdout.is_empty());
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(!line.contains("CANARY"), "{line}");
        line
    }
}
