//! The hub as a whole, with the real parts behind it; what can be decided without them is tested where it is decided.

mod samples;
