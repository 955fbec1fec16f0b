//! The limits of the way to a server.

/// Limits of the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Connecting to a server. 5 s: it is on this host or one switch away; its accept queue may be full for a moment.
    pub connect_timeout_s: u64,
    /// From the end of the request to the head of the answer. One hour: Jupyter runs long polls and notebooks'
    /// exports in one request; a paused container is noticed by its owner earlier.
    pub response_head_timeout_s: u64,
    /// Silence in the middle of an answer's body. One hour: event streams may be quiet for long.
    pub body_idle_timeout_s: u64,
    /// A server that takes no byte of the request. One minute: a busy kernel pauses for seconds, not more.
    pub send_timeout_s: u64,
    /// Bytes of an answer's head. 64 KiB: Jupyter's are below 4.
    pub response_head_bytes: usize,
    /// Header lines of an answer's head.
    pub response_header_count: usize,
    /// Connections to one server that wait for the next request. 128: two browsers' worth of streams.
    pub idle_connections_per_upstream: usize,
    /// Connections to one server in all, tunnels included. 1024: a runaway page shall not use up our descriptors.
    pub connections_per_upstream: usize,
    /// A connection that waits this long is closed. 60 s: Tornado keeps them for an hour, Node for 5 s.
    pub idle_connection_timeout_s: u64,
    /// After one side of a WebSocket ends its direction, the other has this long to end too.
    pub half_close_timeout_s: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connect_timeout_s: 5,
            response_head_timeout_s: 3600,
            body_idle_timeout_s: 3600,
            send_timeout_s: 60,
            response_head_bytes: 64 * 1024,
            response_header_count: 128,
            idle_connections_per_upstream: 128,
            connections_per_upstream: 1024,
            idle_connection_timeout_s: 60,
            half_close_timeout_s: 5,
        }
    }
}
