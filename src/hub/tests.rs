//! The hub as a whole router, called without sockets.
