use std::collections::{BTreeMap, BTreeSet};

use super::{
    error::ConfigError,
    keys::MISSING_KEY,
    settings::{ApplicationSettings, LimitSettings, PurposeSettings, Settings},
    validation::Validation,
};
use crate::{
    domain::{Allowance, Application, ApplicationName, EmailAddress, Limits, Locale, Lookup, Purpose, SecondStep, TtlLimits},
    mail::templates::Templates,
};

/// The longest `display_name`, in characters: it stands in a mail's subject.
const LONGEST_DISPLAY_NAME: usize = 64;
/// The largest budget of starts, at once and in an hour.
const MOST_STARTS: i64 = 100_000;

impl Validation {
    /// # Errors
    /// The first application that is not allowed, or a name or key of another one.
    pub fn applications(
        &self,
        settings: &Settings,
        default_sender: Option<&EmailAddress>,
        templates: &Templates,
    ) -> Result<Vec<Application>, ConfigError> {
        let mut names = BTreeSet::new();
        let mut hashes = BTreeSet::new();
        let mut applications = Vec::new();
        for (index, block) in settings.applications.iter().enumerate() {
            let path = format!("applications[{index}]");
            let application = self.application(&path, block, default_sender, templates)?;
            if application.keys.is_empty() && settings.compat.application != application.name.as_str() {
                return Err(self.refuse(&format!("{path}.keys"), MISSING_KEY));
            }
            self.once(&mut names, &format!("{path}.name"), application.name.clone(), "is the name of an application above")?;
            for (index, key) in application.keys.iter().enumerate() {
                self.once(&mut hashes, &format!("{path}.keys[{index}].hash"), key.hash, "stands above already")?;
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
        templates: &Templates,
    ) -> Result<Application, ConfigError> {
        let key = |name: &str| format!("{path}.{name}");
        let name = ApplicationName::parse(&settings.name).map_err(|error| self.refuse(&key("name"), error.to_string()))?;
        let given_sender = settings.from.as_ref().map(|text| self.address(&key("from"), text)).transpose()?;
        let from = given_sender.or_else(|| default_sender.cloned()).ok_or_else(|| {
            self.refuse(&key("from"), "must be given, because no [[smtp]] block has a `from` to stand in for it")
        })?;
        let lookup = match settings.lookup.as_str() {
            "id" => Lookup::Id,
            "number" => Lookup::Number,
            _ => return Err(self.refuse(&key("lookup"), "must be id or number")),
        };
        if settings.test && lookup == Lookup::Number {
            return Err(self.refuse(&key("lookup"), "must be id where test = true: all its numbers are the same zeros"));
        }
        Ok(Application {
            display_name: self.display_name(&key("display_name"), settings.display_name.as_deref().unwrap_or(name.as_str()))?,
            name,
            keys: self.keys(&key("keys"), &settings.keys)?,
            locale: self.locale(&key("locale"), settings.locale.as_deref(), templates)?,
            from,
            reply_to: settings.reply_to.as_ref().map(|text| self.address(&key("reply_to"), text)).transpose()?,
            lookup,
            number_in_subject: settings.number_in_subject,
            second_step: self.second_step(&key("second_step"), &settings.second_step)?,
            is_test: settings.test,
            limits: self.limits(&key("limits"), &settings.limits, lookup)?,
            purposes: self.purposes(&key("purposes"), settings)?,
        })
    }

    fn second_step(&self, key: &str, text: &str) -> Result<SecondStep, ConfigError> {
        match text {
            "number" => Ok(SecondStep::Number),
            "none" => Ok(SecondStep::None),
            _ => Err(self.refuse(key, "must be number or none")),
        }
    }

    fn locale(&self, key: &str, text: Option<&str>, templates: &Templates) -> Result<Locale, ConfigError> {
        let Some(text) = text else { return Ok(Locale::default()) };
        let locale = Locale::parse(text).map_err(|error| self.refuse(key, error.to_string()))?;
        if templates.best_locale(locale).is_none() {
            let there_are: Vec<String> = templates.locales().map(|locale| locale.to_string()).collect();
            let mend = format!("must be a language that there are templates for: {}", there_are.join(", "));
            return Err(self.refuse(key, mend));
        }
        Ok(locale)
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

    fn limits(&self, path: &str, settings: &LimitSettings, lookup: Lookup) -> Result<Limits, ConfigError> {
        let (digits, range) = match lookup {
            Lookup::Id => (Limits::default().digits, 6..=12),
            Lookup::Number => (Lookup::NUMBER_DIGITS, 10..=15),
        };
        Ok(Limits {
            digits: self.in_range(&format!("{path}.digits"), settings.digits.unwrap_or_else(|| digits.into()), range)?,
            ttl_seconds: self.in_range(&format!("{path}.ttl_seconds"), settings.ttl_seconds, 60..=600)?,
            wrong_checks: self.in_range(&format!("{path}.wrong_checks"), settings.wrong_checks, 1..=10)?,
            starts: self.starts(path, settings)?,
        })
    }

    fn starts(&self, path: &str, settings: &LimitSettings) -> Result<Option<Allowance>, ConfigError> {
        let (at_once, per_hour) = (format!("{path}.starts_at_once"), format!("{path}.starts_per_hour"));
        match (settings.starts_at_once, settings.starts_per_hour) {
            (None, None) => Ok(None),
            (Some(many), Some(back)) => Ok(Some(Allowance::hourly(
                self.in_range(&at_once, many, 1..=MOST_STARTS)?,
                self.in_range(&per_hour, back, 1..=MOST_STARTS)?,
            ))),
            (Some(_), None) => Err(self.refuse(&per_hour, "must be given where starts_at_once is")),
            (None, Some(_)) => Err(self.refuse(&at_once, "must be given where starts_per_hour is")),
        }
    }

    fn purposes(&self, path: &str, settings: &ApplicationSettings) -> Result<BTreeMap<Purpose, TtlLimits>, ConfigError> {
        let judged = |(word, purpose): (&String, &PurposeSettings)| {
            let path = format!("{path}.{word}");
            let word = Purpose::parse(word).map_err(|error| self.refuse(&path, error.to_string()))?;
            let limits = self.ttl_limits(&path, &word, purpose, settings.limits.ttl_seconds)?;
            Ok((word, limits))
        };
        settings.purposes.iter().map(judged).collect()
    }

    /// The purpose's own ceiling bounds the longest, the longest bounds the default.
    fn ttl_limits(
        &self,
        path: &str,
        purpose: &Purpose,
        settings: &PurposeSettings,
        default: i64,
    ) -> Result<TtlLimits, ConfigError> {
        let shortest = i64::from(TtlLimits::SHORTEST_SECONDS);
        let ceiling = i64::from(purpose.longest_ttl_seconds());
        let longest = settings.longest_ttl_seconds.unwrap_or(ceiling);
        let longest_seconds = self.in_range(&format!("{path}.longest_ttl_seconds"), longest, shortest..=ceiling)?;
        let default = settings.ttl_seconds.unwrap_or_else(|| default.min(longest));
        let default_seconds = self.in_range(&format!("{path}.ttl_seconds"), default, shortest..=longest)?;
        Ok(TtlLimits { default_seconds, longest_seconds })
    }
}
