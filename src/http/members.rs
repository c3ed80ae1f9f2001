//! The members of a JSON object, taken one by one and strictly: each at most once, none unknown, all of the type that
//! is asked for. Refusals name members and never repeat values.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::problem::{Code, Problem};
use crate::domain::Token;

/// The deepest nesting of objects and arrays, the body itself counted.
const DEEPEST: usize = 16;

/// The members of an object that have not been taken yet.
pub(super) struct Members<'a> {
    /// How the API spells a way into this object: nothing, or the object's name and a dot.
    prefix: &'static str,
    left: Vec<(String, &'a RawValue)>,
}

impl<'a> Members<'a> {
    /// The members of a body.
    pub fn of_body(body: &'a [u8]) -> Result<Self, Problem> {
        let text = str::from_utf8(body).map_err(|_| malformed("It is not UTF-8"))?;
        if is_too_deep(text) {
            return Err(malformed(format!("It may be nested {DEEPEST} deep at most")));
        }
        Self::of_text(text, "")
    }

    /// The one string `name` of a body that has nothing else, wiped when it is dropped.
    pub fn only_secret(body: &'a [u8], name: &'static str) -> Result<Zeroizing<String>, Problem> {
        let mut members = Self::of_body(body)?;
        let secret = members.required_secret(name)?;
        members.finish()?;
        Ok(secret)
    }

    fn of_text(text: &'a str, prefix: &'static str) -> Result<Self, Problem> {
        let Pairs(left) = serde_json::from_str(text).map_err(|error| {
            malformed(format!("It is not a JSON object: see line {}, column {}", error.line(), error.column()))
        })?;
        let members = Self { prefix, left };
        members.refuse_duplicates()?;
        Ok(members)
    }

    fn refuse_duplicates(&self) -> Result<(), Problem> {
        let mut names: Vec<&str> = self.left.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(self.problem(Code::FieldDuplicate, pair[0], "may stand there once only")),
            None => Ok(()),
        }
    }

    pub fn required_string(&mut self, name: &'static str) -> Result<String, Problem> {
        self.optional_string(name)?.ok_or_else(|| self.problem(Code::FieldMissing, name, "must be there: a string"))
    }

    /// A string that is wiped when it is dropped.
    pub fn required_secret(&mut self, name: &'static str) -> Result<Zeroizing<String>, Problem> {
        self.required_string(name).map(Zeroizing::new)
    }

    pub fn optional_string(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        let Some(raw) = self.take(name) else { return Ok(None) };
        if !raw.get().starts_with('"') {
            return Err(self.problem(Code::FieldType, name, "must be a string"));
        }
        text_of(raw).map(Some)
    }

    /// A whole number. What is beyond the ends of `u64` becomes that end: outside every range, for the rules to refuse.
    pub fn optional_whole_number(&mut self, name: &'static str) -> Result<Option<u64>, Problem> {
        let Some(raw) = self.take(name) else { return Ok(None) };
        let digits = raw.get().strip_prefix('-').unwrap_or(raw.get());
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(self.problem(Code::FieldType, name, "must be a whole number"));
        }
        let is_negative = digits.len() < raw.get().len();
        Ok(Some(if is_negative { 0 } else { digits.parse().unwrap_or(u64::MAX) }))
    }

    /// `prefix` is the name with a dot behind.
    pub fn optional_object(&mut self, name: &'static str, prefix: &'static str) -> Result<Option<Self>, Problem> {
        let Some(raw) = self.take(name) else { return Ok(None) };
        if !raw.get().starts_with('{') {
            return Err(self.problem(Code::FieldType, name, "must be an object"));
        }
        Self::of_text(raw.get(), prefix).map(Some)
    }

    /// An object's text, byte for byte.
    pub fn optional_object_text(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        let Some(raw) = self.take(name) else { return Ok(None) };
        if !raw.get().starts_with('{') {
            return Err(self.problem(Code::FieldType, name, "must be an object"));
        }
        Self::of_text(raw.get(), "")?; // no member of it may stand there twice
        Ok(Some(raw.get().to_owned()))
    }

    pub fn optional_bool(&mut self, name: &'static str) -> Result<Option<bool>, Problem> {
        let Some(raw) = self.take(name) else { return Ok(None) };
        let value = raw.get().parse().map_err(|_| self.problem(Code::FieldType, name, "must be true or false"))?;
        Ok(Some(value))
    }

    /// A string, or `null` as none.
    #[expect(clippy::option_option, reason = "not there, `null` and a string are three things")]
    pub fn optional_nullable_string(&mut self, name: &'static str) -> Result<Option<Option<String>>, Problem> {
        let is_null = |(present, raw): &(String, &RawValue)| present == name && raw.get() == "null";
        if self.left.iter().any(is_null) {
            self.take(name);
            return Ok(Some(None));
        }
        Ok(self.optional_string(name)?.map(Some))
    }

    /// A string that is wiped when it is dropped.
    pub fn optional_secret(&mut self, name: &'static str) -> Result<Option<Zeroizing<String>>, Problem> {
        Ok(self.optional_string(name)?.map(Zeroizing::new))
    }

    /// Refuses a member that cannot be changed, and says why.
    pub fn refuse(&mut self, name: &'static str, why: &'static str) -> Result<(), Problem> {
        self.take(name).map_or(Ok(()), |_| Err(self.problem(Code::FieldInvalid, name, why)))
    }

    /// Any JSON: a string as that string, `null` as none, everything else as its text, byte for byte.
    pub fn optional_token(&mut self, name: &'static str) -> Result<Option<Token>, Problem> {
        let Some(raw) = self.take(name) else { return Ok(None) };
        match raw.get() {
            "null" => Ok(None),
            text if text.starts_with('"') => text_of(raw).map(|text| Some(Token::Text(text))),
            json => Ok(Some(Token::Json(json.to_owned()))),
        }
    }

    /// Refuses what nobody took.
    pub fn finish(self) -> Result<(), Problem> {
        match self.left.first() {
            Some((name, _)) => Err(self.problem(Code::FieldUnknown, name, "is not known here")),
            None => Ok(()),
        }
    }

    fn take(&mut self, name: &'static str) -> Option<&'a RawValue> {
        let position = self.left.iter().position(|(present, _)| present == name)?;
        Some(self.left.remove(position).1)
    }

    fn problem(&self, code: Code, name: &str, what: &str) -> Problem {
        if !is_presentable(name) {
            return Problem::new(code, format!("A member {what}; its name is no name of ours"));
        }
        let field = format!("{}{name}", self.prefix);
        Problem::new(code, format!("{field} {what}")).with("field", field)
    }
}

/// Whether a member's name looks like a name, and not like a value that was put in the wrong place.
fn is_presentable(name: &str) -> bool {
    let is_word = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    name.len() <= 32 && name.starts_with(|c: char| c.is_ascii_alphabetic()) && is_word
}

fn text_of(string: &RawValue) -> Result<String, Problem> {
    serde_json::from_str(string.get()).map_err(|_| malformed("A string in it is not Unicode text"))
}

fn malformed(detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(Code::MalformedBody, detail)
}

/// Counts brackets outside of strings; on text that is not JSON it may say anything, and the parser refuses that text.
fn is_too_deep(text: &str) -> bool {
    let (mut depth, mut is_in_string, mut is_escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_in_string => is_escaped = true,
            b'"' => is_in_string = !is_in_string,
            b'{' | b'[' if !is_in_string => depth += 1,
            b'}' | b']' if !is_in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return true;
        }
    }
    false
}

/// An object's members in their order, duplicates included.
struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor).map(Pairs)
    }
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = object.next_entry()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_taken_byte_for_byte() {
        for (json, token) in [
            (r#""a\u0041 \"b\"""#, Some(Token::Text("aA \"b\"".to_owned()))),
            ("null", None),
            (r#"{ "b":1.0,"a" : [1e3] ,"a":2}"#, Some(Token::Json(r#"{ "b":1.0,"a" : [1e3] ,"a":2}"#.to_owned()))),
            ("-0.10", Some(Token::Json("-0.10".to_owned()))),
        ] {
            let body = format!(r#"{{"token": {json} }}"#);
            let mut members = Members::of_body(body.as_bytes()).ok().unwrap();
            assert!(members.optional_token("token").ok().unwrap() == token, "{json}");
        }
    }

    #[test]
    fn brackets_in_strings_do_not_nest() {
        assert!(!is_too_deep(&format!(r#"{{"token":"{}\"{}"}}"#, "[".repeat(20), "{".repeat(20))));
        assert!(!is_too_deep(&"[]".repeat(20)));
        assert!(!is_too_deep(&"[".repeat(16)));
        assert!(is_too_deep(&"[".repeat(17)));
    }

    #[test]
    fn whole_numbers_beyond_the_range_stay_outside_of_every_range() {
        for (json, number) in [("600", 600), ("-5", 0), ("99999999999999999999", u64::MAX)] {
            let body = format!(r#"{{"n":{json}}}"#);
            let mut members = Members::of_body(body.as_bytes()).ok().unwrap();
            assert_eq!(members.optional_whole_number("n").ok().unwrap(), Some(number), "{json}");
        }
    }
}
