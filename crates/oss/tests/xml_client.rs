//! What a client reads of a bucket, and the rules that it changes.

use proptest::prelude::*;
use vodferry_oss::xml::{
    LifecycleConfiguration, ListBucketResult, ListedObject, Paging, Term, XmlError, with_abort_term,
};

const T: i64 = 1_795_168_800_000;

fn object(key: &str) -> ListedObject {
    ListedObject {
        key: key.into(),
        last_modified_ms: T,
        etag: "00FF".into(),
        kind: "Normal".into(),
        size: 5,
        storage_class: "Standard".into(),
        owner: None,
    }
}

proptest! {
    #[test]
    fn a_listing_survives_the_wire(keys in proptest::collection::vec("[^\u{0}]{1,9}", 0..4), second: bool, next in "[a-z]{0,3}") {
        let paging = match second {
            true => Paging::Token { token: String::new(), next, start_after: "é".into() },
            false => Paging::Marker { marker: "a b".into(), next },
        };
        let page = ListBucketResult {
            name: "demo-bkt".into(),
            prefix: "a&b".into(),
            delimiter: "/".into(),
            max_keys: 7,
            is_truncated: true,
            paging,
            contents: keys.iter().map(|key| object(key)).collect(),
            common_prefixes: keys.clone(),
        };
        prop_assert_eq!(ListBucketResult::decode(page.encode(true).as_bytes()), Ok(page));
    }

    #[test]
    fn no_bytes_panic(body in any::<Vec<u8>>()) {
        let _ = ListBucketResult::decode(&body);
        let _ = with_abort_term(&body, "p", 1);
    }
}

#[test]
fn a_listing_needs_keys_and_sizes() {
    let decode = |inner: &str| {
        ListBucketResult::decode(format!("<ListBucketResult>{inner}</ListBucketResult>").as_bytes())
    };
    let sparse = decode("<Contents><Key>a</Key><Size>0</Size></Contents>").unwrap();
    assert_eq!(
        (sparse.is_truncated, sparse.contents.len(), sparse.contents[0].size),
        (false, 1, 0)
    );
    let without = |inner: &str| decode(&format!("<Contents>{inner}</Contents>")).unwrap_err();
    assert_eq!(without("<Size>1</Size>"), XmlError::Missing("Key"));
    assert_eq!(without("<Key>a</Key>"), XmlError::Missing("Size"));
    assert_eq!(without("<Key>a</Key><Size>-1</Size>"), XmlError::Value("Size"));
}

fn rules(text: &str) -> Vec<(String, String, Option<Term>)> {
    let rules = LifecycleConfiguration::decode(text.as_bytes()).unwrap().rules;
    let of = |rule: vodferry_oss::xml::LifecycleRule| {
        (rule.id, rule.prefix, rule.abort_multipart_upload)
    };
    rules.into_iter().map(of).collect()
}

#[test]
fn the_abort_term_joins_the_rules_that_are_there() {
    let first = with_abort_term(b"", "sv/", 7).unwrap();
    let rule =
        |id: &str, prefix: &str, days| (id.to_owned(), prefix.to_owned(), Some(Term::Days(days)));
    assert_eq!(rules(&first), [rule("abort-unfinished", "sv/", 7)]);
    let again = with_abort_term(first.as_bytes(), "sv/", 3).unwrap();
    assert_eq!(rules(&again), [rule("abort-unfinished", "sv/", 3)]);
    let both = with_abort_term(again.as_bytes(), "", 30).unwrap();
    assert_eq!(rules(&both)[1], rule("abort-unfinished-2", "", 30));
}

#[test]
fn what_else_the_rules_say_stays() {
    let kept = "<Rule><ID>tier</ID><Prefix>a/</Prefix><Status>Enabled</Status><Transition><Days>30</Days>\
                <StorageClass>IA</StorageClass></Transition></Rule>";
    let off = "<Rule><ID>off</ID><Prefix>b/</Prefix><Status>Disabled</Status><Expiration><Days>1</Days></Expiration></Rule>";
    let tagged = "<Rule><ID>t</ID><Prefix>b/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag><Status>Enabled</Status>\
                  <Expiration><Days>1</Days></Expiration></Rule>";
    let all = format!("<LifecycleConfiguration>{kept}{off}{tagged}</LifecycleConfiguration>");
    // A rule that is off, or for some objects alone, is not the one that gets the term.
    let changed = with_abort_term(all.as_bytes(), "b/", 2).unwrap();
    for rule in [kept, off, tagged] {
        assert!(changed.contains(rule), "{changed}");
    }
    assert_eq!(rules(&changed).len(), 4);
    let changed = with_abort_term(all.as_bytes(), "a/", 2).unwrap();
    let joined = "<StorageClass>IA</StorageClass></Transition><AbortMultipartUpload><Days>2</Days></AbortMultipartUpload></Rule>";
    assert!(changed.contains(joined) && rules(&changed).len() == 3, "{changed}");
    assert!(with_abort_term(b"<html/>", "", 1).is_err());
}
