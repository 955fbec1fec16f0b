//! The layers as a router without handlers shows them.
