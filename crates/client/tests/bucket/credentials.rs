//! Temporary credentials of a bucket: pushed, pulled, and replaced when they die.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use vodferry::{
    Bucket, BucketBuilder, Credential, ErrorKind, File, Http, PutOptions, ResumableUpload, StsToken,
};

use crate::script::{Asked, Desk, PART, response, script};

fn token(name: &str) -> StsToken {
    StsToken::new("STS.key", "hush-secret", name)
}

fn bucket(http: Arc<dyn Http>, desk: &Desk) -> BucketBuilder {
    let bucket = Bucket::builder("http://127.0.0.1:9", "films", token("one"));
    bucket.http(http).options(desk.options())
}

fn supplied(builder: BucketBuilder) -> (Bucket, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let builder = builder.supplier(move || {
        let number = counted.fetch_add(1, Ordering::SeqCst);
        async move { Ok(token(&format!("supplied-{number}"))) }
    });
    (builder.build().unwrap(), asked)
}

fn signed_with(asked: &Asked) -> &str {
    asked.header("x-oss-security-token").unwrap_or_default()
}

fn delete(bucket: &Bucket) -> tokio::task::JoinHandle<Result<(), vodferry::Error>> {
    let bucket = bucket.clone();
    tokio::spawn(async move { bucket.delete_object("k").await })
}

#[tokio::test]
async fn a_dead_credential_is_replaced_once_by_whoever_supplies_them() {
    let (http, mut script) = script();
    let desk = Desk::new(9);
    let (bucket, asked) = supplied(bucket(http, &desk));
    let deleted = delete(&bucket);
    let first = script.next().await;
    assert_eq!(signed_with(&first), "one");
    first.refuse(403, "SecurityTokenExpired");
    let second = script.next().await;
    assert_eq!(signed_with(&second), "supplied-0");
    second.reply(response(204, &[], ""));
    deleted.await.unwrap().unwrap();

    // It is kept, and operations of the engine take it too.
    let put = {
        let bucket = bucket.clone();
        tokio::spawn(async move {
            bucket.put_object("k", File::bytes("k", "k"), PutOptions::default()).await
        })
    };
    let first = script.next().await;
    assert_eq!(signed_with(&first), "supplied-0");
    first.refuse(403, "SecurityTokenExpired");
    let second = script.next().await;
    assert_eq!(signed_with(&second), "supplied-1");
    // One that is dead at once is not replaced for ever.
    second.refuse(403, "SecurityTokenExpired");
    assert_eq!(put.await.unwrap().unwrap_err().code(), "SecurityTokenExpired");
    script.silence().await;
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn without_a_supplier_the_refusal_is_told_until_one_is_pushed() {
    let (http, mut script) = script();
    let desk = Desk::new(9);
    let bucket = bucket(http, &desk).build().unwrap();
    let deleted = delete(&bucket);
    script.next().await.refuse(403, "SecurityTokenExpired");
    let error = deleted.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Auth, "SecurityTokenExpired"));
    // It is known to be dead, and not sent again.
    assert_eq!(delete(&bucket).await.unwrap().unwrap_err().kind(), ErrorKind::Auth);
    script.silence().await;
    bucket.set_token(token("pushed")).unwrap();
    let deleted = delete(&bucket);
    let asked = script.next().await;
    assert_eq!(signed_with(&asked), "pushed");
    asked.reply(response(204, &[], ""));
    deleted.await.unwrap().unwrap();
    let blank = Credential {
        access_key_id: String::new(),
        access_key_secret: "s".into(),
        security_token: None,
    };
    assert_eq!(bucket.set_token(blank).unwrap_err().kind(), ErrorKind::Misuse);
}

#[tokio::test]
async fn a_resumable_upload_goes_on_with_the_next_credential() {
    let (http, mut script) = script();
    let desk = Desk::new(2 * PART as usize);
    let (bucket, asked) = supplied(bucket(http, &desk));
    let mut upload = ResumableUpload::new("k.mp4", desk.path());
    (upload.part_size, upload.threads) = (PART, 1);
    let task = bucket.resumable_upload(upload).unwrap();
    script.expect("initiate").await.initiated("u1");
    script.expect("part 1").await.stored();
    script.expect("part 2").await.refuse(403, "SecurityTokenExpired");
    let again = script.expect("part 2").await;
    assert_eq!((signed_with(&again), again.query("uploadId")), ("supplied-0", Some("u1")));
    again.stored();
    script.expect("complete").await.completed();
    task.await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
