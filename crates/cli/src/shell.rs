//! Commands as text that can be pasted into a shell.

use std::ffi::{OsStr, OsString};

use crate::output;

/// Flags whose value may be a secret, and the variable that can hold it instead.
const SECRET_FLAGS: [(&str, &str); 5] = [
    ("--credentials-command", "$VODFERRY_CREDENTIALS_COMMAND"),
    ("--proxy", "$VODFERRY_PROXY"),
    ("--token", "$VODFERRY_TOKEN"),
    ("--address", "$VODFERRY_ADDRESS"),
    ("--auth", "$VODFERRY_AUTH"),
];

/// One word, quoted where the shell would read it otherwise. What a terminal would not show as it is (control characters, bytes that
/// are not UTF-8) is written as `$'…'`, which bash, zsh and ksh read.
pub(crate) fn quote(word: &OsStr) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=@%+,".contains(c);
    match word.to_str() {
        Some(word) if !word.is_empty() && word.chars().all(plain) => word.to_owned(),
        Some(word) if !word.contains(output::is_unfit) => {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
        _ => escaped(word.as_encoded_bytes()),
    }
}

fn escaped(bytes: &[u8]) -> String {
    let mut word = "$'".to_owned();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\'' | '\\' => word.extend(['\\', c]),
                c if output::is_unfit(c) => octal(&mut word, c.encode_utf8(&mut [0; 4]).as_bytes()),
                c => word.push(c),
            }
        }
        octal(&mut word, chunk.invalid());
    }
    word.push('\'');
    word
}

fn octal(word: &mut String, bytes: &[u8]) {
    bytes.iter().for_each(|byte| word.push_str(&format!("\\{byte:03o}")));
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
        assert_eq!(quote(OsStr::new("it's\n\u{1b}1\\")), r"$'it\'s\012\0331\\'");
    }

    #[cfg(unix)]
    #[test]
    fn a_shell_reads_every_name_as_it_is() {
        use std::os::unix::ffi::OsStrExt;
        if std::process::Command::new("bash").arg("--version").output().is_err() {
            println!("skipped: no bash here");
            return;
        }
        let every: Vec<u8> = (1..=255).collect();
        for name in [b"\xff\xfe it's\r\n\t7".as_slice(), "a\u{202e}4pm.exe".as_bytes(), &every] {
            let quoted = quote(OsStr::from_bytes(name));
            assert!(!quoted.contains(output::is_unfit), "{quoted:?}");
            let script = format!("printf %s {quoted}");
            let read = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
            assert_eq!(read.stdout, name, "{quoted}");
        }
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
