//! Commands as text that can be pasted into a shell.

use std::ffi::{OsStr, OsString};

/// Flags whose value may be a secret, and the variable that can hold it instead.
const SECRET_FLAGS: [(&str, &str); 3] = [
    ("--token", "$VODFERRY_TOKEN"),
    ("--address", "$VODFERRY_ADDRESS"),
    ("--auth", "$VODFERRY_AUTH"),
];

/// One word, quoted where the shell would read it otherwise. What is not UTF-8 is shown with replacement characters.
pub(crate) fn quote(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A command line as it was typed, with variables in place of secrets.
pub(crate) fn without_secrets(typed: impl IntoIterator<Item = OsString>) -> String {
    let mut words = Vec::new();
    let mut secret: Option<&str> = None;
    for (position, word) in typed.into_iter().enumerate() {
        if let Some(variable) = secret.take() {
            words.push(format!("\"{variable}\""));
            continue;
        }
        let text = word.to_string_lossy();
        let flag = text.split('=').next().unwrap_or_default();
        match SECRET_FLAGS.iter().find(|(name, _)| *name == flag) {
            Some((name, variable)) if text.contains('=') => {
                words.push(format!("{name}=\"{variable}\""))
            }
            Some((name, variable)) => {
                words.push((*name).to_owned());
                secret = Some(variable);
            }
            None if position == 0 => words.push("vodferry".to_owned()),
            None => words.push(quote(&word)),
        }
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_the_shell() {
        assert_eq!(quote(OsStr::new("a.mp4")), "a.mp4");
        assert_eq!(quote(OsStr::new("电影.mp4")), "电影.mp4");
        assert_eq!(quote(OsStr::new("two words")), "'two words'");
        assert_eq!(quote(OsStr::new("it's")), r"'it'\''s'");
        assert_eq!(quote(OsStr::new("")), "''");
        assert_eq!(quote(OsStr::new("$(rm)")), "'$(rm)'");
    }

    #[test]
    fn secrets_become_variables() {
        let typed = [
            "/usr/bin/vodferry",
            "upload",
            "my film",
            "--token",
            "hush",
            "--auth=hush",
            "--parallel",
            "3",
        ];
        assert_eq!(
            without_secrets(typed.map(OsString::from)),
            "vodferry upload 'my film' --token \"$VODFERRY_TOKEN\" --auth=\"$VODFERRY_AUTH\" --parallel 3"
        );
    }
}
