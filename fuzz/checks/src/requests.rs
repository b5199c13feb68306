//! What a request says of itself: its signature, its query, its host and path.

use vodferry_oss::address::{candidates, valid_bucket, valid_key};
use vodferry_oss::encode::{
    decode_path, decode_query, encode_component, encode_path, encode_query,
};
use vodferry_oss::sign::{OptionsV4, Presented, Region, presign_v1, presign_v4, sign_v1, sign_v4};
use vodferry_oss::{Credential, Method, Request, ServiceError, Style, Target};
use vodferry_vod::rpc;

type Pairs = Vec<(String, String)>;

const NOW: i64 = 1_795_168_800_000;
const SECRET: &str = "SecretExample0123456789";
const BUCKET: &str = "demo-bkt";
const KEY: &str = "sv/a b.mp4";
const REGION: &str = "cn-hangzhou";

/// Lines: `?query` (decoded as one, later ones add to it) or `name: value` of a header. A signature that is read must
/// be refused under another secret; the same request signed by us must verify.
pub fn headers(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (mut headers, mut query) = (Pairs::new(), Pairs::new());
    for line in text.lines() {
        if let Some(line) = line.strip_prefix('?') {
            query.extend(decode_query(line).unwrap_or_default());
        } else if let Some((name, value)) = line.split_once(':').filter(|(name, _)| is_token(name))
        {
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    presented(&headers, &query);

    headers.retain(|(name, _)| name != "authorization");
    query.retain(|(name, _)| !AUTHENTICATES.contains(&name.as_str()));
    assert_eq!(Presented::of(&headers, &query), Ok(None), "nothing of a signature is left");
    signed(headers, query);
}

/// HTTP lets no other name through.
fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn presented(headers: &Pairs, query: &Pairs) {
    let read = match Presented::of(headers, query) {
        Ok(Some(read)) => read,
        Ok(None) => return,
        Err(error) => {
            let answer = ServiceError::from(error);
            assert!((400..500).contains(&answer.status));
            return;
        }
    };
    assert!(
        !read.access_key_id.is_empty() || query.iter().any(|(name, _)| name == "OSSAccessKeyId")
    );
    for now in [NOW, 0, i64::MIN, i64::MAX] {
        let _ = read.check_time(now);
    }
    assert!(read.check_region(Region::Any).is_ok());
    let _ = read.check_region(Region::Only(REGION));
    read.content_sha256();
    // Whoever signed the seeds of the corpus did not know this one.
    let verifies = read.verify(&"another secret".into(), "PUT", headers, query, BUCKET, KEY);
    assert!(!verifies, "a signature out of nowhere");
    read.verify(&SECRET.into(), "PUT", headers, query, BUCKET, KEY);
    read.mismatch("PUT", headers, query, BUCKET, KEY);
}

/// What makes a query a signature, or part of one.
const AUTHENTICATES: [&str; 12] = [
    "OSSAccessKeyId",
    "Expires",
    "Signature",
    "security-token",
    "x-oss-additional-headers",
    "x-oss-credential",
    "x-oss-date",
    "x-oss-expires",
    "x-oss-security-token",
    "x-oss-signature",
    "x-oss-signature-version",
    "x-oss-content-sha256",
];

fn signed(headers: Pairs, query: Pairs) {
    let credential = Credential {
        access_key_id: "AKIDEXAMPLE".into(),
        access_key_secret: SECRET.into(),
        security_token: Some("TOKEN+/=".into()),
    };
    let target =
        Target { endpoint: "http://127.0.0.1:9000".into(), bucket: BUCKET.into(), key: KEY.into() };
    let plain = Request {
        headers,
        query,
        ..Request::to(Method::Put, &target, Style::Auto).expect("a good target")
    };
    let names: Vec<&str> = plain.headers.iter().map(|(name, _)| name.as_str()).take(2).collect();
    let options = OptionsV4 { region: REGION, additional_headers: &names };
    let how: [&dyn Fn(&mut Request); 4] = [
        &|request| sign_v1(request, BUCKET, KEY, &credential, NOW),
        &|request| sign_v4(request, BUCKET, KEY, &credential, options, NOW),
        &|request| presign_v1(request, BUCKET, KEY, &credential, 1_795_168_900),
        &|request| presign_v4(request, BUCKET, KEY, &credential, options, NOW, 100),
    ];
    for sign in how {
        let mut request = plain.clone();
        sign(&mut request);
        let (headers, query) = (&request.headers, &request.query);
        let read = Presented::of(headers, query).ok().flatten().expect("signed just now");
        assert_eq!(read.access_key_id, credential.access_key_id);
        assert!(read.check_time(NOW).is_ok() && read.check_region(Region::Only(REGION)).is_ok());
        let verifies = |secret: &str, method, bucket, key| {
            read.verify(&secret.into(), method, headers, query, bucket, key)
        };
        assert!(verifies(SECRET, "PUT", BUCKET, KEY), "{request:?}");
        assert!(!verifies("another secret", "PUT", BUCKET, KEY));
        assert!(!verifies(SECRET, "GET", BUCKET, KEY));
        assert!(!verifies(SECRET, "PUT", "demo-bkt2", KEY));
        assert!(!verifies(SECRET, "PUT", BUCKET, "sv/a b.mp5"));
        let told = read.mismatch("PUT", headers, query, BUCKET, KEY);
        assert!(!told.to_xml().contains(SECRET));
    }
}

/// Lines: query string, path, host. What is decoded is decoded again after it was encoded; what a client addressed is
/// among what the server thinks it may mean.
pub fn queries(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.splitn(3, '\n');
    let [query, path, host] = [(); 3].map(|()| lines.next().unwrap_or_default());
    if let Ok(mut pairs) = decode_query(query) {
        // A pair of nothing is written as nothing.
        pairs.retain(|(name, value)| !name.is_empty() || !value.is_empty());
        assert_eq!(decode_query(&encode_query(&pairs)).as_ref(), Ok(&pairs));
        call(pairs);
    }
    let Ok(path) = decode_path(path) else { return };
    assert_eq!(decode_path(&encode_path(&path)).as_ref(), Ok(&path));
    assert_eq!(decode_path(&encode_component(&path)).as_ref(), Ok(&path));
    for (bucket, _) in candidates(host, &path, &["oss.example.com".into(), host.into()], &[]) {
        assert!(valid_bucket(&bucket));
    }

    let key = path.strip_prefix('/').unwrap_or(&path);
    for style in [Style::Auto, Style::VirtualHost, Style::Path] {
        let target = Target { endpoint: host.into(), bucket: BUCKET.into(), key: key.into() };
        let Ok(request) = Request::to(Method::Put, &target, style) else { continue };
        assert!(key.is_empty() || valid_key(key));
        assert!(request.url().bytes().all(|byte| byte.is_ascii_graphic()), "{}", request.url());
        let base = request.authority.split(':').next().unwrap_or_default();
        let base = base.strip_prefix("demo-bkt.").unwrap_or(base).to_owned();
        let path = decode_path(&request.path).expect("encoded just now");
        let found = candidates(&request.authority, &path, &[base], &[]);
        assert!(found.contains(&(BUCKET.into(), key.into())), "{} {found:?}", request.url());
    }
}

/// As the parameters of an RPC call.
fn call(mut pairs: Pairs) {
    let bare = !pairs.iter().any(|(name, _)| name == rpc::SIGNATURE);
    assert!(!bare || !rpc::verify(Method::Get, &pairs, SECRET));
    pairs.retain(|(name, _)| name != rpc::SIGNATURE);
    let signature = rpc::sign(Method::Get, &pairs, SECRET);
    pairs.push((rpc::SIGNATURE.to_owned(), signature));
    assert!(rpc::verify(Method::Get, &pairs, SECRET));
    assert!(!rpc::verify(Method::Post, &pairs, SECRET));
    assert!(!rpc::verify(Method::Get, &pairs, "another secret"));
    pairs.push(("More".to_owned(), String::new()));
    assert!(!rpc::verify(Method::Get, &pairs, SECRET));
}
