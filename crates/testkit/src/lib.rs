//! For tests only: virtual time, a model server, fault injection. Never published.
