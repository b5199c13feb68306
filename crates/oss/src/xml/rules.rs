//! The rules of a bucket: which pages may use it (CORS), and when what in it ends (lifecycle).
//!
//! What was put is given back whole, with what this crate has no word for, such as transitions to other storage classes;
//! so both are read into values, and kept as the text of [`normalised`](super::normalised).

use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use super::element::Element;
use super::{Document, XmlError};
use crate::text::parse_u64;
use crate::time::parse_iso;

/// Why rules cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// The document is not one of rules.
    #[error("{0}")]
    Xml(#[from] XmlError),
    /// It is one, but a value in it is none.
    #[error("{value} is no {name}")]
    Value {
        /// Of the element.
        name: &'static str,
        /// Its text.
        value: String,
    },
}

/// The request of PutBucketCors, the reply to GetBucketCors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CorsConfiguration {
    /// The first that matches decides.
    pub rules: Vec<CorsRule>,
    /// Replies say `Vary: Origin` whether there was an origin or not.
    pub response_vary: bool,
}

/// One rule of a CORS configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CorsRule {
    /// Each with one `*` at most.
    pub allowed_origins: Vec<String>,
    /// `GET`, `PUT`, `DELETE`, `POST`, `HEAD`.
    pub allowed_methods: Vec<String>,
    /// Each with one `*` at most.
    pub allowed_headers: Vec<String>,
    /// What a page may read of a reply.
    pub expose_headers: Vec<String>,
    /// How long a browser may remember the answer, in seconds.
    pub max_age_seconds: Option<u32>,
}

impl CorsConfiguration {
    /// Root of the document.
    pub const ROOT: &str = "CORSConfiguration";

    /// Reads it.
    ///
    /// # Errors
    /// Malformed, another document, an age that is no number, elements in what is a text.
    pub fn decode(body: &[u8]) -> Result<CorsConfiguration, RulesError> {
        let document = Document::parse(body, Self::ROOT)?;
        document.leaves(LEAVES);
        let wrong = Wrong::default();
        let rule = |rule: &Element<'_>| CorsRule {
            allowed_origins: texts(rule, "AllowedOrigin"),
            allowed_methods: texts(rule, "AllowedMethod"),
            allowed_headers: texts(rule, "AllowedHeader"),
            expose_headers: texts(rule, "ExposeHeader"),
            max_age_seconds: wrong.read(rule, "MaxAgeSeconds", number),
        };
        let rules = document.root.all("CORSRule").map(rule).collect();
        let response_vary = document.root.flag("ResponseVary");
        wrong.finish(document, CorsConfiguration { rules, response_vary })
    }
}

/// The request of PutBucketLifecycle, the reply to GetBucketLifecycle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LifecycleConfiguration {
    /// Each acts for itself.
    pub rules: Vec<LifecycleRule>,
}

/// One rule of a lifecycle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LifecycleRule {
    /// Names the rule; empty when the client chose none.
    pub id: String,
    /// Of what: keys that begin so; empty for all.
    pub prefix: String,
    /// `Enabled` or `Disabled`.
    pub status: String,
    /// And only objects that have all of these tags.
    pub tags: Vec<(String, String)>,
    /// When objects are deleted.
    pub expiration: Option<Term>,
    /// When unfinished uploads are aborted.
    pub abort_multipart_upload: Option<Term>,
    /// Names of its elements that are none of the above.
    pub others: Vec<String>,
}

/// When something ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Term {
    /// So many days after it was last modified or begun.
    Days(u32),
    /// At once, if it is from before this time (milliseconds since 1970).
    CreatedBefore(i64),
    /// Everything, from this time on (milliseconds since 1970).
    Date(i64),
}

impl LifecycleConfiguration {
    /// Root of the document.
    pub const ROOT: &str = "LifecycleConfiguration";

    /// Reads it.
    ///
    /// # Errors
    /// Malformed, another document, a rule without status, a term that says no time, a number of days or a date that
    /// is none, elements in what is a text.
    pub fn decode(body: &[u8]) -> Result<LifecycleConfiguration, RulesError> {
        let document = Document::parse(body, Self::ROOT)?;
        document.leaves(LEAVES);
        let wrong = Wrong::default();
        let rule = |rule: &Element<'_>| LifecycleRule {
            id: rule.text("ID").trim_ascii().into(),
            prefix: rule.text("Prefix").into(),
            status: document.required(rule, "Status").trim_ascii().into(),
            tags: rule
                .all("Tag")
                .map(|tag| (document.required(tag, "Key").into(), tag.text("Value").into()))
                .collect(),
            expiration: term(&document, &wrong, rule, "Expiration"),
            abort_multipart_upload: term(&document, &wrong, rule, "AbortMultipartUpload"),
            others: rule
                .children
                .iter()
                .map(|child| child.name)
                .filter(|name| !KNOWN.contains(name))
                .map(String::from)
                .collect(),
        };
        let rules = document.root.all("Rule").map(rule).collect();
        wrong.finish(document, LifecycleConfiguration { rules })
    }
}

/// What is read as a text. Written again it would be nothing but the elements in it, and a prefix that is lost is every key.
const LEAVES: &[&str] = &[
    "AllowedOrigin",
    "AllowedMethod",
    "AllowedHeader",
    "ExposeHeader",
    "MaxAgeSeconds",
    "ResponseVary",
    "ID",
    "Prefix",
    "Status",
    "Key",
    "Value",
    "Days",
    "CreatedBeforeDate",
    "Date",
];
const KNOWN: &[&str] = &["ID", "Prefix", "Status", "Tag", "Expiration", "AbortMultipartUpload"];

fn texts(of: &Element<'_>, name: &str) -> Vec<String> {
    of.all(name).map(|child| child.text.trim_ascii().into()).collect()
}

/// The first value that cannot be read.
#[derive(Default)]
struct Wrong(RefCell<Option<RulesError>>);

impl Wrong {
    /// The value of a child of `of`; `None` when there is none, it is empty, or it cannot be read.
    fn read<T>(
        &self,
        of: &Element<'_>,
        name: &'static str,
        parse: fn(&str) -> Option<T>,
    ) -> Option<T> {
        let text = of.text(name).trim_ascii();
        let value = parse(text);
        if value.is_none() && !text.is_empty() {
            self.0.borrow_mut().get_or_insert(RulesError::Value { name, value: text.into() });
        }
        value
    }

    /// What was read, if nothing was wrong.
    fn finish<T>(self, document: Document<'_>, value: T) -> Result<T, RulesError> {
        match self.0.into_inner() {
            Some(wrong) => Err(wrong),
            None => Ok(document.finish(value)?),
        }
    }
}

fn number(text: &str) -> Option<u32> {
    parse_u64(text).and_then(|number| u32::try_from(number).ok())
}

fn term(
    document: &Document<'_>,
    wrong: &Wrong,
    rule: &Element<'_>,
    name: &'static str,
) -> Option<Term> {
    let of = rule.all(name).next()?;
    let days = wrong.read(of, "Days", number).map(Term::Days);
    let created = wrong.read(of, "CreatedBeforeDate", parse_iso).map(Term::CreatedBefore);
    let date = wrong.read(of, "Date", parse_iso).map(Term::Date);
    let term = days.or(created).or(date);
    // Also one that holds something else, such as delete markers, of which there are none here.
    if term.is_none() || of.children.len() != 1 {
        document.note(XmlError::Value(name));
    }
    term
}
