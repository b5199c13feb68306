//! Patterns with wildcards, as policies have them.

use std::str::Chars;

/// Matches an action or a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// `*` stands for any run of characters, `/` included, `?` for any single one.
    Glob(String),
    /// Exactly this text; `*` and `?` are themselves. Names that came from outside belong here.
    Literal(String),
}

impl Pattern {
    /// A glob where `text` has wildcards, else the text itself.
    pub(super) fn of(text: &str) -> Pattern {
        match text.contains(['*', '?']) {
            true => Pattern::Glob(text.to_owned()),
            false => Pattern::Literal(text.to_owned()),
        }
    }

    /// Whether this matches the whole of `text`.
    ///
    /// Takes at most pattern length × text length steps: only the last `*` is ever tried again.
    pub fn matches(&self, text: &str) -> bool {
        self.matches_by(text, |a, b| a == b)
    }

    /// As [`matches`](Self::matches), in any case of ASCII letters: a Deny that its author spelt
    /// `oss:deleteObject` must not be none.
    pub fn matches_ignore_case(&self, action: &str) -> bool {
        self.matches_by(action, |a, b| a.eq_ignore_ascii_case(&b))
    }

    fn matches_by(&self, text: &str, same: impl Fn(char, char) -> bool) -> bool {
        let glob = match self {
            Pattern::Literal(literal) => {
                return literal.len() == text.len()
                    && literal.chars().zip(text.chars()).all(|(a, b)| same(a, b));
            }
            Pattern::Glob(glob) => glob,
        };
        let (mut pattern, mut text) = (glob.chars(), text.chars());
        // Where to go on when the rest does not match: the pattern behind the last star, and the
        // text that this star has not eaten yet.
        let mut retry: Option<(Chars<'_>, Chars<'_>)> = None;
        loop {
            let before = text.clone();
            match (pattern.next(), text.next()) {
                (Some('*'), _) => {
                    text = before;
                    retry = Some((pattern.clone(), text.clone()));
                }
                (Some('?'), Some(_)) => {}
                (Some(p), Some(t)) if same(p, t) => {}
                (None, None) => return true,
                _ => {
                    let Some((behind, uneaten)) = &mut retry else { return false };
                    if uneaten.next().is_none() {
                        return false;
                    }
                    pattern = behind.clone();
                    text = uneaten.clone();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn glob(text: &str) -> Pattern {
        Pattern::Glob(text.to_owned())
    }

    #[test]
    fn wildcards() {
        for (pattern, text, matches) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "a/b/c", true),
            ("a*", "a", true),
            ("a*c", "abbc", true),
            ("a*c", "abbcd", false),
            ("a/*/c", "a/x/y/c", true),
            ("*.mp4", "sv/1/film.mp4", true),
            ("*.mp4", "sv/1/film.mp4.txt", false),
            ("?", "", false),
            ("?", "/", true),
            ("?", "é", true),
            ("a?c", "a中c", true),
            ("a?c", "ac", false),
            ("a?c", "a中中c", false),
            ("**a**", "bab", true),
            ("a*b*c", "a-b-b-c-c", true),
            ("a*b*c", "a-c-b", false),
            ("*ab", "aab", true),
        ] {
            assert_eq!(glob(pattern).matches(text), matches, "{pattern} on {text}");
        }
        assert!(Pattern::Literal("a*".to_owned()).matches("a*"));
        assert!(!Pattern::Literal("a*".to_owned()).matches("ab"));
        assert!(!Pattern::Literal("é".to_owned()).matches("ab"), "as many bytes");
    }

    #[test]
    fn only_actions_ignore_case() {
        for pattern in ["oss:putobject", "OSS:Put*", "oss:PutObjec?"] {
            assert!(Pattern::of(pattern).matches_ignore_case("oss:PutObject"), "{pattern}");
            assert!(!Pattern::of(pattern).matches("oss:PutOBJECT"), "{pattern}");
        }
    }

    #[test]
    fn many_stars_take_no_longer_than_few() {
        let pattern = glob(&"*a".repeat(500));
        let begun = Instant::now();
        assert!(!pattern.matches(&format!("{}b", "a".repeat(1000))));
        assert!(begun.elapsed().as_secs() < 5, "took {:?}", begun.elapsed());
    }
}
