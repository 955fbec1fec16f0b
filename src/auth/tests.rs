//! Tests of accounts, sessions and tokens with a real store.
