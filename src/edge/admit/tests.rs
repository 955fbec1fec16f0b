//! Tables of who passes.
