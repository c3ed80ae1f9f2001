//! Judges a set of templates before any mail is written with it: by its text, and by what samples of every kind of mail
//! become.

mod links;
mod tags;

use std::{collections::BTreeSet, time::Duration};

use minijinja::{Environment, ErrorKind};

use self::tags::Tags;
use super::{
    facts::{Facts, VARIABLES},
    templates::{Filled, Source, SourceLine, TemplateError, TemplateSet, strict_environment},
};
use crate::domain::{Locale, Purpose};

/// The longest subject, in characters, with the longest name and number: it is to be read in a list of mails.
const LONGEST_SUBJECT: usize = 120;

/// Names that would show if they were inserted as they are, or made the subject too long.
const NAMES: [&str; 2] = [BOLD_NAME, "A name of the sixty-four characters that are the longest allowed"];
const BOLD_NAME: &str = "Tom & <qz>Jerry</qz>";
const BOLD_TAG: &str = "<qz>";
/// Two, so that a template cannot hold the number itself.
const NUMBERS: [&str; 2] = ["40718293", "918273645546372"];
/// Of the sentences that a language may need: one minute, a few, many, an hour or more, a day.
const LIVES_SECONDS: [u64; 6] = [60, 120, 600, 3_600, 7_200, 86_400];

/// What is wrong with `set`, which is for the mails in `locale` of one `purpose`, or of all.
///
/// # Errors
/// The first thing found.
pub(super) fn check(set: &TemplateSet, locale: Locale, purpose: Option<&Purpose>) -> Result<(), TemplateError> {
    let sources = [&set.subject, &set.text, &set.html];
    let mut environment = strict_environment();
    for source in sources {
        if let Some((line, found)) = links::first(&tags::without_comments(&source.text)) {
            return Err(TemplateError::Link { line: source.line(line), found });
        }
        let added = environment.add_template_owned(source.file.clone(), source.text.clone());
        added.map_err(|error| source.broken(&error))?;
        refuse_unknown_variables(source, &environment)?;
    }
    let is_notice = purpose.is_some_and(Purpose::is_notice);
    let purposes = match purpose {
        Some(purpose) => BTreeSet::from([purpose.as_str().to_owned()]),
        None => purposes_told_apart(sources),
    };
    let as_sent =
        |facts: Facts<'_>| check_filled(set, &environment, &if is_notice { Facts { number: None, ..facts } } else { facts });
    samples(&locale, &purposes).into_iter().try_for_each(as_sent)
}

/// Found in the text, so that no branch hides one.
fn refuse_unknown_variables(source: &Source, environment: &Environment<'_>) -> Result<(), TemplateError> {
    let template = environment.get_template(&source.file).map_err(|error| source.broken(&error))?;
    let tags = Tags::of(&source.text);
    let used = template.undeclared_variables(true).into_iter();
    let unknown =
        used.filter(|name| !VARIABLES.contains(&name.as_str())).map(|name| (tags.line_of(&name).unwrap_or(1), name)).min();
    unknown.map_or(Ok(()), |(line, name)| Err(TemplateError::UnknownVariable { line: source.line(line), name }))
}

/// Fiador's own purposes, one of an application's own, and every word that the templates compare with.
fn purposes_told_apart(sources: [&Source; 3]) -> BTreeSet<String> {
    let mut purposes = BTreeSet::from(["sign-in", "confirm-address", "reset-password", "close-account"].map(str::to_owned));
    for source in sources {
        let tags = Tags::of(&source.text);
        purposes.extend(tags.quoted().filter(|word| Purpose::parse(word).is_ok()).map(str::to_owned));
    }
    purposes
}

/// One of every kind of mail.
fn samples<'a>(locale: &'a Locale, purposes: &'a BTreeSet<String>) -> Vec<Facts<'a>> {
    let mut samples = Vec::new();
    for purpose in purposes {
        for holds in LIVES_SECONDS.map(Duration::from_secs) {
            for (display_name, number) in NAMES.into_iter().zip(NUMBERS) {
                for number_in_subject in [false, true] {
                    let locale = locale.as_str();
                    samples.push(Facts { display_name, number: Some(number), number_in_subject, purpose, locale, holds });
                }
            }
        }
    }
    samples
}

fn check_filled(set: &TemplateSet, environment: &Environment<'_>, facts: &Facts<'_>) -> Result<(), TemplateError> {
    let Filled { subject, text, html } = set.fill(environment, facts).map_err(|error| cannot_be_filled(set, facts, &error))?;
    check_subject(&set.subject, &subject)?;
    if let Some(number) = facts.number {
        check_number(set, number, &text, &html)?;
    }
    if html.contains(BOLD_TAG) {
        let line = Tags::of(&set.html.text).line_of("display_name");
        return Err(TemplateError::Unescaped { line: set.html.line(line.unwrap_or(1)) });
    }
    let parts = [(&set.subject, &subject), (&set.text, &text), (&set.html, &html)];
    parts.into_iter().try_for_each(|(source, filled)| check_links_put_together(source, filled))
}

fn check_number(set: &TemplateSet, number: &str, text: &str, html: &str) -> Result<(), TemplateError> {
    if !text.lines().any(|line| line.trim() == number) {
        return Err(set.text.number_missing("must show {{ number }} alone on a line"));
    }
    if !without_tags(html).contains(number) {
        return Err(set.html.number_missing("must show {{ number }}, or its number_groups with nothing but tags between them"));
    }
    Ok(())
}

fn cannot_be_filled(set: &TemplateSet, facts: &Facts<'_>, error: &minijinja::Error) -> TemplateError {
    let source = [&set.text, &set.html].into_iter().find(|source| error.name() == Some(&source.file)).unwrap_or(&set.subject);
    let lacks_number =
        *source == set.subject && facts.number.is_some() && !facts.number_in_subject && error.kind() == ErrorKind::UndefinedError;
    if lacks_number {
        let mend = "must use the number only where number_in_subject is true: {% if number_in_subject %}".to_owned();
        return TemplateError::Subject { line: source.line(error.line().unwrap_or(1)), mend };
    }
    source.broken(error)
}

fn check_subject(source: &Source, subject: &str) -> Result<(), TemplateError> {
    let length = subject.chars().count();
    if (1..=LONGEST_SUBJECT).contains(&length) && !subject.contains(char::is_control) {
        return Ok(());
    }
    let mend = format!(
        "must be one line of at most {LONGEST_SUBJECT} characters, those of the longest display_name (64) and number (15) among them"
    );
    Err(TemplateError::Subject { line: source.line(1), mend })
}

/// For what no line of the template has, but its tags give.
fn check_links_put_together(source: &Source, filled: &str) -> Result<(), TemplateError> {
    let line = || source.line(Tags::of(&source.text).line_of_text().unwrap_or(1));
    links::first(filled).map_or(Ok(()), |(_, found)| Err(TemplateError::Link { line: line(), found }))
}

/// What is left of HTML when it is copied, roughly.
fn without_tags(html: &str) -> String {
    let after_tags = html.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
    after_tags.collect()
}

impl Source {
    fn line(&self, line: usize) -> SourceLine {
        SourceLine { file: self.file.clone(), line }
    }

    fn broken(&self, error: &minijinja::Error) -> TemplateError {
        let cause = error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()));
        TemplateError::Broken { line: self.line(error.line().unwrap_or(1)), cause }
    }

    fn number_missing(&self, mend: &'static str) -> TemplateError {
        let tags = Tags::of(&self.text);
        let line = tags.line_of("number").or_else(|| tags.line_of("number_groups")).unwrap_or(1);
        TemplateError::NumberMissing { line: self.line(line), mend }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::templates::Templates;

    #[test]
    fn the_built_in_templates_are_allowed_as_an_operators() {
        let templates = Templates::default();
        for locale in templates.locales() {
            let (_, set) = templates.choose(locale, locale, &Purpose::default());
            assert_eq!(check(set, locale, None), Ok(()));
            let notice = Purpose::password_changed();
            let (chosen, set) = templates.choose(locale, locale, &notice);
            assert_eq!((chosen, check(set, locale, Some(&notice))), (locale, Ok(())));
        }
    }

    #[test]
    fn the_longest_name_is_tried() {
        assert_eq!(NAMES[1].len(), 64);
    }
}
