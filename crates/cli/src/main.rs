//! The binary `vodferry`.

fn main() {}
