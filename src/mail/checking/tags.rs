//! Where things stand in a template, for refusals that name the line. The template engine itself tells the lines of its own
//! errors only.

/// What stands between `{{` and `}}` or `{%` and `%}`, with the line that it begins on.
pub(super) struct Tags(Vec<(usize, String)>);

impl Tags {
    pub fn of(template: &str) -> Self {
        let text = without_comments(template);
        let mut tags = Vec::new();
        let mut from = 0;
        while let Some((start, length)) = next_tag(&text[from..]) {
            let begins = from + start;
            tags.push((line_at(&text, begins), text[begins..begins + length].to_owned()));
            from = begins + length;
        }
        Self(tags)
    }

    /// The first line on which a tag uses the variable `name`.
    pub fn line_of(&self, name: &str) -> Option<usize> {
        self.0.iter().find_map(|(line, inside)| {
            let uses = |(offset, _): &(usize, &str)| is_variable(inside, *offset, name.len());
            let (offset, _) = inside.match_indices(name).find(uses)?;
            Some(line - 1 + line_at(inside, offset))
        })
    }

    /// The line of the first tag that can give a text of its own: one with a string literal that is no condition.
    pub fn line_of_text(&self) -> Option<usize> {
        let is_condition =
            |inside: &str| matches!(inside.trim_start_matches(['-', ' ']).split(char::is_whitespace).next(), Some("if" | "elif"));
        let gives_text = |(_, inside): &&(usize, String)| inside.contains(['"', '\'']) && !is_condition(inside);
        self.0.iter().find(gives_text).map(|(line, _)| *line)
    }

    /// The string literals.
    pub fn quoted(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|(_, inside)| inside.split(['"', '\'']).skip(1).step_by(2))
    }
}

/// `template` with nothing left of its comments but their line ends.
pub(super) fn without_comments(template: &str) -> String {
    let mut kept = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{#") {
        let (comment, beyond) = after.split_once("#}").unwrap_or((after, ""));
        kept.push_str(before);
        kept.extend(comment.chars().filter(|c| *c == '\n'));
        rest = beyond;
    }
    kept + rest
}

/// The line of `text`, from 1, that `offset` is on.
pub(super) fn line_at(text: &str, offset: usize) -> usize {
    1 + text[..offset].matches('\n').count()
}

/// Where the inside of the next tag begins, and its length.
fn next_tag(text: &str) -> Option<(usize, usize)> {
    let (opening, end) = [("{{", "}}"), ("{%", "%}")].iter().filter_map(|(start, end)| Some((text.find(start)?, end))).min()?;
    let begins = opening + 2;
    Some((begins, text[begins..].find(end).unwrap_or(text.len() - begins)))
}

/// Whether a name of this length at `offset` is a whole one, outside string literals.
fn is_variable(inside: &str, offset: usize, length: usize) -> bool {
    let (before, after) = (&inside[..offset], &inside[offset + length..]);
    let goes_on = |c: char| c.is_alphanumeric() || c == '_';
    let is_whole = !before.ends_with(|c| goes_on(c) || c == '.') && !after.starts_with(goes_on);
    is_whole && before.matches('"').count() % 2 == 0 && before.matches('\'').count() % 2 == 0
}
