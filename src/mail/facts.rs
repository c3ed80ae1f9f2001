//! What a template is told, by name.

use std::time::Duration;

use minijinja::{Value, context};

/// Every variable that a template may use.
pub(super) const VARIABLES: [&str; 8] =
    ["display_name", "hours", "locale", "minutes", "number", "number_groups", "number_in_subject", "purpose"];

/// From here on a mail says hours instead of minutes; at least two, so that no language needs its singular.
const HOURS_FROM_MINUTES: u64 = 120;
/// Digits that are shown together in the HTML part, at most.
const LARGEST_GROUP: usize = 4;

/// What one mail is about.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    /// What the application calls itself, on one line.
    pub display_name: &'a str,
    /// None: it is a notice.
    pub number: Option<&'a str>,
    pub number_in_subject: bool,
    pub purpose: &'a str,
    /// The language that the mail is written in.
    pub locale: &'a str,
    /// How long the number holds from its start.
    pub holds: Duration,
}

impl Facts<'_> {
    /// For the subject, which a locked telephone shows to anyone: the number is there only where the application wants it.
    pub fn for_subject(&self) -> Value {
        if self.number_in_subject { self.for_body() } else { self.variables(Value::UNDEFINED, Value::UNDEFINED) }
    }

    /// For the text and HTML parts.
    pub fn for_body(&self) -> Value {
        let Some(number) = self.number else { return self.variables(Value::UNDEFINED, Value::UNDEFINED) };
        self.variables(Value::from(number), Value::from_iter(groups(number)))
    }

    fn variables(&self, number: Value, number_groups: Value) -> Value {
        // rounded down: a mail must not promise more than holds
        let minutes = self.number.map(|_| self.holds.as_secs() / 60);
        let hours = minutes.filter(|minutes| *minutes >= HOURS_FROM_MINUTES).map(|minutes| minutes / 60);
        context! {
            display_name => self.display_name,
            number,
            number_groups,
            number_in_subject => self.number_in_subject,
            purpose => self.purpose,
            locale => self.locale,
            minutes => minutes.map_or(Value::UNDEFINED, Value::from),
            hours,
        }
    }
}

/// The digits in groups of nearly the same size, the longer ones last: 3 4 for seven, 3 3 4 for ten.
fn groups(number: &str) -> Vec<&str> {
    let count = number.len().div_ceil(LARGEST_GROUP);
    let (size, longer) = (number.len() / count, number.len() % count);
    let mut rest = number;
    (0..count)
        .map(|index| {
            let take = if index < count - longer { size } else { size + 1 };
            let (group, after) = rest.split_at(take);
            rest = after;
            group
        })
        .collect()
}
