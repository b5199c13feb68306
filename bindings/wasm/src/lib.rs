//! The engine and the exchange for the browser shell
