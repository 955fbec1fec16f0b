//! The whole program in one process on port 0, with a backend and a clock that the tests hold.

mod architecture;
