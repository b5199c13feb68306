//! Who asks, and whether it is true: V1 and V4, in headers and in URLs; times, keys and tokens.

use vodferry_oss::time::parse_iso;
use vodferry_oss::{Credential, Method, Secret};

use super::ask::Signing;
use super::{Failure, Room, Verdict, in_order};

in_order! { "signatures":
    every_form_of_signature_is_taken,
    a_url_gives_the_right_to_put,
    another_secret_does_not_match,
    a_sub_resource_added_later_does_not_match,
    a_mismatch_tells_what_was_signed,
    an_unknown_key_is_named,
    no_signature_is_no_authority,
    a_url_runs_out,
    a_url_of_v4_lasts_seven_days_at_most,
    an_incomplete_url_is_no_authority,
    clocks_may_differ_by_fifteen_minutes,
    another_region_is_refused,
    two_signatures_are_one_too_many,
    a_token_must_be_the_right_one,
    a_key_that_has_no_token_takes_none,
}

const HEADERS: [Signing; 2] = [Signing::V1, Signing::V4];
const URLS: [Signing; 2] = [Signing::UrlV1, Signing::UrlV4];
const ALL: [Signing; 4] = [Signing::V1, Signing::V4, Signing::UrlV1, Signing::UrlV4];

/// For an object, a bucket, a sub-resource and overridden headers.
pub async fn every_form_of_signature_is_taken(room: &Room) -> Verdict {
    room.store("a b+c/测", b"x").await?;
    for signing in ALL {
        room.get("a b+c/测")?.signed(signing).send().await?.is(200)?.holds("x")?;
        room.about("location")?.signed(signing).send().await?.is(200)?;
        let listed = room.about("")?.query("prefix", room.prefix()).query("delimiter", "");
        listed.signed(signing).send().await?.is(200)?;
        let got = room.get("a b+c/测")?.query("response-content-type", "text/x; y=\"z\"");
        got.signed(signing).send().await?.is(200)?.has("content-type", "text/x; y=\"z\"")?;
    }
    Ok(())
}

/// With the headers that it was made for, and no others.
pub async fn a_url_gives_the_right_to_put(room: &Room) -> Verdict {
    for signing in URLS {
        let put = room.put("k")?.signed(signing).header("content-type", "video/mp4");
        put.header("x-oss-meta-a", "1").body("x").send().await?.is(200)?;
        let head = room.head("k")?.signed(signing).send().await?.is(200)?;
        head.has("content-type", "video/mp4")?;
        head.has("x-oss-meta-a", "1")?;
    }
    Ok(())
}

/// 403 SignatureDoesNotMatch
pub async fn another_secret_does_not_match(room: &Room) -> Verdict {
    let other =
        Credential { access_key_secret: "another-secret".into(), ..room.credential().clone() };
    for signing in ALL {
        let asked = room.get("k")?.by(other.clone()).signed(signing).send().await?;
        asked.refused(403, "SignatureDoesNotMatch")?;
    }
    Ok(())
}

/// `acl` glued onto a signed request: 403 SignatureDoesNotMatch.
pub async fn a_sub_resource_added_later_does_not_match(room: &Room) -> Verdict {
    room.store("k", b"x").await?;
    for signing in ALL {
        let asked = room.get("k")?.signed(signing).tampered().send().await?;
        asked.refused(403, "SignatureDoesNotMatch")?;
    }
    Ok(())
}

/// The key, the signature, and the string that the server would have signed.
pub async fn a_mismatch_tells_what_was_signed(room: &Room) -> Verdict {
    let other =
        Credential { access_key_secret: "another-secret".into(), ..room.credential().clone() };
    let asked = room.get("k")?.by(other).signed(Signing::V1).send().await?;
    let refused = asked.refused(403, "SignatureDoesNotMatch")?;
    refused.tells("OSSAccessKeyId", &room.credential().access_key_id)?;
    let error = refused.error();
    let told = |name| error.context(name).is_some_and(|text| !text.is_empty());
    match told("SignatureProvided") && told("StringToSign") && told("StringToSignBytes") {
        true => Ok(()),
        false => Err(refused.differs("SignatureProvided, StringToSign and StringToSignBytes")),
    }
}

/// 403 InvalidAccessKeyId
pub async fn an_unknown_key_is_named(room: &Room) -> Verdict {
    let nobody = Credential {
        access_key_id: "LTAIconformanceNobody".into(),
        access_key_secret: "secret".into(),
        security_token: None,
    };
    for signing in ALL {
        let asked = room.get("k")?.by(nobody.clone()).signed(signing).send().await?;
        asked.refused(403, "InvalidAccessKeyId")?;
    }
    Ok(())
}

/// What is private is 403 AccessDenied without a signature, whether it is there or not.
pub async fn no_signature_is_no_authority(room: &Room) -> Verdict {
    room.put("k")?.header("x-oss-object-acl", "private").body("x").send().await?.is(200)?;
    for (method, name) in
        [(Method::Get, "k"), (Method::Head, "k"), (Method::Put, "k"), (Method::Delete, "k")]
    {
        let asked = room.ask(method, name)?.signed(Signing::None).send().await?;
        asked.refused(403, "AccessDenied")?;
    }
    room.get("k")?.send().await?.is(200)?.holds("x")
}

/// 403 AccessDenied "Request has expired."
pub async fn a_url_runs_out(room: &Room) -> Verdict {
    room.store("k", b"x").await?;
    for signing in URLS {
        let asked = room.get("k")?.signed(signing).late_by(400).send().await?;
        let refused = asked.refused(403, "AccessDenied")?;
        if refused.error().message != "Request has expired." {
            return Err(refused.differs("the message Request has expired."));
        }
        if refused.error().context("ServerTime").and_then(parse_iso).is_none() {
            return Err(refused.differs("a ServerTime"));
        }
    }
    Ok(())
}

/// `x-oss-expires` of 0 or above 604,800 is refused, and not as a wrong signature.
pub async fn a_url_of_v4_lasts_seven_days_at_most(room: &Room) -> Verdict {
    room.store("k", b"x").await?;
    room.get("k")?.signed(Signing::UrlV4).lasting(604_800).send().await?.is(200)?;
    for life in [604_801, 0] {
        let refused = room.get("k")?.signed(Signing::UrlV4).lasting(life).send().await?;
        if !matches!(refused.status(), 400 | 403) || refused.error().code == "SignatureDoesNotMatch"
        {
            return Err(refused.differs("a refusal of the time"));
        }
    }
    Ok(())
}

/// OSSAccessKeyId without Signature or Expires: 403 AccessDenied.
pub async fn an_incomplete_url_is_no_authority(room: &Room) -> Verdict {
    let id = &room.credential().access_key_id;
    for (name, value) in [("Signature", "abc"), ("Expires", "99999999999")] {
        let asked =
            room.get("k")?.signed(Signing::None).query("OSSAccessKeyId", id).query(name, value);
        asked.send().await?.refused(403, "AccessDenied")?;
    }
    Ok(())
}

/// 10 minutes pass; 20 are 403 RequestTimeTooSkewed with ServerTime, RequestTime and the bound.
pub async fn clocks_may_differ_by_fifteen_minutes(room: &Room) -> Verdict {
    room.store("k", b"x").await?;
    for signing in HEADERS {
        for late in [600, -600] {
            room.get("k")?.signed(signing).late_by(late).send().await?.is(200)?;
        }
        for late in [1200, -1200] {
            let asked = room.get("k")?.signed(signing).late_by(late).send().await?;
            let refused = asked.refused(403, "RequestTimeTooSkewed")?;
            refused.tells("MaxAllowedSkewMilliseconds", "900000")?;
            for name in ["ServerTime", "RequestTime"] {
                if refused.error().context(name).and_then(parse_iso).is_none() {
                    return Err(refused.differs(&format!("a time in {name}")));
                }
            }
        }
    }
    Ok(())
}

/// V4 for a region that is not the endpoint's: 400 InvalidArgument, or a 403 that names it. Some take any.
pub async fn another_region_is_refused(room: &Room) -> Verdict {
    room.store("k", b"x").await?;
    let asked = room.get("k")?.signed(Signing::V4).in_region("xx-elsewhere").send().await?;
    match asked.status() {
        200 => Err(Failure::NotOffered("signatures for any region are taken".into())),
        400 | 403 => Ok(()),
        _ => Err(asked.differs("a refusal of the region")),
    }
}

/// A header and a URL together: 400 InvalidArgument.
pub async fn two_signatures_are_one_too_many(room: &Room) -> Verdict {
    room.store("k", b"x").await?;
    let asked =
        room.get("k")?.signed(Signing::UrlV1).header("authorization", "OSS id:c2lnbmF0dXJl");
    asked.send().await?.refused(400, "InvalidArgument").map(|_| ())
}

/// Of a temporary credential: no token is InvalidAccessKeyId, an undecodable one InvalidSecurityToken, both 403.
pub async fn a_token_must_be_the_right_one(room: &Room) -> Verdict {
    if room.credential().security_token.is_none() {
        return Err(Failure::NotOffered("the credential is a permanent one".into()));
    }
    let with = |token: Option<&str>| Credential {
        security_token: token.map(Secret::from),
        ..room.credential().clone()
    };
    for signing in ALL {
        let none = room.get("k")?.by(with(None)).signed(signing).send().await?;
        none.refused(403, "InvalidAccessKeyId")?;
        let other =
            room.get("k")?.by(with(Some("bm90IGEgdG9rZW4="))).signed(signing).send().await?;
        other.refused(403, "InvalidSecurityToken")?;
    }
    Ok(())
}

/// A token with a permanent key: 403 SecurityTokenNotSupported or InvalidSecurityToken.
pub async fn a_key_that_has_no_token_takes_none(room: &Room) -> Verdict {
    if room.credential().security_token.is_some() {
        return Err(Failure::NotOffered("the credential is a temporary one".into()));
    }
    let with =
        Credential { security_token: Some("bm90IGEgdG9rZW4=".into()), ..room.credential().clone() };
    for signing in ALL {
        let asked = room.get("k")?.by(with.clone()).signed(signing).send().await?;
        if asked.error().code != "SecurityTokenNotSupported" {
            asked.refused(403, "InvalidSecurityToken")?;
        }
    }
    Ok(())
}
