use std::collections::BTreeSet;

use super::{
    error::ConfigError,
    settings::{ApplicationSettings, KeySettings, LimitSettings},
    validation::Validation,
};
use crate::{
    api_key::key_hash_from_text,
    domain::{Application, ApplicationName, EmailAddress, Limits, Locale, Lookup},
};

/// The longest `display_name`, in characters: it stands in a mail's subject.
const LONGEST_DISPLAY_NAME: usize = 64;

impl Validation {
    /// # Errors
    /// The first application that is not allowed, or a name or key of another one.
    pub fn applications(
        &self,
        settings: &[ApplicationSettings],
        default_sender: Option<&EmailAddress>,
    ) -> Result<Vec<Application>, ConfigError> {
        let mut names = BTreeSet::new();
        let mut hashes = BTreeSet::new();
        let mut applications = Vec::new();
        for (index, settings) in settings.iter().enumerate() {
            let path = format!("applications[{index}]");
            let application = self.application(&path, settings, default_sender)?;
            self.once(&mut names, &format!("{path}.name"), application.name.clone(), "is the name of an application above")?;
            for (key, hash) in application.key_hashes.iter().enumerate() {
                self.once(&mut hashes, &format!("{path}.keys[{key}].hash"), *hash, "stands above already")?;
            }
            applications.push(application);
        }
        Ok(applications)
    }

    fn application(
        &self,
        path: &str,
        settings: &ApplicationSettings,
        default_sender: Option<&EmailAddress>,
    ) -> Result<Application, ConfigError> {
        let key = |name: &str| format!("{path}.{name}");
        let name = ApplicationName::parse(&settings.name).map_err(|error| self.refuse(&key("name"), error.to_string()))?;
        let locale = match &settings.locale {
            Some(text) => Locale::parse(text).map_err(|error| self.refuse(&key("locale"), error.to_string()))?,
            None => Locale::default(),
        };
        let given_sender = settings.from.as_ref().map(|text| self.address(&key("from"), text)).transpose()?;
        let from = given_sender.or_else(|| default_sender.cloned()).ok_or_else(|| {
            self.refuse(&key("from"), "must be given, because the [[smtp]] block has no `from` to stand in for it")
        })?;
        let lookup = match settings.lookup.as_str() {
            "id" => Lookup::Id,
            "number" => Lookup::Number,
            _ => return Err(self.refuse(&key("lookup"), "must be id or number")),
        };
        Ok(Application {
            display_name: self.display_name(&key("display_name"), settings.display_name.as_deref().unwrap_or(name.as_str()))?,
            name,
            key_hashes: self.key_hashes(&key("keys"), &settings.keys)?,
            locale,
            from,
            reply_to: settings.reply_to.as_ref().map(|text| self.address(&key("reply_to"), text)).transpose()?,
            lookup,
            number_in_subject: settings.number_in_subject,
            limits: self.limits(&key("limits"), &settings.limits, lookup)?,
        })
    }

    fn display_name(&self, key: &str, text: &str) -> Result<String, ConfigError> {
        let has_length = (1..=LONGEST_DISPLAY_NAME).contains(&text.chars().count());
        if !has_length || text.trim() != text || text.contains(char::is_control) {
            let mend = format!(
                "must be 1 to {LONGEST_DISPLAY_NAME} characters, none of them a control character, no white space at its ends"
            );
            return Err(self.refuse(key, mend));
        }
        Ok(text.to_owned())
    }

    fn key_hashes(&self, path: &str, keys: &[KeySettings]) -> Result<Vec<[u8; 32]>, ConfigError> {
        if !(1..=2).contains(&keys.len()) {
            return Err(self.refuse(path, "must be one or two keys; `fiador key new NAME` prints one"));
        }
        let hash = |(index, key): (usize, &KeySettings)| {
            let mend = "must be sha256: and 64 hexadecimal digits; `fiador key new NAME` prints one";
            key_hash_from_text(&key.hash).ok_or_else(|| self.refuse(&format!("{path}[{index}].hash"), mend))
        };
        keys.iter().enumerate().map(hash).collect()
    }

    fn limits(&self, path: &str, settings: &LimitSettings, lookup: Lookup) -> Result<Limits, ConfigError> {
        let (digits, range) = match lookup {
            Lookup::Id => (Limits::default().digits, 6..=12),
            Lookup::Number => (Lookup::NUMBER_DIGITS, 10..=15),
        };
        Ok(Limits {
            digits: self.in_range(&format!("{path}.digits"), settings.digits.unwrap_or_else(|| digits.into()), range)?,
            ttl_seconds: self.in_range(&format!("{path}.ttl_seconds"), settings.ttl_seconds, 60..=600)?,
            wrong_checks: self.in_range(&format!("{path}.wrong_checks"), settings.wrong_checks, 1..=10)?,
        })
    }
}
