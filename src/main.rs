//! The program `slipway`; its commands arrive with `cli`.

fn main() {}
