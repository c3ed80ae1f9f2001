//! What leads out of a mail, or fetches something into it.

use super::tags::line_at;

/// In whatever text.
const MARKS: [&str; 9] = ["://", "http:", "https:", "www.", "mailto:", "javascript:", "url(", "@import", "image-set("];

/// With something else than a letter, digit or hyphen after it.
const ELEMENTS: [&str; 20] = [
    "<a",
    "<area",
    "<audio",
    "<base",
    "<button",
    "<embed",
    "<form",
    "<frame",
    "<iframe",
    "<image",
    "<img",
    "<input",
    "<link",
    "<object",
    "<script",
    "<select",
    "<source",
    "<svg",
    "<textarea",
    "<video",
];

/// With `=` after it, and no letter or digit before it.
const ATTRIBUTES: [&str; 12] = [
    "action",
    "background",
    "formaction",
    "href",
    "onclick",
    "onerror",
    "onload",
    "onmouseover",
    "poster",
    "src",
    "srcset",
    "url",
];

/// The first of them in `text`, in any case, and the line that it stands on.
pub(super) fn first(text: &str) -> Option<(usize, &'static str)> {
    let text = text.to_ascii_lowercase();
    let marks = MARKS.into_iter().filter_map(|mark| Some((text.find(mark)?, mark)));
    let elements = ELEMENTS.into_iter().filter_map(|name| Some((find(&text, name, is_element)?, name)));
    let attributes = ATTRIBUTES.into_iter().filter_map(|name| Some((find(&text, name, is_attribute)?, name)));
    marks.chain(elements).chain(attributes).min().map(|(offset, found)| (line_at(&text, offset), found))
}

fn find(text: &str, name: &str, is_one: fn(&str, &str) -> bool) -> Option<usize> {
    let mut places = text.match_indices(name);
    places.find(|(offset, _)| is_one(&text[..*offset], &text[offset + name.len()..])).map(|(offset, _)| offset)
}

fn is_element(_: &str, after: &str) -> bool {
    !after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-')
}

fn is_attribute(before: &str, after: &str) -> bool {
    !before.ends_with(|c: char| c.is_ascii_alphanumeric()) && after.trim_start().starts_with('=')
}
