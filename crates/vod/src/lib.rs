//! VOD and STS on the wire, both directions: RPC signing, upload address and auth
