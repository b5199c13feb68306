//! The default HTTP client.

use vodferry_oss::{Request, Response};

use crate::{Body, BoxFuture, Error, Http, Options, TransportError};

pub(crate) struct Net {}

impl Net {
    #[allow(clippy::unimplemented)]
    pub(crate) fn new(_options: &Options) -> Result<Net, Error> {
        unimplemented!()
    }
}

impl Http for Net {
    #[allow(clippy::unimplemented)]
    fn send(
        &self,
        _request: Request,
        _body: Body,
    ) -> BoxFuture<'static, Result<Response, TransportError>> {
        unimplemented!()
    }
}
