//! The rules of a bucket as texts: what is kept of a document, and one that says a thing more.

use alloc::string::String;

use super::element::Element;
use super::rules::LifecycleConfiguration;
use super::{Document, XmlError, XmlWriter};

/// A document with this root as this crate writes it: without namespaces, attributes, comments and blanks between
/// elements. With `ids`, rules without an ID get `rule-1`, `rule-2` and so on, by where they stand; no other has it.
///
/// # Errors
/// Malformed, or another document.
pub fn normalised(body: &[u8], root: &'static str, ids: bool) -> Result<String, XmlError> {
    let document = Document::parse(body, root)?;
    let mut xml = XmlWriter::new();
    xml.open(root);
    for (index, rule) in document.root.children.iter().enumerate() {
        if !ids || rule.name != "Rule" || !rule.text("ID").trim_ascii().is_empty() {
            copy(&mut xml, rule);
            continue;
        }
        xml.open(rule.name);
        xml.text("ID", &free_id(&document.root.children, index));
        for child in rule.children.iter().filter(|child| child.name != "ID") {
            copy(&mut xml, child);
        }
        xml.close(rule.name);
    }
    xml.close(root);
    document.finish(xml.finish())
}

/// The lifecycle of `body` (empty: of a bucket without one) with one thing more: unfinished uploads of keys that begin with `prefix`
/// are aborted `days` after they were begun. An enabled rule of just this prefix, without tags, gets the term; where there is none, a
/// rule is added. What else the document holds stays as it is.
///
/// # Errors
/// Malformed, or another document.
pub fn with_abort_term(body: &[u8], prefix: &str, days: u32) -> Result<String, XmlError> {
    let empty = b"<LifecycleConfiguration/>".as_slice();
    let body = if body.is_empty() { empty } else { body };
    let document = Document::parse(body, LifecycleConfiguration::ROOT)?;
    let rules = &document.root.children;
    let fits = |rule: &&Element<'_>| {
        rule.name == "Rule"
            && rule.text("Prefix") == prefix
            && rule.text("Status").trim_ascii() == "Enabled"
            && rule.children.iter().all(|child| !matches!(child.name, "Tag" | "Filter"))
    };
    let fitting = rules.iter().find(fits);
    let mut xml = XmlWriter::new();
    xml.open(LifecycleConfiguration::ROOT);
    for rule in rules {
        if !fitting.is_some_and(|fitting| core::ptr::eq(fitting, rule)) {
            copy(&mut xml, rule);
            continue;
        }
        xml.open(rule.name);
        for child in rule.children.iter().filter(|child| child.name != ABORT) {
            copy(&mut xml, child);
        }
        abort_term(&mut xml, days);
        xml.close(rule.name);
    }
    if fitting.is_none() {
        let mut id = String::from("abort-unfinished");
        let mut number = 1;
        while rules.iter().any(|rule| has(rule, &id)) {
            number += 1;
            id = String::from("abort-unfinished-");
            crate::text::push_u64(&mut id, number);
        }
        xml.open("Rule");
        xml.text("ID", &id);
        xml.text("Prefix", prefix);
        xml.text("Status", "Enabled");
        abort_term(&mut xml, days);
        xml.close("Rule");
    }
    xml.close(LifecycleConfiguration::ROOT);
    document.finish(xml.finish())
}

fn free_id(rules: &[Element<'_>], index: usize) -> String {
    let mut number = index + 1;
    loop {
        let mut id = String::from("rule-");
        crate::text::push_u64(&mut id, number as u64);
        if !rules.iter().any(|rule| has(rule, &id)) {
            return id;
        }
        // So that no other rule without an ID comes to it.
        number += rules.len();
    }
}

fn has(rule: &Element<'_>, id: &str) -> bool {
    rule.text("ID").trim_ascii() == id
}

const ABORT: &str = "AbortMultipartUpload";

fn abort_term(xml: &mut XmlWriter, days: u32) {
    xml.open(ABORT);
    xml.number("Days", days.into());
    xml.close(ABORT);
}

/// As deep as the reader lets documents be.
fn copy(xml: &mut XmlWriter, element: &Element<'_>) {
    if element.children.is_empty() {
        xml.text(element.name, &element.text);
        return;
    }
    xml.open(element.name);
    for child in &element.children {
        copy(xml, child);
    }
    xml.close(element.name);
}
