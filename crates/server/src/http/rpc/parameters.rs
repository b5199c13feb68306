//! What a call says: its parameters, from query and form together.

use crate::http::App;
use crate::http::body::{Body, BodyError};
use crate::http::call::Call;
use crate::http::video::ApiError;
use vodferry_oss::encode::decode_query;
use vodferry_vod::rpc::SIGNATURE;

/// Names and values, decoded.
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Those of the query.
    pub(super) fn of_query(call: &Call) -> Parameters {
        Parameters(call.query.clone())
    }

    /// Adds those of a form.
    pub(super) fn add(&mut self, form: Vec<(String, String)>) {
        self.0.extend(form);
    }

    /// A signature covers the parameters in any order: of two values of one name, anybody could
    /// choose which comes first.
    pub(super) fn refuse_doubles(&self) -> Result<(), ApiError> {
        let mut names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        let twice = names.windows(2).find(|pair| pair[0] == pair[1] && pair[0] != SIGNATURE);
        match twice {
            Some(pair) => {
                let message = format!("{} is given twice", pair[0].escape_debug());
                Err(ApiError::bad("InvalidParameter", message))
            }
            None => Ok(()),
        }
    }

    /// All of them, as signed by version 1.
    pub(super) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// The one of this name; an empty one is as good as none.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(n, _)| n == name)?;
        Some(found.1.as_str()).filter(|value| !value.is_empty())
    }

    /// As [`get`](Self::get), empty when there is none.
    pub(crate) fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    /// One that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.get(name).ok_or_else(|| missing(name))
    }

    /// A whole number, when it is there.
    pub(crate) fn number<N: std::str::FromStr>(&self, name: &str) -> Result<Option<N>, ApiError> {
        let bad = |_| ApiError::bad("InvalidParameter", format!("{name} must be a whole number"));
        self.get(name).map(|value| value.parse().map_err(bad)).transpose()
    }
}

/// Refuses a call that lacks `name`.
pub(super) fn missing(name: &str) -> ApiError {
    ApiError::bad(&format!("Missing{name}"), format!("{name} is mandatory for this call"))
}

/// Whether the body is a form.
pub(super) fn is_form(call: &Call) -> bool {
    call.header("content-type").is_some_and(|value| {
        let kind = value.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    })
}

/// Reads a body.
pub(super) async fn read(app: &App, body: &mut Body) -> Result<bytes::Bytes, ApiError> {
    let limit = app.config.limits.control_body;
    body.whole(limit).await.map_err(|error| match error {
        BodyError::TooLarge => ApiError::bad(
            "InvalidParameter",
            format!("the body is too long, at most {limit} bytes are read"),
        ),
        // The network's doing: whoever asks again is answered.
        BodyError::Cut | BodyError::Idle => {
            ApiError::bad("InvalidParameter", "the body was cut, or came too slowly")
        }
    })
}

/// The parameters of a form.
pub(super) fn form(bytes: &[u8]) -> Result<Vec<(String, String)>, ApiError> {
    let bad = |message: &str| ApiError::bad("InvalidParameter", message);
    let text = std::str::from_utf8(bytes).map_err(|_| bad("the form is not UTF-8"))?;
    decode_query(text).map_err(|error| bad(&format!("the form is not understood: {error}")))
}
