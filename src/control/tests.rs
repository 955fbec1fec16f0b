//! Tests of commands over a real socket.
