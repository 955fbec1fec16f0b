//! What an operator sees: log lines and the access log.
