//! An upload server that official OSS and VOD SDKs accept unchanged

pub mod keys;
pub mod policy;
pub mod store;
pub mod token;
