//! Every argument of every verb, as the binary's own help tells them: a new one is among them without a word here.

use super::TestEnv;

/// A verb that does something, and what may be said to it.
#[derive(Debug)]
pub struct Verb {
    /// For example `admin`, `keys`, `create`.
    pub words: Vec<String>,
    /// What its positional arguments are called, in their order.
    pub positional: Vec<String>,
    /// In the order of the help.
    pub options: Vec<Flag>,
}

/// An option.
#[derive(Debug)]
pub struct Flag {
    /// For example `--metadata`.
    pub name: String,
    /// What its value is called, for example `NAME=VALUE`; empty when it has none.
    pub kind: String,
    /// The environment variable that stands for it.
    pub variable: Option<String>,
}

impl Verb {
    /// For example `admin keys create`.
    pub fn name(&self) -> String {
        self.words.join(" ")
    }
}

/// All verbs, and those below them.
pub fn verbs(env: &TestEnv) -> Vec<Verb> {
    let mut found = Vec::new();
    walk(env, Vec::new(), &mut found);
    assert!(found.len() >= 25, "{found:?}");
    found
}

fn walk(env: &TestEnv, words: Vec<String>, found: &mut Vec<Verb>) {
    let help = env.run(&[&words[..], &["-h".to_owned()]].concat()).ok().stdout;
    let mut verb = Verb { words, positional: Vec::new(), options: Vec::new() };
    let (mut section, mut below) = ("", Vec::new());
    // Of each option, with its lines joined.
    let mut texts: Vec<String> = Vec::new();
    for line in help.lines() {
        let text = line.trim_start();
        let first = text.split(' ').next().unwrap_or_default();
        match (section, line.len() - text.len()) {
            (_, 0) => section = text,
            ("Commands:", 2) if first != "help" => below.push(first.to_owned()),
            ("Arguments:", 2) => verb.positional.push(name_of_value(text)),
            ("Commands:" | "Arguments:", _) => {}
            // With a short form, or without.
            (_, 2 | 6) if first.starts_with('-') => texts.push(text.to_owned()),
            _ => texts.last_mut().unwrap().extend([" ", text]),
        }
    }
    verb.options = texts.iter().map(|text| flag(text)).collect();
    if below.is_empty() {
        found.push(verb);
        return;
    }
    for word in below {
        walk(env, [&verb.words[..], &[word]].concat(), found);
    }
}

/// Of `-o, --output <FILE>  Where to write [env: VODFERRY_OUTPUT=]`.
fn flag(text: &str) -> Flag {
    let long = &text[text.find("--").unwrap()..];
    let name = long.split([' ', '[', '=']).next().unwrap();
    let behind = long[name.len()..].trim_start_matches(['[', '=', ' ']);
    let variable = text.split_once("[env: ").and_then(|(_, text)| text.split(['=', ']']).next());
    Flag {
        name: name.to_owned(),
        kind: if behind.starts_with('<') { name_of_value(behind) } else { String::new() },
        variable: variable.map(str::to_owned),
    }
}

/// Of `<FILE>...` or `[FILE]`.
fn name_of_value(text: &str) -> String {
    text[1..].split(['>', ']']).next().unwrap().to_owned()
}
