//! What flags take that is neither a number nor plain text.

use globset::{Glob, GlobBuilder};

/// Reads a pattern of file names: `*` and `?` match no `/`, `**` does; `[…]` and `{a,b}` as shells know them.
pub(crate) fn parse_glob(text: &str) -> Result<Glob, String> {
    if text.is_empty() {
        return Err("an empty pattern matches nothing".into());
    }
    let glob = GlobBuilder::new(text.trim_end_matches('/')).literal_separator(true).build();
    glob.map_err(|error| error.kind().to_string())
}

/// Reads `NAME: VALUE`.
pub(crate) fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once(':')
        .filter(|(name, _)| !name.trim().is_empty())
        .ok_or("a header is NAME: VALUE, for example Cache-Control: no-cache")?;
    Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
}

/// Reads `NAME=VALUE`, and gives the header that keeps it.
pub(crate) fn parse_metadata(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.trim().is_empty())
        .ok_or("metadata is NAME=VALUE, for example author=me")?;
    Ok((format!("x-oss-meta-{}", name.trim().to_ascii_lowercase()), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_know_folders() {
        let matches =
            |glob: &str, path: &str| parse_glob(glob).unwrap().compile_matcher().is_match(path);
        assert!(matches("*.mp4", "a.mp4") && !matches("*.mp4", "x/a.mp4"));
        assert!(matches("**/*.mp4", "x/y/a.mp4") && matches("**/*.mp4", "a.mp4"));
        assert!(matches("{a,b}.mp[34]", "b.mp3") && matches("raw/", "raw"));
        assert!(parse_glob("").is_err() && parse_glob("a[").is_err());
    }

    #[test]
    fn headers_and_metadata() {
        let header = parse_header("Cache-Control:  max-age=5").unwrap();
        assert_eq!(header, ("cache-control".into(), "max-age=5".into()));
        let metadata = parse_metadata("Author=a=b").unwrap();
        assert_eq!(metadata, ("x-oss-meta-author".into(), "a=b".into()));
        assert!(parse_header("no colon").is_err() && parse_header(": x").is_err());
        assert!(parse_metadata("no").is_err() && parse_metadata("=x").is_err());
    }
}
