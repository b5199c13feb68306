//! The scope of a V4 signature: for which day, region and product its key was derived.

use alloc::string::String;

use crate::code::Code;
use crate::error::ServiceError;
use crate::time::parse_iso;

/// Day and region; product (`oss`) and version are always the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// `YYYYMMDD` in UTC.
    pub date: String,
    /// For example `cn-hangzhou`, without `oss-`.
    pub region: String,
}

/// The regions whose signatures a server takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region<'a> {
    /// This one, as the service does.
    Only(&'a str),
    /// Whatever the client names: for clients that cannot be told the right one.
    Any,
}

/// What is wrong with a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeFlaw {
    /// Not `id/date/region/product/version`.
    #[error("the credential is not AccessKeyId/date/region/oss/aliyun_v4_request")]
    Shape,
    /// The last word is not `aliyun_v4_request`.
    #[error("the credential does not end in aliyun_v4_request")]
    Version,
    /// No day, or another than that of the request's date.
    #[error("the signing date is not the day of the request")]
    Date,
    /// Not the server's.
    #[error("the signing region is not the one of the server")]
    Region,
    /// Not `oss`.
    #[error("the signing product is not oss")]
    Product,
}

pub(super) const VERSION: &str = "aliyun_v4_request";
pub(super) const PRODUCT: &str = "oss";

impl Scope {
    /// Reads `AccessKeyId/date/region/oss/aliyun_v4_request`; the key id comes first.
    pub(super) fn parse(credential: &str) -> Result<(String, Scope), ScopeFlaw> {
        let mut words = credential.split('/');
        let mut next = || words.next().filter(|word| !word.is_empty()).ok_or(ScopeFlaw::Shape);
        let (id, date, region, product, version) = (next()?, next()?, next()?, next()?, next()?);
        if words.next().is_some() {
            return Err(ScopeFlaw::Shape);
        }
        if version != VERSION {
            return Err(ScopeFlaw::Version);
        }
        if !is_day(date) {
            return Err(ScopeFlaw::Date);
        }
        if product != PRODUCT {
            return Err(ScopeFlaw::Product);
        }
        Ok((id.into(), Scope { date: date.into(), region: region.into() }))
    }

    /// Of a request made at `timestamp` (`20261120T100000Z`).
    pub(super) fn at(timestamp: &str, region: &str) -> Scope {
        Scope { date: timestamp.chars().take(8).collect(), region: region.into() }
    }

    /// `access_key_id/date/region/oss/aliyun_v4_request`.
    pub(super) fn of(&self, access_key_id: &str) -> String {
        let mut out = String::from(access_key_id);
        out.push('/');
        self.push(&mut out);
        out
    }

    /// Appends `date/region/oss/aliyun_v4_request`.
    pub(super) fn push(&self, out: &mut String) {
        out.push_str(&self.date);
        for word in [self.region.as_str(), PRODUCT, VERSION] {
            out.push('/');
            out.push_str(word);
        }
    }
}

impl ScopeFlaw {
    /// What the server answers; clients set their clock by the text about the date.
    pub(super) fn refusal(self, in_url: bool) -> ServiceError {
        let (what, ec) = match self {
            ScopeFlaw::Shape => ("credential", None),
            ScopeFlaw::Version => ("version", Some("0002-00000213")),
            ScopeFlaw::Date => ("date", Some("0002-00000212")),
            ScopeFlaw::Region => ("region", Some("0002-00000226")),
            ScopeFlaw::Product => ("product", Some("0002-00000228")),
        };
        let (before, after) = if in_url {
            ("The signing ", " in credential is invalid.")
        } else {
            ("Invalid signing ", " in Authorization header.")
        };
        let mut message = String::from(before);
        message.push_str(what);
        message.push_str(after);
        let error = ServiceError::of(Code::InvalidArgument).with_message(message);
        match ec.filter(|_| !in_url) {
            Some(ec) => error.with_context("EC", ec),
            None => error,
        }
    }
}

fn is_day(date: &str) -> bool {
    let mut time = String::from(date);
    time.push_str("T000000Z");
    date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit()) && parse_iso(&time).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let text = "AKID/20261120/cn-hangzhou/oss/aliyun_v4_request";
        let (id, scope) = Scope::parse(text).unwrap();
        assert_eq!(scope.of(&id), text);
        assert_eq!(scope, Scope::at("20261120T100000Z", "cn-hangzhou"));
    }

    #[test]
    fn flaws_are_told_apart() {
        for (text, flaw) in [
            ("", ScopeFlaw::Shape),
            ("AKID", ScopeFlaw::Shape),
            ("AKID/20261120/r/oss", ScopeFlaw::Shape),
            ("/20261120/r/oss/aliyun_v4_request", ScopeFlaw::Shape),
            ("AKID/20261120//oss/aliyun_v4_request", ScopeFlaw::Shape),
            ("AKID/20261120/r/oss/aliyun_v4_request/", ScopeFlaw::Shape),
            ("AKID/20261120/r/oss/aws4_request", ScopeFlaw::Version),
            ("AKID/20261320/r/oss/aliyun_v4_request", ScopeFlaw::Date),
            ("AKID/2026112/r/oss/aliyun_v4_request", ScopeFlaw::Date),
            ("AKID/测2112/r/oss/aliyun_v4_request", ScopeFlaw::Date),
            ("AKID/2026-1120/r/oss/aliyun_v4_request", ScopeFlaw::Date),
            ("AKID/20261120/r/oss-cloudbox/aliyun_v4_request", ScopeFlaw::Product),
        ] {
            assert_eq!(Scope::parse(text), Err(flaw), "{text}");
        }
    }

    #[test]
    fn refusals_are_worded_as_clients_know_them() {
        let date = ScopeFlaw::Date.refusal(false);
        assert_eq!((date.status, date.code.as_str()), (400, "InvalidArgument"));
        assert_eq!(date.message, "Invalid signing date in Authorization header.");
        assert_eq!(date.context("EC"), Some("0002-00000212"));
        let region = ScopeFlaw::Region.refusal(true);
        assert_eq!(region.message, "The signing region in credential is invalid.");
        assert_eq!(ScopeFlaw::Region.refusal(false).context("EC"), Some("0002-00000226"));
        assert_eq!(ScopeFlaw::Product.refusal(false).context("EC"), Some("0002-00000228"));
        assert_eq!(ScopeFlaw::Version.refusal(false).context("EC"), Some("0002-00000213"));
    }
}
