//! The templates of the mails: those built in, and over them an operator's, from files that are checked when they are read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use minijinja::{Environment, UndefinedBehavior};

pub use super::template_error::{SourceLine, TemplateError};
use super::{checking, facts::Facts};
use crate::domain::{Locale, Purpose};

/// The files that stand for every purpose that has none of its own.
const DEFAULT_PURPOSE: &str = "default";

macro_rules! built_in {
    ($locale:literal, $name:literal) => {
        TemplateSet {
            subject: built_in!($locale, $name, "subject"),
            text: built_in!($locale, $name, "txt"),
            html: built_in!($locale, $name, "html"),
        }
    };
    ($locale:literal, $name:literal, $part:literal) => {
        Source {
            file: concat!("built-in/", $locale, "/", $name, ".", $part).to_owned(),
            text: include_str!(concat!("templates/", $locale, "/", $name, ".", $part)).to_owned(),
        }
    };
}

/// What mails say, by language and purpose. Each language has a set for `default`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Templates {
    directory: Option<PathBuf>,
    sets: BTreeMap<(Locale, Purpose), TemplateSet>,
}

impl Default for Templates {
    /// Those that are built in.
    fn default() -> Self {
        let sets = [
            ((Locale::EN, default_purpose()), built_in!("en", "default")),
            ((Locale::ES, default_purpose()), built_in!("es", "default")),
            ((Locale::EN, Purpose::password_changed()), built_in!("en", "password-changed")),
            ((Locale::ES, Purpose::password_changed()), built_in!("es", "password-changed")),
        ];
        Self { directory: None, sets: sets.into() }
    }
}

impl Templates {
    /// The built-in templates, and those in `directory` instead of them or beside them:
    /// `directory/LOCALE/PURPOSE.subject`, `.txt` and `.html`. Names that begin with a dot are passed over.
    ///
    /// # Errors
    /// [`TemplateError`], the first in the order of the files' names.
    pub fn load(directory: &Path) -> Result<Self, TemplateError> {
        let mut templates = Self { directory: Some(directory.to_owned()), ..Self::default() };
        for folder in visible_entries(directory)? {
            let locale = locale_of(&folder)?;
            let mut purposes: BTreeSet<Purpose> =
                visible_entries(&folder)?.iter().map(|file| purpose_of(file)).collect::<Result<_, _>>()?;
            if templates.best_locale(locale) != Some(locale) {
                purposes.insert(default_purpose());
            }
            for purpose in purposes {
                let set = TemplateSet::read(&folder, &purpose)?;
                checking::check(&set, locale, (purpose.as_str() != DEFAULT_PURPOSE).then_some(&purpose))?;
                templates.sets.insert((locale, purpose), set);
            }
        }
        Ok(templates)
    }

    /// The operator's directory, if there is one.
    pub fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    /// The languages that there are templates for.
    pub fn locales(&self) -> impl Iterator<Item = Locale> {
        self.sets.keys().map(|(locale, _)| *locale).collect::<BTreeSet<_>>().into_iter()
    }

    /// The language nearest to `asked` that there are templates for: itself, else a broader one, `es` for `es-MX`.
    pub fn best_locale(&self, asked: Locale) -> Option<Locale> {
        asked.and_broader().find(|locale| self.sets.contains_key(&(*locale, default_purpose())))
    }

    /// The set for a mail, and the language it is in: that which was `asked` for, else the `application`'s, else English.
    pub(super) fn choose(&self, asked: Locale, application: Locale, purpose: &Purpose) -> (Locale, &TemplateSet) {
        if purpose.is_notice() {
            return self.choose_notice([asked, application], purpose);
        }
        let locale = [asked, application].into_iter().find_map(|wanted| self.best_locale(wanted)).unwrap_or(Locale::EN);
        let own = self.sets.get(&(locale, purpose.clone()));
        let set = own.or_else(|| self.sets.get(&(locale, default_purpose())));
        (locale, set.expect("each language has a default, English is built in"))
    }

    /// A notice says something else than a mail with a number, so the latter never stands in for it; English does.
    fn choose_notice(&self, wanted: [Locale; 2], notice: &Purpose) -> (Locale, &TemplateSet) {
        let locales = wanted.into_iter().flat_map(Locale::and_broader).chain([Locale::EN]);
        let mut sets = locales.filter_map(|locale| Some((locale, self.sets.get(&(locale, notice.clone()))?)));
        sets.next().expect("each notice is built in in English")
    }

    /// All of them, ready to be filled in.
    pub(super) fn environment(&self) -> Environment<'static> {
        let mut environment = strict_environment();
        for set in self.sets.values() {
            set.add_to(&mut environment).expect("they were checked when they were read, the built-in ones in the tests");
        }
        environment
    }
}

fn default_purpose() -> Purpose {
    Purpose::parse(DEFAULT_PURPOSE).expect("a constant word")
}

/// What the mails of one purpose say in one language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TemplateSet {
    pub subject: Source,
    pub text: Source,
    pub html: Source,
}

/// A template and the file that it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub file: String,
    pub text: String,
}

/// A mail's parts, filled in.
pub(super) struct Filled {
    pub subject: String,
    pub text: String,
    pub html: String,
}

impl TemplateSet {
    fn read(folder: &Path, purpose: &Purpose) -> Result<Self, TemplateError> {
        let part = |extension| Source::read(&folder.join(format!("{purpose}.{extension}")));
        Ok(Self { subject: part("subject")?, text: part("txt")?, html: part("html")? })
    }

    /// Under its files' names: what is inserted where the name ends in `.html` is escaped.
    pub fn add_to(&self, environment: &mut Environment<'static>) -> Result<(), minijinja::Error> {
        [&self.subject, &self.text, &self.html]
            .into_iter()
            .try_for_each(|source| environment.add_template_owned(source.file.clone(), source.text.clone()))
    }

    /// Fills it in, from an environment that it was added to.
    pub fn fill(&self, environment: &Environment<'_>, facts: &Facts<'_>) -> Result<Filled, minijinja::Error> {
        let body = facts.for_body();
        let subject = environment.get_template(&self.subject.file)?.render(facts.for_subject())?;
        Ok(Filled {
            subject: subject.trim().to_owned(),
            text: environment.get_template(&self.text.file)?.render(&body)?,
            html: environment.get_template(&self.html.file)?.render(&body)?,
        })
    }
}

impl Source {
    fn read(path: &Path) -> Result<Self, TemplateError> {
        let file = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) => Ok(Self { file, text: text.replace("\r\n", "\n") }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(TemplateError::MissingPart { file }),
            Err(error) => Err(TemplateError::Unreadable { file, cause: error.to_string() }),
        }
    }
}

/// An environment in which whatever is not defined is an error.
pub(super) fn strict_environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment
}

/// What is in `directory`, by name, without what begins with a dot, as editors and mounted volumes leave it there.
fn visible_entries(directory: &Path) -> Result<Vec<PathBuf>, TemplateError> {
    let unreadable =
        |error: io::Error| TemplateError::Unreadable { file: directory.display().to_string(), cause: error.to_string() };
    let entries: Vec<_> = fs::read_dir(directory).and_then(Iterator::collect).map_err(unreadable)?;
    let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    paths.retain(|path| !name_of(path).starts_with('.'));
    paths.sort();
    Ok(paths)
}

fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

fn locale_of(folder: &Path) -> Result<Locale, TemplateError> {
    let name = name_of(folder);
    let locale = Locale::parse(name).ok().filter(|locale| locale.as_str() == name && folder.is_dir());
    let mend = "must be a directory named by a language tag such as es or pt-BR";
    locale.ok_or_else(|| TemplateError::Misplaced { file: folder.display().to_string(), mend })
}

fn purpose_of(file: &Path) -> Result<Purpose, TemplateError> {
    let mend = "must be named by a purpose, or default, and .subject, .txt or .html";
    let (stem, part) = name_of(file).split_once('.').unwrap_or_default();
    let purpose = Purpose::of_mail(stem).ok().filter(|_| matches!(part, "subject" | "txt" | "html"));
    purpose.ok_or_else(|| TemplateError::Misplaced { file: file.display().to_string(), mend })
}
