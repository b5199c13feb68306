//! An upload server that official OSS and VOD SDKs accept unchanged
