//! CORS: the rules of a bucket, preflights, and the headers of actual replies. All on buckets of the case's own.

use vodferry_oss::Method;

use super::ask::{Ask, Signing};
use super::{Failure, Room, Verdict, in_order};

in_order! { "cors":
    rules_are_put_read_and_removed,
    bad_rules_are_refused,
    a_preflight_is_answered_without_a_signature,
    a_preflight_that_no_rule_matches_is_forbidden,
    a_preflight_without_its_headers_is_a_bad_request,
    replies_say_which_origin_may_read_them,
    refusals_say_so_too,
}

const RULES: &str = "<CORSConfiguration><CORSRule><AllowedOrigin>http://*.example.com</AllowedOrigin>\
    <AllowedMethod>PUT</AllowedMethod><AllowedMethod>GET</AllowedMethod><AllowedHeader>x-oss-*</AllowedHeader>\
    <AllowedHeader>authorization</AllowedHeader><ExposeHeader>ETag</ExposeHeader>\
    <ExposeHeader>x-oss-request-id</ExposeHeader><MaxAgeSeconds>600</MaxAgeSeconds></CORSRule></CORSConfiguration>";
const PAGE: &str = "http://a.example.com";

/// PutBucketCors 200, GetBucketCors, DeleteBucketCors 204; without 404 NoSuchCORSConfiguration.
pub async fn rules_are_put_read_and_removed(room: &Room) -> Verdict {
    let bucket = room.new_bucket().await?;
    let cors = |method| room.on(method, &bucket, "cors");
    let none = cors(Method::Get)?.send().await?.offered()?;
    none.refused(404, "NoSuchCORSConfiguration")?;
    cors(Method::Put)?.document(RULES).send().await?.offered()?.is(200)?;
    let read = cors(Method::Get)?.send().await?.is(200)?;
    read.root("CORSConfiguration")?;
    read.lists("AllowedOrigin", &["http://*.example.com"])?;
    read.lists("AllowedMethod", &["PUT", "GET"])?;
    read.lists("AllowedHeader", &["x-oss-*", "authorization"])?;
    read.lists("ExposeHeader", &["ETag", "x-oss-request-id"])?;
    read.lists("MaxAgeSeconds", &["600"])?;
    cors(Method::Delete)?.send().await?.is(204)?;
    cors(Method::Get)?.send().await?.refused(404, "NoSuchCORSConfiguration").map(|_| ())
}

/// Bad XML, no rule, two stars, a star in an ExposeHeader, an unknown method: 400.
pub async fn bad_rules_are_refused(room: &Room) -> Verdict {
    let bucket = room.new_bucket().await?;
    for document in [
        "<CORSConfiguration>".to_owned(),
        "<CORSConfiguration></CORSConfiguration>".to_owned(),
        RULES.replace("http://*.example.com", "http://*.*.com"),
        RULES.replace("<ExposeHeader>ETag", "<ExposeHeader>x-*"),
        RULES.replace(">PUT<", ">PATCH<"),
    ] {
        room.on(Method::Put, &bucket, "cors")?
            .document(&document)
            .send()
            .await?
            .offered()?
            .is(400)?;
    }
    Ok(())
}

/// 200 without a body, with the origin, methods, headers, exposed headers and age of the first rule that matches.
pub async fn a_preflight_is_answered_without_a_signature(room: &Room) -> Verdict {
    let bucket = with_rules(room).await?;
    let asked = preflight(room, &bucket, PAGE, "PUT")?;
    let asked = asked.header("access-control-request-headers", "Authorization, x-oss-date");
    let answer = asked.send().await?.is(200)?;
    answer.holds("")?;
    answer.has("access-control-allow-origin", PAGE)?;
    answer.has("access-control-max-age", "600")?;
    for (name, word) in [
        ("access-control-allow-methods", "PUT"),
        ("access-control-allow-headers", "x-oss-date"),
        ("access-control-allow-headers", "authorization"),
        ("access-control-expose-headers", "etag"),
    ] {
        if !answer.some(name)?.to_lowercase().contains(&word.to_lowercase()) {
            return Err(answer.differs(&format!("{word} in {name}")));
        }
    }
    Ok(())
}

/// Another origin, method or header: 403 AccessForbidden.
pub async fn a_preflight_that_no_rule_matches_is_forbidden(room: &Room) -> Verdict {
    let bucket = with_rules(room).await?;
    let header =
        preflight(room, &bucket, PAGE, "PUT")?.header("access-control-request-headers", "x-other");
    for ask in [
        preflight(room, &bucket, "http://a.example.net", "PUT")?,
        preflight(room, &bucket, PAGE, "DELETE")?,
        header,
    ] {
        let refused = ask.send().await?.refused(403, "AccessForbidden")?;
        refused.lacks("access-control-allow-origin")?;
        if !refused.error().message.starts_with("CORSResponse: This CORS request is not allowed.") {
            return Err(
                refused.differs("a message CORSResponse: This CORS request is not allowed. …")
            );
        }
    }
    Ok(())
}

/// Without Origin or method: 400 BadRequest.
pub async fn a_preflight_without_its_headers_is_a_bad_request(room: &Room) -> Verdict {
    let ask = || Ok::<_, Failure>(room.ask(Method::Options, "k")?.signed(Signing::None));
    ask()?.header("origin", PAGE).send().await?.refused(400, "BadRequest")?;
    let asked = ask()?.header("access-control-request-method", "PUT").send().await?;
    asked.refused(400, "BadRequest").map(|_| ())
}

/// Allow-Origin and Expose-Headers to the pages that a rule names, and to no other.
pub async fn replies_say_which_origin_may_read_them(room: &Room) -> Verdict {
    let bucket = with_rules(room).await?;
    let put = |page: &'static str| {
        Ok::<_, Failure>(room.at(Method::Put, &bucket, "k")?.header("origin", page).body("x"))
    };
    let reply = put(PAGE)?.send().await?.is(200)?;
    reply.has("access-control-allow-origin", PAGE)?;
    reply.some("access-control-expose-headers")?;
    match reply.header("vary").is_some_and(|vary| vary.to_lowercase().contains("origin")) {
        true => {}
        false => return Err(reply.differs("Vary: Origin")),
    }
    let other = put("http://a.example.net")?.send().await?.is(200)?;
    other.lacks("access-control-allow-origin")
}

/// A page must be able to read why it was refused.
pub async fn refusals_say_so_too(room: &Room) -> Verdict {
    let bucket = with_rules(room).await?;
    let get = room.at(Method::Get, &bucket, "missing")?.header("origin", PAGE);
    let refused = get.send().await?.refused(404, "NoSuchKey")?;
    refused.has("access-control-allow-origin", PAGE)
}

async fn with_rules(room: &Room) -> Result<String, Failure> {
    let bucket = room.new_bucket().await?;
    room.on(Method::Put, &bucket, "cors")?.document(RULES).send().await?.offered()?.is(200)?;
    Ok(bucket)
}

fn preflight<'a>(
    room: &'a Room,
    bucket: &str,
    page: &str,
    method: &str,
) -> Result<Ask<'a>, Failure> {
    let ask = room.at(Method::Options, bucket, "k")?.signed(Signing::None);
    Ok(ask.header("origin", page).header("access-control-request-method", method))
}
