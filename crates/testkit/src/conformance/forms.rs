//! PostObject: an upload by a form, allowed by a signed policy.

use vodferry_oss::Method;
use vodferry_oss::base64::encode;
use vodferry_oss::sign::{Scope, sign_policy_v1, sign_policy_v4};
use vodferry_oss::time::{format_iso_basic, format_iso_ms};

use super::ask::{Ask, Signing, now_ms};
use super::room::{crc, etag};
use super::{Failure, Room, Verdict, in_order};

in_order! { "forms":
    a_form_uploads,
    a_form_may_be_signed_with_v4,
    a_form_is_answered_as_it_asks,
    a_file_name_may_be_part_of_the_key,
    a_policy_that_is_not_kept_refuses,
    a_policy_runs_out,
    another_signature_is_refused,
    a_form_has_one_file_and_a_key,
    what_is_no_form_is_refused,
}

/// 204 without a body; ETag and CRC64 as PutObject tells them.
pub async fn a_form_uploads(room: &Room) -> Verdict {
    let form = Form::new(room, LIFE_MS).v1(room).field("x-oss-meta-a", "1");
    let done = form.send(room, "k", "bytes")?.send().await?.is(204)?;
    done.has("etag", &etag(b"bytes"))?;
    done.has("x-oss-hash-crc64ecma", &crc(b"bytes"))?;
    let got = room.get("k")?.send().await?.is(200)?;
    got.holds("bytes")?;
    got.has("x-oss-meta-a", "1")
}

/// `x-oss-signature-version`, `x-oss-credential`, `x-oss-date`, `x-oss-signature`.
pub async fn a_form_may_be_signed_with_v4(room: &Room) -> Verdict {
    Form::new(room, LIFE_MS).v4(room).send(room, "k", "bytes")?.send().await?.is(204)?;
    room.get("k")?.send().await?.is(200)?.holds("bytes")
}

/// success_action_status 200 and 201 (a document), success_action_redirect 303.
pub async fn a_form_is_answered_as_it_asks(room: &Room) -> Verdict {
    let form = || Form::new(room, LIFE_MS).v1(room);
    form()
        .field("success_action_status", "200")
        .send(room, "k", "x")?
        .send()
        .await?
        .is(200)?
        .holds("")?;
    let told =
        form().field("success_action_status", "201").send(room, "k", "x")?.send().await?.is(201)?;
    told.root("PostResponse")?;
    told.lists("Bucket", &[room.bucket()])?;
    told.lists("Key", &[room.key("k")])?;
    told.lists("ETag", &[etag(b"x")])?;
    told.element("Location")?;
    let sent_on = form().field("success_action_redirect", "http://app.example.com/done?a=1");
    let sent_on = sent_on.send(room, "k", "x")?.send().await?.is(303)?;
    let to = sent_on.some("location")?;
    let has = |name: &str| to.contains(&format!("&{name}=")) || to.contains(&format!("?{name}="));
    match to.starts_with("http://app.example.com/done?a=1")
        && has("bucket")
        && has("key")
        && has("etag")
    {
        true => Ok(()),
        false => Err(sent_on.differs("Location with bucket, key and etag")),
    }
}

/// `${filename}`
pub async fn a_file_name_may_be_part_of_the_key(room: &Room) -> Verdict {
    let form = Form::new(room, LIFE_MS).v1(room);
    form.send(room, "dir/${filename}", "x")?.send().await?.is(204)?;
    room.get("dir/a.bin")?.send().await?.is(200)?.holds("x")
}

/// Another key: 403 AccessDenied; another size: 400 EntityTooLarge.
pub async fn a_policy_that_is_not_kept_refuses(room: &Room) -> Verdict {
    let form = || Form::new(room, LIFE_MS).v1(room);
    let elsewhere =
        form().send_as(room, "elsewhere/k", "x")?.send().await?.refused(403, "AccessDenied")?;
    if !elsewhere
        .error()
        .message
        .starts_with("Invalid according to Policy: Policy Condition failed:")
    {
        return Err(
            elsewhere.differs("a message Invalid according to Policy: Policy Condition failed: …")
        );
    }
    let large = "x".repeat(MOST + 1);
    form().send(room, "k", &large)?.send().await?.refused(400, "EntityTooLarge")?;
    form().send(room, "k", "")?.send().await?.refused(400, "EntityTooSmall")?;
    room.get("k")?.send().await?.refused(404, "NoSuchKey").map(|_| ())
}

/// 403 AccessDenied
pub async fn a_policy_runs_out(room: &Room) -> Verdict {
    let late = Form::new(room, -LIFE_MS).v1(room).send(room, "k", "x")?.send().await?;
    let late = late.refused(403, "AccessDenied")?;
    match late.error().message.contains("Policy expired") {
        true => Ok(()),
        false => Err(late.differs("a message Invalid according to Policy: Policy expired.")),
    }
}

/// 403 SignatureDoesNotMatch; a policy without a signature is 400 InvalidArgument.
pub async fn another_signature_is_refused(room: &Room) -> Verdict {
    let form = || Form::new(room, LIFE_MS).v1(room);
    let wrong = form().without("Signature").field("Signature", &encode(&[7; 20]));
    wrong.send(room, "k", "x")?.send().await?.refused(403, "SignatureDoesNotMatch")?;
    let none = form().without("Signature").send(room, "k", "x")?.send().await?;
    none.refused(400, "InvalidArgument").map(|_| ())
}

/// No file 400 IncorrectNumberOfFilesInPOSTRequest; no key 400 InvalidArgument.
pub async fn a_form_has_one_file_and_a_key(room: &Room) -> Verdict {
    let form = || Form::new(room, LIFE_MS).v1(room);
    let text = form().field("key", &room.key("k")).close();
    post(room, text)?.send().await?.refused(400, "IncorrectNumberOfFilesInPOSTRequest")?;
    let text = form().file("x").close();
    post(room, text)?.send().await?.refused(400, "InvalidArgument").map(|_| ())
}

/// Another Content-Type 400 RequestIsNotMultiPartContent; a body that is none 400 MalformedPOSTRequest.
pub async fn what_is_no_form_is_refused(room: &Room) -> Verdict {
    let other = post(room, "x".into())?.header("content-type", "text/plain").send().await?;
    other.refused(400, "RequestIsNotMultiPartContent")?;
    post(room, "no boundary at all".into())?
        .send()
        .await?
        .refused(400, "MalformedPOSTRequest")
        .map(|_| ())
}

const LIFE_MS: i64 = 600_000;
/// Most bytes that the policy allows.
const MOST: usize = 100;
const BOUNDARY: &str = "vodferryconformance";

struct Form {
    policy: String,
    fields: Vec<(String, String)>,
    file: Option<String>,
}

impl Form {
    /// With a policy for this case's keys that runs out so much later.
    fn new(room: &Room, life_ms: i64) -> Form {
        let policy = format!(
            "{{\"expiration\":\"{}\",\"conditions\":[{{\"bucket\":\"{}\"}},[\"starts-with\",\"$key\",\"{}\"],\
             [\"content-length-range\",1,{MOST}]]}}",
            format_iso_ms(now_ms() + life_ms),
            room.bucket(),
            room.prefix(),
        );
        let form = Form { policy: encode(policy.as_bytes()), fields: Vec::new(), file: None };
        let policy = form.policy.clone();
        let form = form.field("policy", &policy);
        match &room.credential().security_token {
            Some(token) => form.field("x-oss-security-token", token.expose()),
            None => form,
        }
    }

    fn v1(self, room: &Room) -> Form {
        let who = room.credential();
        let signature = sign_policy_v1(&who.access_key_secret, &self.policy);
        self.field("OSSAccessKeyId", &who.access_key_id).field("Signature", &signature)
    }

    fn v4(self, room: &Room) -> Form {
        let who = room.credential();
        let timestamp = format_iso_basic(now_ms());
        let date: String = timestamp.chars().take(8).collect();
        let scope = Scope { date, region: room.region().to_owned() };
        let credential =
            format!("{}/{}/{}/oss/aliyun_v4_request", who.access_key_id, scope.date, scope.region);
        let signature = sign_policy_v4(&who.access_key_secret, &scope, &self.policy);
        self.field("x-oss-signature-version", "OSS4-HMAC-SHA256")
            .field("x-oss-credential", &credential)
            .field("x-oss-date", &timestamp)
            .field("x-oss-signature", &signature)
    }

    fn field(mut self, name: &str, value: &str) -> Form {
        self.fields.push((name.into(), value.into()));
        self
    }

    fn without(mut self, name: &str) -> Form {
        self.fields.retain(|(field, _)| field != name);
        self
    }

    fn file(mut self, bytes: &str) -> Form {
        self.file = Some(bytes.into());
        self
    }

    fn close(self) -> String {
        let mut text = String::new();
        for (name, value) in &self.fields {
            text.push_str(&format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            ));
        }
        if let Some(bytes) = &self.file {
            text.push_str(&format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\
                 Content-Type: application/octet-stream\r\n\r\n{bytes}\r\n"
            ));
        }
        text.push_str(&format!("--{BOUNDARY}--\r\n"));
        text
    }

    /// With one file for the key of the case that ends in `name`.
    fn send<'a>(self, room: &'a Room, name: &str, bytes: &str) -> Result<Ask<'a>, Failure> {
        self.send_as(room, &room.key(name), bytes)
    }

    fn send_as<'a>(self, room: &'a Room, key: &str, bytes: &str) -> Result<Ask<'a>, Failure> {
        post(room, self.field("key", key).file(bytes).close())
    }
}

fn post(room: &Room, text: String) -> Result<Ask<'_>, Failure> {
    let ask = room.on(Method::Post, room.bucket(), "")?.signed(Signing::None).body(text);
    Ok(ask.header("content-type", format!("multipart/form-data; boundary={BOUNDARY}")))
}
