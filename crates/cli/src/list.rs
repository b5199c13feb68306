//! The files of `upload --list`: one JSON object per line, a file each, with what is to be said of it alone.
//!
//! The names are those of the flags with `_` for `-`. What a line says wins over the flag, which speaks for all files; headers and metadata
//! are added to those of the flags. An unknown name is an error: a misspelt title that is silently left out costs more.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::cli::{ImageType, MediaArgs, ObjectArgs};
use crate::error::Failure;

/// A line of the list.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    /// The file; from the folder in which the command runs, where it is not absolute.
    pub(crate) path: PathBuf,
    /// Of those that wait, the file of the highest number starts first. Default 0.
    #[serde(default)]
    pub(crate) start_priority: i32,
    pub(crate) endpoint: Option<String>,
    pub(crate) bucket: Option<String>,
    pub(crate) key: Option<String>,
    title: Option<String>,
    tags: Option<Vec<String>>,
    description: Option<String>,
    category: Option<i64>,
    cover_url: Option<String>,
    template_group: Option<String>,
    workflow: Option<String>,
    storage_location: Option<String>,
    app_id: Option<String>,
    user_data: Option<String>,
    priority: Option<u8>,
    watermark: Option<bool>,
    process: Option<bool>,
    image: Option<bool>,
    image_type: Option<ImageType>,
    content_type: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

/// The lines of the list at `path`, or of standard input for `-`.
pub(crate) fn read(path: &Path) -> Result<Vec<Line>, Failure> {
    let text = match path.as_os_str() == "-" {
        true => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map(|_| text)
        }
        false => std::fs::read_to_string(path),
    };
    let text = text.map_err(|error| Failure::file("read", path, &error))?;
    parse(&text).map_err(|(number, why)| {
        Failure::usage(format!("{}, line {number}: {why}", path.display())).hint(
            "a line is a JSON object, for example {\"path\": \"a.mp4\", \"title\": \"A\", \"tags\": [\"sea\"]}",
        )
    })
}

/// Lines, or the number of the first that is none, and why. Empty ones are passed over, and so is the mark that editors on Windows begin a
/// file with.
fn parse(text: &str) -> Result<Vec<Line>, (usize, String)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(at, text)| {
            let line: Line = serde_json::from_str(text).map_err(|error| (at + 1, why(&error)))?;
            line.check().map_err(|why| (at + 1, why.to_owned()))?;
            Ok(line)
        })
        .collect()
}

/// The parser's words; the line is known better here.
fn why(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split_once(" at line ") {
        Some((what, _)) => format!("{what}, at column {}", error.column()),
        None => text,
    }
}

impl Line {
    fn check(&self) -> Result<(), &'static str> {
        if self.path.as_os_str().is_empty() {
            return Err("the path is empty");
        }
        if self.path.as_os_str() == "-" {
            return Err("standard input is named on the command line alone; ./- is a file");
        }
        if self.priority.is_some_and(|priority| !(1..=10).contains(&priority)) {
            return Err("priority is from 1 to 10");
        }
        if [&self.endpoint, &self.bucket, &self.key].into_iter().any(|at| at.as_deref() == Some(""))
        {
            return Err("endpoint, bucket and key are not empty where they are said");
        }
        Ok(())
    }

    /// Whether it says where its object goes.
    pub(crate) fn has_place(&self) -> bool {
        self.endpoint.is_some() || self.bucket.is_some() || self.key.is_some()
    }

    /// What is said of it to a video service, where the flags say `all`.
    pub(crate) fn media(&self, all: &MediaArgs) -> MediaArgs {
        let text = |own: &Option<String>, all: &Option<String>| own.clone().or_else(|| all.clone());
        MediaArgs {
            image: self.image.unwrap_or(all.image),
            image_type: self.image_type.or(all.image_type),
            title: text(&self.title, &all.title),
            tags: self.tags.clone().unwrap_or_else(|| all.tags.clone()),
            description: text(&self.description, &all.description),
            category: self.category.or(all.category),
            cover_url: text(&self.cover_url, &all.cover_url),
            template_group: text(&self.template_group, &all.template_group),
            workflow: text(&self.workflow, &all.workflow),
            storage_location: text(&self.storage_location, &all.storage_location),
            app_id: text(&self.app_id, &all.app_id),
            user_data: text(&self.user_data, &all.user_data),
            priority: self.priority.or(all.priority),
            watermark: self.watermark.or(all.watermark),
            process: self.process.or(all.process),
        }
    }

    /// What its object says about itself, where the flags say `all`.
    pub(crate) fn object(&self, all: &ObjectArgs) -> ObjectArgs {
        let named = |(name, value): (&String, &String)| (name.to_ascii_lowercase(), value.clone());
        let kept = |(name, value): (&String, &String)| {
            (format!("x-oss-meta-{}", name.to_ascii_lowercase()), value.clone())
        };
        ObjectArgs {
            content_type: self.content_type.clone().or_else(|| all.content_type.clone()),
            header: all.header.iter().cloned().chain(self.headers.iter().map(named)).collect(),
            metadata: all.metadata.iter().cloned().chain(self.metadata.iter().map(kept)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Verb};

    #[test]
    fn what_a_line_says_wins_and_the_flags_speak_for_the_rest() {
        let typed =
            ["vodferry", "upload", "--title", "T", "--tags", "a,b", "--metadata", "x=1", "f"];
        let Verb::Upload(flags) = Cli::parse_from(typed).verb else { panic!("an upload") };
        let text = r#"{"path": "a.png", "tags": ["c"], "image": true, "metadata": {"Y": "2"}}"#;
        let line = parse(text).unwrap().remove(0);
        let media = line.media(&flags.media);
        assert_eq!((media.title.as_deref(), media.tags), (Some("T"), vec!["c".to_owned()]));
        assert!(media.image && !line.has_place());
        let metadata = line.object(&flags.object).metadata;
        let wanted = [("x-oss-meta-x", "1"), ("x-oss-meta-y", "2")];
        assert_eq!(metadata, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_line() {
        assert_eq!(parse("\u{feff}{\"path\": \"a\"}\r\n").unwrap().len(), 1);
        assert_eq!(parse("{\"path\": \"a\"}\n\u{feff}{\"path\": \"b\"}").unwrap_err().0, 2);
    }

    #[test]
    fn the_line_that_is_wrong_is_named() {
        for (wrong, why) in [
            ("{\"path\": \"a\", \"titel\": \"x\"}", "titel"),
            ("{\"title\": \"x\"}", "path"),
            ("{\"path\": \"\"}", "empty"),
            ("{\"path\": \"-\"}", "standard input"),
            ("{\"path\": \"a\", \"priority\": 11}", "priority"),
            ("{\"path\": \"a\", \"key\": \"\"}", "key"),
            ("a.mp4", "expected"),
        ] {
            let text = format!("{{\"path\": \"a\"}}\n\n{wrong}\n");
            let (number, told) = parse(&text).unwrap_err();
            assert_eq!(number, 3);
            assert!(told.contains(why) && !told.contains("at line"), "{told}");
        }
    }
}
