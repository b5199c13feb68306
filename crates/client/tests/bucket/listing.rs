//! Listings come whole, whatever their length, and what nobody finishes can be cleared.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::TryStreamExt;
use vodferry::{
    AddressStyle, Body, ErrorKind, Initiate, ListObjects, Listed, Method, PutOptions, Request,
};

use crate::harbour::{Harbour, http};
use crate::of;
use crate::script::{response, script};

async fn keys(listing: vodferry::Listing<Listed>) -> Vec<String> {
    let shown = |entry| match entry {
        Listed::Object(object) => object.key,
        Listed::Prefix(prefix) => format!("{prefix} …"),
        other => panic!("{other:?}"),
    };
    listing.all().await.unwrap().into_iter().map(shown).collect()
}

#[tokio::test]
async fn objects_are_listed_page_after_page() {
    let harbour = Harbour::open().await;
    let bucket = of(&harbour);
    let mut wanted: Vec<String> = (0..255).map(|n| format!("many/{n:03}")).collect();
    wanted.extend(["odd/a b+c%&<é>\u{1}.mp4".to_owned(), "odd/z".to_owned()]);
    for key in &wanted {
        let file = vodferry::File::bytes("x", key.clone());
        bucket.put_object(key, file, PutOptions::default()).await.unwrap();
    }
    assert_eq!(keys(bucket.list_objects(ListObjects::default())).await, wanted);
    let odd = bucket.list_objects(ListObjects::prefix("odd/"));
    let Some(Listed::Object(found)) = odd.try_collect::<Vec<_>>().await.unwrap().into_iter().next()
    else {
        panic!("no object")
    };
    assert_eq!((found.key.as_str(), found.size), (wanted[255].as_str(), wanted[255].len() as u64));
    assert!(found.last_modified_ms > 0 && found.kind == "Normal" && found.etag.len() == 32);
    let folders = bucket.list_objects(ListObjects::default().delimiter("/"));
    assert_eq!(keys(folders).await, ["many/ …", "odd/ …"]);
    let mut rest = ListObjects::prefix("many/");
    rest.after = "many/252".into();
    assert_eq!(keys(bucket.list_objects(rest)).await, wanted[253..255]);
    harbour.server.shutdown().await;
}

#[tokio::test]
async fn unfinished_uploads_are_listed_and_those_that_are_old_aborted() {
    let harbour = Harbour::open().await;
    let bucket = of(&harbour);
    let mut begun = Vec::new();
    for n in 0..252 {
        let key = format!("up/{:03}", n / 2);
        let id = bucket.initiate_multipart_upload(&key, Initiate::default()).await.unwrap();
        begun.push((key, id));
    }
    let other = bucket.initiate_multipart_upload("other", Initiate::default()).await.unwrap();
    let listed = bucket.list_uploads("up/").all().await.unwrap();
    let mut found: Vec<_> =
        listed.iter().map(|up| (up.key.clone(), up.upload_id.clone())).collect();
    found.sort();
    begun.sort();
    assert_eq!(found, begun);
    assert!(listed.iter().all(|upload| upload.initiated_ms > 0));

    let hour = Duration::from_secs(3_600);
    assert!(bucket.abort_unfinished("up/", hour).await.unwrap().is_empty());
    assert_eq!(bucket.abort_unfinished("up/", Duration::ZERO).await.unwrap().len(), 252);
    let left = bucket.list_uploads("").all().await.unwrap();
    assert_eq!(left.iter().map(|upload| &upload.upload_id).collect::<Vec<_>>(), [&other]);
    bucket.abort_multipart_upload("other", &other).await.unwrap();
    bucket.abort_multipart_upload("other", &other).await.unwrap();
    harbour.server.shutdown().await;
}

#[tokio::test]
async fn the_rule_that_clears_uploads_leaves_the_others_alone() {
    let harbour = Harbour::open().await;
    let bucket = of(&harbour);
    assert_eq!(bucket.abort_after_days("", 0).await.unwrap_err().kind(), ErrorKind::Misuse);
    bucket.abort_after_days("sv/", 7).await.unwrap();
    bucket.abort_after_days("sv/", 3).await.unwrap();
    bucket.abort_after_days("", 30).await.unwrap();
    let rules = lifecycle(&harbour).await;
    let rule = |id: &str, prefix: &str, days: u32| {
        format!(
            "<Rule><ID>{id}</ID><Prefix>{prefix}</Prefix><Status>Enabled</Status>\
             <AbortMultipartUpload><Days>{days}</Days></AbortMultipartUpload></Rule>"
        )
    };
    let wanted = rule("abort-unfinished", "sv/", 3) + &rule("abort-unfinished-2", "", 30);
    assert!(rules.contains(&wanted), "{rules}");
    harbour.server.shutdown().await;
}

async fn lifecycle(harbour: &Harbour) -> String {
    let to = vodferry_oss::Target {
        endpoint: harbour.server.endpoint().into(),
        bucket: crate::NAME.into(),
        key: String::new(),
    };
    let mut get = Request::to(Method::Get, &to, AddressStyle::Auto).unwrap();
    get.query.push(("lifecycle".into(), String::new()));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    vodferry_oss::sign::sign_v1(&mut get, crate::NAME, "", &harbour.operator, now);
    let reply = http().send(get, Body::from_bytes("")).await.unwrap();
    String::from_utf8(reply.body).unwrap()
}

#[tokio::test]
async fn a_page_that_leads_nowhere_ends_the_listing() {
    let (http, mut script) = script();
    let bucket = crate::scripted(http);
    let listing = tokio::spawn(bucket.list_objects(ListObjects::default()).all());
    let page = "<ListBucketResult><IsTruncated>true</IsTruncated><NextMarker>b</NextMarker>\
                <Contents><Key>b</Key><Size>1</Size></Contents></ListBucketResult>";
    script.next().await.reply(response(200, &[], page));
    let second = script.next().await;
    assert_eq!(second.query("marker"), Some("b"));
    second.reply(response(200, &[], page));
    let error = listing.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Protocol, "BadReply"));
}
